"""A widget on a bare page in headless Chromium, without a Jupyter server: its Python half lives in the test.

The page holds the widget's own script and style. What the script sets travels to the widget as a message of a browser
would, and what has changed there travels back once the widget has finished its work. So a test takes seconds, and sees
both halves.
"""

import base64
import importlib.util
import shutil
import threading
from contextlib import contextmanager

import psutil
import pytest
import traitlets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needed(*packages: str) -> list[pytest.MarkDecorator]:
    "What skips a test where Chromium or one of these packages is missing."
    absent = [package for package in packages if not importlib.util.find_spec(package)]
    return [
        pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"),
        pytest.mark.skipif(bool(absent), reason=f"not installed: pip install {' '.join(absent)}"),
    ]


# as root, Chromium has no sandbox of its own; and it must not look for updates
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30  # seconds for one step; a loaded machine is slow

PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>body {{ margin: 8px; font-family: sans-serif }} {css}</style><div id="place"></div>"""

START = """async ([script, state]) => {
    const known = {}, heard = {};
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    const decoded = (value) => Array.isArray(value) ? value.map(decoded)
        : value && value.bytes !== undefined ? bytes(value.bytes) : value;
    const tell = (name, ...words) => [...(heard[name] ?? [])].forEach((listener) => listener(...words));
    const take = ({ state, messages }) => {
        for (const [name, value] of Object.entries(state)) known[name] = decoded(value);
        for (const name of Object.keys(state)) tell(`change:${name}`);
        for (const { content, buffers } of messages) tell("msg:custom", content, buffers.map(bytes));
    };
    let waiting = {}, busy = Promise.resolve(), underway = false;
    const post = (message) => { busy = busy.then(() => fromPage(message)).then(take); return busy; };
    const model = {
        get: (name) => known[name],
        set(name, value) {
            if (JSON.stringify(known[name]) === JSON.stringify(value)) return;
            known[name] = value;
            waiting[name] = JSON.parse(JSON.stringify(value));
            tell(`change:${name}`);
        },
        save_changes() {
            if (underway) return; // what is set meanwhile goes with the next message
            underway = true;
            busy = busy.then(async () => {
                underway = false;
                const changes = waiting;
                waiting = {};
                take(await fromPage({ changes }));
            });
        },
        on: (name, listener) => (heard[name] ??= new Set()).add(listener),
        off: (name, listener) => heard[name]?.delete(listener),
        async send(content, _, buffers = []) {
            const texts = buffers.map((buffer) => btoa(new Uint8Array(buffer)
                .reduce((text, byte) => text + String.fromCharCode(byte), "")));
            await post({ content, buffers: texts });
        },
    };
    take({ state, messages: [] });
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const made = (await import(address)).default;
    window.widget = typeof made === "function" ? await made() : made;
    widget.initialize?.({ model });
    window.show = async () => {
        await window.leave?.();
        document.querySelector("#place").replaceChildren();
        window.leave = await widget.render({ model, el: document.querySelector("#place") });
    };
    window.settled = async () => {
        for (let last; last !== busy;) {
            await new Promise((later) => requestAnimationFrame(() => setTimeout(later)));
            last = busy;
            await busy;
        }
        await Promise.all([...document.images].map((image) => image.decode().catch(() => null)));
    };
    await show();
}"""


def encoded(value):
    "A trait's value as JSON can hold it; bytes in base 64."
    if isinstance(value, (bytes, memoryview)):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [encoded(one) for one in value]
    return value


class Bare:
    "A widget on a bare page: `page` is Playwright's, `widget` the Python half."

    def __init__(self, page, widget):
        self.page, self.widget, self.messages = page, widget, []
        self.failures = []
        page.on("pageerror", lambda error: self.failures.append(str(error)))
        page.on("console", lambda line: line.type == "error" and self.failures.append(line.text))
        widget.send = lambda content, buffers=None: self.messages.append(
            dict(content=content, buffers=[base64.b64encode(one).decode() for one in buffers or []])
        )
        page.expose_function("fromPage", self.receive)
        self.open()

    def open(self):
        "Load the page; again, it is a reload."
        self.page.set_content(PAGE.format(css=self.widget._css))
        self.known = self.state()
        self.page.evaluate(START, [self.widget._esm, self.known])
        self.settled()

    def state(self):
        return {
            name: encoded(value)
            for name, value in self.widget.get_state().items()
            if not name.startswith("_") and name not in ("layout", "tabbable", "tooltip", "comm")
        }

    def receive(self, message):
        "What the page has changed or asks for; the answer is what is different now."
        if "changes" in message:
            try:
                self.known |= message["changes"]  # the page is not told again what it has set itself
                self.widget.set_state(message["changes"])
            except traitlets.TraitError as error:  # as in a notebook, where it is logged
                self.failures.append(str(error))
        else:
            buffers = [base64.b64decode(text) for text in message["buffers"]]
            self.widget._handle_custom_msg(message["content"], buffers)
        getattr(self.widget, "wait", lambda seconds: None)(PATIENCE)
        messages, self.messages = self.messages, []
        state = {name: value for name, value in self.state().items() if value != self.known[name]}
        self.known |= state
        return dict(state=state, messages=messages)

    def settled(self):
        "Wait until everything that was asked for is there and shown."
        self.page.evaluate("settled()")

    def size(self, width, height=900):
        self.page.set_viewport_size({"width": width, "height": height})

    def box(self, css):
        return self.page.locator(css).bounding_box()

    def centre(self, css):
        box = self.box(css)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def click(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settled()

    def drag(self, start, end, steps=4):
        "With the mouse, in CSS pixels of the window."
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=steps)
        self.page.mouse.up()
        self.settled()

    def touch(self, start, end=None, steps=4):
        "With a finger."
        devices = self.page.context.new_cdp_session(self.page)
        devices.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 1})
        for step in range(steps + 1 if end else 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end or start))
            kind = "touchMove" if step else "touchStart"
            devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        devices.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        devices.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
        devices.detach()
        self.settled()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        self.settled()

    def picture(self, folder, name):
        "A screenshot of the whole widget."
        if folder:
            self.page.locator(".posegen").screenshot(path=f"{folder}/{name}.png")


@contextmanager
def chromium():
    "A browser; whatever happens, it is gone in the end."
    from playwright.sync_api import sync_playwright

    before = set(psutil.Process().children(recursive=True))

    def kill():
        for process in psutil.Process().children(recursive=True):
            if process not in before:
                process.kill()

    with sync_playwright() as playwright:
        timer = threading.Timer(20 * PATIENCE, kill)
        timer.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            timer.cancel()
            browser.close()


@contextmanager
def chromium_or_skip():
    "Headless Chromium for a fixture; skips the tests that need it where it or playwright is missing."
    if CHROMIUM is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("no chromium or no playwright here (Debian: apt-get install chromium)")
    with chromium() as browser:
        yield browser


def bare(browser, widget, width=1280, height=900):
    "This widget on a page of its own."
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(1000 * PATIENCE)
    return Bare(page, widget)
