// The pose editor on a page of the site: the notebook's widget, with the network in the browser instead of Python.

import editor from "./editor.js";

const OWN = "Photos and poses of your own need the program: make lab.";
const place = document.querySelector("#pose-editor");
const here = (name) => new URL(name, import.meta.url).href;
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);

/** The pixels of a PNG as the network reads them: red, green, blue of each. */
async function pixels(picture, size) {
  const canvas = new OffscreenCanvas(size, size);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(await createImageBitmap(new Blob([picture], { type: "image/png" })), 0, 0);
  return pen.getImageData(0, 0, size, size).data.filter((_, number) => number % 4 < 3);
}

/** What the widget takes for its Python half: traits that can be set, heard of and saved, and answers to messages. */
class Model {
  constructor(known) {
    Object.assign(this, { known, heard: {}, paint: () => {} });
  }
  get(name) {
    return this.known[name];
  }
  set(name, value) {
    this.known[name] = value;
    this.tell(`change:${name}`);
  }
  on(name, listener) {
    (this.heard[name] ??= new Set()).add(listener);
  }
  off(name, listener) {
    this.heard[name]?.delete(listener);
  }
  tell(name, ...words) {
    for (const listener of this.heard[name] ?? []) listener(...words);
  }
  save_changes() {
    this.paint();
  }
  send({ use }) {
    if (use === "save picture") this.tell("msg:custom", { file: "posegen.png" }, [this.known.coarse]);
    else this.tell("msg:custom", { message: OWN }, []);
  }
}

/** Paints the newest pose of a model in a worker; those that were overtaken meanwhile are left out. */
function makePainter(model, photos, worker, finished) {
  let busy = false;
  let waiting = false;
  let number = 0;
  function paint() {
    if (busy) {
      waiting = true;
      return;
    }
    busy = true;
    const person = model.get("person");
    const own = model.get("people_poses")[person];
    const size = model.get("size");
    worker.postMessage({ number: ++number, size, picture: photos[person], own, wanted: model.get("keypoints") });
  }
  worker.addEventListener("message", ({ data }) => {
    busy = false;
    if (waiting) {
      waiting = false;
      paint();
    }
    if (data.error) model.set("message", `The network stopped: ${data.error}`);
    else {
      model.set("coarse", new DataView(data.bytes));
      model.set("milliseconds", data.milliseconds);
      model.set("renders", model.get("renders") + 1);
    }
    finished(data.error);
  });
  return paint;
}

async function start() {
  const state = await (await fetch(here("state.json"))).json();
  state.people = state.people.map(bytes);
  const empty = new DataView(new ArrayBuffer(0));
  const model = new Model({
    ...state,
    keypoints: state.presets[0].keypoints,
    person: 0,
    pose_picture: empty,
    coarse: empty,
    refined: empty,
    milliseconds: 0,
    renders: 0,
    message: "",
  });
  const photos = await Promise.all(state.people.map((picture) => pixels(picture, state.size)));
  const worker = new Worker(here("worker.js"), { type: "module" });
  const first = new Promise((resolve, reject) => {
    model.paint = makePainter(model, photos, worker, (error) => (error ? reject(Error(error)) : resolve()));
    worker.addEventListener("error", (event) => reject(Error(event.message || "its script could not be read")));
  });
  model.paint();
  await first; // until then the page's picture stays
  const widget = editor();
  widget.initialize({ model });
  for (const kept of place.closest(".cell_output").querySelectorAll("img")) kept.style.display = "none"; // picture of it
  place.replaceChildren();
  widget.render({ model, el: place });
  place.dataset.state = "ready";
}

start().catch((error) => {
  place.dataset.state = "failed";
  place.querySelector(".editor-note").textContent = `The network could not be started in this browser: ${error.message}`;
});
