// Shared by the widgets of posegen.explore, which put it before their own script.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "line", "circle", "path", "rect", "text"]);

/** An element: `make("button", { class: "tool", onclick: undo }, "Undo")`. False and null attributes are left out. */
function make(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Set a node's text; the same text again costs nothing. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Show a PNG (a DataView from Python) in an <img>, which keeps the old picture until the new one is decoded. */
function showPicture(image, bytes) {
  const before = image.src;
  image.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

/**
 * Hear the keys that are pressed in `root` before the notebook does, which would take Delete, Z and the arrows for its
 * own. Notebook 7 listens at the document, before any element is asked: only the window is earlier. Returns a function
 * that ends it.
 */
function hearKeys(root, heard) {
  const listen = (event) => {
    if (!event.composedPath().includes(root)) return;
    event.stopPropagation();
    heard(event);
  };
  window.addEventListener("keydown", listen, true);
  return () => window.removeEventListener("keydown", listen, true);
}

/** Which side and part of the body a joint belongs to, as class names: "right arm". The colours hang on it. */
function partOf(name) {
  const side = name.split("_")[0];
  if (/shoulder|elbow|wrist/.test(name)) return `${side} arm`;
  if (/hip|knee|ankle/.test(name)) return `${side} leg`;
  return "head";
}

/** "right wrist" for "right_wrist". */
const spoken = (name) => name.replaceAll("_", " ");

const UNITS = 1000; // side of every drawing; a pixel x of the pose has its centre at (x + 0.5) / size of that

/** A limb as two lines: a dark one beneath makes the coloured one readable on light and dark pictures. */
function makeLimb(name) {
  const lines = [make("line", { class: "limb-edge" }), make("line", { class: `limb ${partOf(name)}` })];
  return { lines, node: make("g", {}, ...lines) };
}

function placeLimb(limb, from, to, size) {
  for (const line of limb.lines) {
    line.setAttribute("x1", ((from[0] + 0.5) / size) * UNITS);
    line.setAttribute("y1", ((from[1] + 0.5) / size) * UNITS);
    line.setAttribute("x2", ((to[0] + 0.5) / size) * UNITS);
    line.setAttribute("y2", ((to[1] + 0.5) / size) * UNITS);
  }
}

/** A small drawing of a pose (18 rows of x, y, confidence). */
function drawPose(keypoints, size, skeleton) {
  const drawing = make("svg", { viewBox: `0 0 ${UNITS} ${UNITS}`, "aria-hidden": "true", class: "small-pose" });
  for (const [a, b] of skeleton.limbs) {
    if (keypoints[a][2] > 0 && keypoints[b][2] > 0) {
      const limb = makeLimb(skeleton.names[b]);
      placeLimb(limb, keypoints[a], keypoints[b], size);
      drawing.append(limb.node);
    }
  }
  return drawing;
}

const NARROW = 260; // CSS pixels: a widget is not squeezed into less, it offers the whole page instead

/**
 * Let a widget fill the page, and come back. `toggle` does it; where the notebook leaves it only a sliver (a phone with
 * an open sidebar), a note with that button takes its place. Returns the toggle and a function that ends it.
 */
function wholePage(root, what, changed = () => {}) {
  const filled = () => root.classList.contains("whole-page");
  function toggle() {
    if (filled()) {
      root.hidePopover();
      root.removeAttribute("popover");
    } else {
      root.setAttribute("popover", "manual"); // which lies above all that the notebook may cut off
      root.showPopover();
    }
    root.classList.toggle("whole-page");
    changed(filled());
  }
  const note = make(
    "div",
    { class: "sliver-note" },
    make("button", { type: "button", onclick: toggle, "aria-label": `Open the ${what} on the whole page` }, "Open"),
  );
  root.append(note);
  const watcher = new ResizeObserver(() => root.classList.toggle("sliver", !filled() && root.clientWidth < NARROW));
  watcher.observe(root);
  return { toggle, filled, end: () => watcher.disconnect() };
}
