"""The network in the page of the site: the exported graph draws what torch draws, and a browser moves the person.

The page is served from a folder, as `python -m http.server` does, to a Chromium that asks no other host.
"""

import functools
import http.server
import importlib.util
import io
import json
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "docs"  # where `make docs` keeps what takes long to make or to fetch
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "explore")]

ABSENT = [
    name for name in ("onnx", "onnxscript", "onnxruntime", "embreex") if not importlib.util.find_spec(name)
]
needs_onnx = pytest.mark.skipif(
    bool(ABSENT), reason=f'not installed: {", ".join(ABSENT)} (pip install -e ".[docs]")'
)
LARGEST, MEAN = 2, 0.01  # grey levels of 255 by which torch and ONNX may differ: at a pixel, and on average


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "The editor's files; those of `make docs` are taken where they are of the present code."
    from docs.network import make_editor

    folder = tmp_path_factory.mktemp("made") / "editor"
    if (KEPT / "editor").is_dir():
        shutil.copytree(KEPT / "editor", folder)
    make_editor(folder)
    return folder


@pytest.fixture(scope="module")
def graph(made):
    "The exported network, and the module that it was exported from."
    from docs.network import Drawing
    from posegen.training.pretrained import load_pretrained

    return made / "network.onnx", Drawing(load_pretrained()).eval()


@needs_onnx
def test_the_graph_draws_what_torch_draws(graph):
    "For every person and pose of the editor, and for poses without some joints, without any, and far outside."
    import onnxruntime
    import torch

    from docs.network import INPUTS
    from posegen.explore.examples import example_people, example_poses

    path, drawing = graph
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    people, poses = list(example_people(drawing.size).values()), list(example_poses(drawing.size).values())
    nobody, armless, outside = (poses[0].copy() for _ in range(3))
    nobody[:] = 0
    armless[[3, 4, 6, 7]] = 0
    outside[4, :2] = -40
    pairs = [(people[number % len(people)], pose) for number, pose in enumerate(poses)]
    drawn = []
    for person, pose in [*pairs, *((people[0], pose) for pose in (nobody, armless, outside))]:
        arrays = person.picture, person.keypoints.astype(np.float32), pose.astype(np.float32)
        with torch.no_grad():
            wanted = drawing(*map(torch.from_numpy, arrays)).numpy()
        (found,) = session.run(None, dict(zip(INPUTS, arrays)))
        assert found.dtype == np.uint8 and found.shape == wanted.shape
        apart = np.abs(found.astype(int) - wanted)
        assert apart.max() <= LARGEST and apart.mean() <= MEAN
        drawn.append(found)
    assert np.abs(drawn[0].astype(int) - drawn[2]).mean() > 1, "the pose has an effect"


@needs_onnx
def test_the_page_draws_what_the_widget_draws(graph):
    import torch

    from posegen.explore.editor import paint_pose
    from posegen.explore.examples import example_people, example_poses
    from posegen.explore.widgets import read_png
    from posegen.transfer import PoseTransfer

    person = list(example_people(128).values())[1]
    pose = example_poses(128)["walking"] + np.float32([0.3, 0.4, 0])
    widget = read_png(paint_pose(PoseTransfer.from_pretrained(), person, pose)["G1"])
    with torch.no_grad():
        page = graph[1](
            torch.from_numpy(person.picture), torch.tensor(person.keypoints).float(), torch.from_numpy(pose)
        )
    assert np.array_equal(page[..., :3].numpy(), widget)


def test_a_foreign_archive_is_not_unpacked(tmp_path):
    import tarfile

    from docs.network import unpack_runtime
    from posegen.core import UserError

    with tarfile.open(tmp_path / "archive.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/ort.wasm.bundle.min.mjs")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(UserError, match="SHA-512"):
        unpack_runtime(tmp_path / "archive.tgz", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.tgz"]


def test_without_a_registry_the_page_says_so(tmp_path, monkeypatch):
    from docs.network import editor_html, fetch_runtime

    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")  # nobody listens there
    missing = fetch_runtime(tmp_path / "runtime")
    assert "could not be had" in missing and not any((tmp_path / "runtime").iterdir())
    html = editor_html("nbs/experiments/70_explore.ipynb", missing)
    assert "could not be had" in html and "make lab" in html and "<script" not in html


@pytest.mark.parametrize(
    "told, address",
    [("https://npm.example.org/", "https://npm.example.org"), ("no address", "")],
)
def test_the_registry_is_the_one_that_npm_is_told_of(monkeypatch, told, address):
    from docs.network import registry

    monkeypatch.setenv("NPM_CONFIG_REGISTRY", told)
    assert registry() == address


# in a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory, made):
    "A folder with the page and nothing else, served; its address."
    from docs.network import PAGE_SCRIPTS, RUNTIME_FILES, editor_html

    site = tmp_path_factory.mktemp("site")
    static = site / "_static" / "network"
    shutil.copytree(made, static)
    for folder, names in ((KEPT / "runtime", RUNTIME_FILES), (ROOT / "docs/static/network", PAGE_SCRIPTS)):
        for name in names:
            shutil.copyfile(folder / name, static / name)
    page = site / "nbs" / "experiments" / "70_explore.html"
    page.parent.mkdir(parents=True)
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += '<link rel="icon" href="data:,">'  # or the browser asks for one
    page.write_text(
        f'{head}<div class="cell_output"><p><img alt="kept" src="data:,"></p>'
        f"{editor_html('nbs/experiments/70_explore.ipynb', '')}</div>"
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/nbs/experiments/70_explore.html"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    import bare

    with bare.chromium_or_skip() as browser:
        yield browser


@pytest.fixture(scope="module")
def page(browser, address):
    "The page, its first picture drawn; `page.asked` collects the hosts that it asked."
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.asked, page.failures = set(), []
    page.on("request", lambda request: page.asked.add(urlsplit(request.url).netloc))
    page.on("pageerror", lambda error: page.failures.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.failures.append(line.text))
    page.goto(address)
    page.locator("#pose-editor[data-state=ready] .result img").wait_for()
    assert not page.get_by_alt_text(
        "kept", exact=True
    ).is_visible()  # the picture that stood there until then
    return page


def picture(page):
    "The result's pixels, once they stay the same."
    last = None
    while True:
        page.wait_for_timeout(400)
        content = page.evaluate(
            """async () => {
            const image = document.querySelector("#pose-editor .result img");
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            return [...pen.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
        )
        now = np.array(content).reshape(128, 128, 4)[..., :3]
        if last is not None and np.array_equal(now, last):
            return now
        last = now


def centre(page, joint):
    box = page.locator(f"[data-joint={joint}] .dot").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


RUNTIME = KEPT / "runtime" / "ort-wasm-simd-threaded.wasm"
needs_runtime = pytest.mark.skipif(
    bool(ABSENT) or not RUNTIME.exists(), reason="no runtime of the browser here (make docs fetches it)"
)


@needs_runtime
def test_a_dragged_joint_moves_the_person(page):
    before = picture(page)
    x, y = centre(page, "right_wrist")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 120, steps=5)
    page.mouse.up()
    after = picture(page)
    assert np.abs(after.astype(int) - before).mean() > 0.3
    page.keyboard.press("Control+z")
    assert np.array_equal(picture(page), before)


@needs_runtime
def test_the_page_shows_what_torch_draws(page, graph):
    import torch

    state = json.loads(
        page.evaluate("fetch('../../_static/network/state.json').then((answer) => answer.text())")
    )
    page.get_by_role("button", name="Pose: walking", exact=True).click()
    shown = picture(page)
    from posegen.explore.examples import example_people, example_poses

    person = next(iter(example_people(128).values()))
    assert state["people_names"][0] in example_people(128)
    with torch.no_grad():
        drawn = graph[1](
            torch.from_numpy(person.picture),
            torch.tensor(person.keypoints).float(),
            torch.from_numpy(example_poses(128)["walking"]),
        )
    apart = np.abs(shown.astype(int) - drawn[..., :3].numpy())
    assert apart.max() <= LARGEST and apart.mean() <= MEAN


@needs_runtime
def test_arrows_and_other_people(page):
    page.locator("[data-joint=left_wrist]").focus()
    before = picture(page)
    for _ in range(6):
        page.keyboard.press("Shift+ArrowUp")
    moved = picture(page)
    assert np.abs(moved.astype(int) - before).mean() > 0.3
    page.get_by_role("group", name="People").get_by_role("button").nth(1).click()
    assert np.abs(picture(page).astype(int) - moved).mean() > 1


@needs_runtime
def test_by_touch_on_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("#pose-editor[data-state=ready] .result img").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = picture(page)
    page.locator("[data-joint=right_wrist]").scroll_into_view_if_needed()
    x, y = centre(page, "right_wrist")
    devices = context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x - 20, "y": y - 40}]),
        ("touchMove", [{"x": x - 40, "y": y - 80}]),
        ("touchEnd", []),
    ):
        devices.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert np.abs(picture(page).astype(int) - before).mean() > 0.2
    context.close()


@needs_runtime
def test_the_picture_is_saved_and_no_other_host_asked(page, address):
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG", exact=True).click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    for name in ("Own photo…", "From a file…", "Skeleton"):
        assert not page.get_by_role("button", name=name, exact=True).is_visible()
    assert page.asked <= {urlsplit(address).netloc, ""} and not page.failures
