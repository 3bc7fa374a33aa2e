// The stage of the pose editor: joints over a picture, to be taken with mouse, finger, pen or keyboard.

const TAKEN = { mouse: 26, touch: 36, pen: 26 }; // a joint is taken from this far, CSS pixels
const HANDLE = { mouse: 14, touch: 24, pen: 14 }; // … and a handle of the frame from this far
const UNSURE = 10; // a finger does not tell joints apart whose distances from it differ by less, CSS pixels
const PADDING = 34; // between chosen joints and their frame, units
const FACE = /nose|eye|ear/;

/** Of these joints those near a pointer, the nearest first; missing ones come last. `at`: see `pointer`. */
function nearJoints(session, joints, at, reach) {
  return joints
    .map((joint) => {
      const [x, y] = session.place(joint);
      return { joint, away: Math.hypot(x - at.x, y - at.y) * at.scale, missing: session.state(joint) === "missing" };
    })
    .filter(({ away }) => away <= reach)
    .sort((a, b) => a.missing - b.missing || a.away - b.away);
}

/** Part of the stage around some joints, as x, y and side in units. */
function closeUp(session, joints) {
  const [left, top, right, bottom] = session
    .bounds(joints)
    .map((value) => ((value + 0.5) / session.size) * UNITS);
  const side = Math.min(UNITS, Math.max(UNITS / 8, 1.7 * Math.max(right - left, bottom - top)));
  const corner = (middle) => Math.min(Math.max(middle - side / 2, 0), UNITS - side);
  return { x: corner((left + right) / 2), y: corner((top + bottom) / 2), side };
}

/** What one joint looks like, and what a screen reader is told of it. */
function makeJoint(session, name, joint) {
  return make(
    "g",
    {
      class: `joint ${partOf(name)}`,
      tabindex: "0",
      role: "slider", // the nearest role that there is: arrow keys change it, and its value is read out
      "aria-roledescription": "joint",
      "aria-label": spoken(name),
      "aria-valuemin": 0,
      "aria-valuemax": session.size - 1,
      "data-joint": name,
      onfocus: () => session.select(joint),
    },
    make("circle", { class: "touch", r: 60 }),
    make("circle", { class: "ring", r: 27 }),
    make("circle", { class: "dot", r: 15 }),
  );
}

/** The frame around chosen joints: four corners that scale them and one handle that turns them. */
function makeFrame() {
  const outline = make("rect", { class: "frame-line" });
  const stalk = make("line", { class: "frame-line" });
  const handles = ["north-west", "north-east", "south-east", "south-west", "turn"].map((name) =>
    make("circle", { class: `handle ${name}`, "data-handle": name, r: 17 }),
  );
  return { node: make("g", { class: "frame" }, outline, stalk, ...handles), outline, stalk, handles };
}

/**
 * The stage: joints over a picture. Returns its node, functions that draw the session's pose, hear keys, zoom, and
 * whether a finger or the mouse draws a box where there is no joint. `tell(words)` says what the stage did of itself.
 */
function makeStage(session, picture, tell) {
  const { names, limbs, size } = session;
  const svg = make("svg", { viewBox: `0 0 ${UNITS} ${UNITS}`, role: "group", "aria-label": "Skeleton, 18 joints" });
  const drawnLimbs = limbs.map(([, to]) => makeLimb(names[to]));
  const label = make("text", { class: "joint-name", "aria-hidden": "true" });
  const joints = names.map((name, joint) => makeJoint(session, name, joint));
  const all = names.map((_, joint) => joint);
  const face = all.filter((joint) => FACE.test(names[joint]));
  const frame = makeFrame();
  const box = make("rect", { class: "box" });
  const hips = make(
    "g",
    {
      class: "figure-handle",
      tabindex: "0",
      role: "slider",
      "aria-roledescription": "handle",
      "aria-label": "whole figure, at the middle of the hips",
      "aria-valuemin": 0,
      "aria-valuemax": size - 1,
      "data-handle": "figure",
    },
    make("rect", { x: -15, y: -15, width: 30, height: 30, rx: 5 }),
  );
  svg.append(...drawnLimbs.map((limb) => limb.node), frame.node, hips, ...joints, label, box);
  let view = { x: 0, y: 0, side: UNITS };
  const stage = { boxes: false };
  const units = (value) => ((value + 0.5) / size) * UNITS;

  /** The pointer in pixels of the pose, and how many CSS pixels one of these is. */
  function pointer(event) {
    const rectangle = svg.getBoundingClientRect();
    const [x, y] = [
      view.x + ((event.clientX - rectangle.left) / rectangle.width) * view.side,
      view.y + ((event.clientY - rectangle.top) / rectangle.height) * view.side,
    ].map((value) => (value / UNITS) * size - 0.5);
    return { x, y, scale: ((rectangle.width / size) * UNITS) / view.side };
  }
  const away = (at, [x, y]) => Math.hypot(x - at.x, y - at.y) * at.scale;

  // keys

  const way = (event, step) =>
    ({ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] })[event.key];

  stage.key = (event) => {
    const path = event.composedPath();
    const joint = joints.findIndex((node) => path.includes(node));
    const figure = path.includes(hips);
    if (joint < 0 && !figure) return;
    const by = way(event, event.shiftKey ? size / 16 : size / 64);
    const key = event.key.toLowerCase();
    if (by) {
      const [x, y] = figure ? session.centre() : session.place(joint);
      session.begin();
      if (figure) session.moveFigure(x + by[0], y + by[1]);
      else session.move(joint, x + by[0], y + by[1], event.altKey);
      session.finish(`arrows ${figure ? "figure" : joint}`);
    } else if (event.altKey) return;
    else if (key === "+" || key === "-") session.change(key === "+" ? 1.05 : 1 / 1.05, 0, "scale");
    else if (key === "," || key === ".") session.change(1, ((key === "." ? 1 : -1) * Math.PI) / 36, "turn");
    else if (key === "escape") session.choose([]);
    else if (figure) return;
    else if (key === " ") session.toggle(joint);
    else if (key === "delete" || key === "backspace") {
      session.setState(joint, session.state(joint) === "missing" ? "seen" : "missing");
    } else if (key === "h") session.setState(joint, session.state(joint) === "hidden" ? "seen" : "hidden");
    else return;
    event.preventDefault();
  };

  // gestures: each is a function that is called with the place of the pointer until it is lifted

  const moveJoint = (joint, at, alone) => {
    const [x, y] = session.place(joint);
    return (to) => session.move(joint, to.x + x - at.x, to.y + y - at.y, alone);
  };
  const moveFigure = (at) => {
    const [x, y] = session.centre();
    return (to) => session.moveFigure(to.x + x - at.x, to.y + y - at.y);
  };

  function scale(number, at) {
    const joints = session.group();
    const [left, top, right, bottom] = session.bounds(joints);
    const opposite = [number === 0 || number === 3 ? right : left, number < 2 ? bottom : top];
    const from = Math.hypot(at.x - opposite[0], at.y - opposite[1]);
    return (to) => {
      const factor = Math.hypot(to.x - opposite[0], to.y - opposite[1]) / from;
      session.transform(joints, opposite, Math.max(factor, 0.1), 0);
    };
  }
  function turn(at) {
    const joints = session.group();
    const [left, top, right, bottom] = session.bounds(joints);
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const begun = Math.atan2(at.y - y, at.x - x);
    return (to) => session.transform(joints, [x, y], 1, Math.atan2(to.y - y, to.x - x) - begun);
  }

  /** Choose the joints in a rectangle; `kept` stay chosen. */
  const choose = (at, kept) => (to) => {
    const [left, right] = [Math.min(at.x, to.x), Math.max(at.x, to.x)];
    const [top, bottom] = [Math.min(at.y, to.y), Math.max(at.y, to.y)];
    const inside = session.present(all).filter((joint) => {
      const [x, y] = session.place(joint);
      return left <= x && x <= right && top <= y && y <= bottom;
    });
    box.classList.add("drawn");
    const [x, y] = [units(left), units(top)];
    for (const [name, value] of Object.entries({ x, y, width: units(right) - x, height: units(bottom) - y })) {
      box.setAttribute(name, value);
    }
    session.choose([...kept, ...inside]);
  };

  /** Whether a finger cannot tell which joint of the face it means; one that is selected already is meant. */
  function unsure(near, event) {
    if (event.pointerType !== "touch" || near.length < 2 || view.side < UNITS) return false;
    const [first, second] = near;
    const crowd = [first, second].every(({ joint }) => face.includes(joint)) && first.missing === second.missing;
    return crowd && second.away - first.away < UNSURE && svg.getRootNode().activeElement !== joints[first.joint];
  }

  /** The gesture that begins here, if any. */
  function beginning(event, at) {
    const touch = event.pointerType || "mouse";
    const near = nearJoints(session, all, at, TAKEN[touch]);
    const handle = nearestHandle(at, HANDLE[touch]);
    const closest = near[0]?.away ?? Infinity;
    if (handle && handle.away < closest) return handle.number < 4 ? scale(handle.number, at) : turn(at);
    if (!hips.classList.contains("absent") && away(at, session.centre()) < Math.min(closest, HANDLE[touch])) return moveFigure(at);
    if (near.length) {
      const { joint } = near[0];
      if (event.shiftKey) {
        session.toggle(joint);
        return () => {};
      }
      if (!session.chosen.has(joint)) session.choose([]);
      joints[joint].focus({ preventScroll: true });
      return moveJoint(joint, at, event.altKey);
    }
    const kept = event.shiftKey ? [...session.chosen] : [];
    if (touch === "touch" && !stage.boxes) return null; // the page scrolls
    session.choose(kept);
    return choose(at, kept);
  }

  let gesture = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const at = pointer(event);
    if (unsure(nearJoints(session, all, at, TAKEN.touch), event)) {
      event.preventDefault();
      stage.zoom(true);
      tell("Closer to the face: now take the joint. The button Face leads back.");
      return;
    }
    gesture = beginning(event, at);
    if (!gesture) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    window.addEventListener("pointermove", follow);
    for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, end, { once: true });
    session.begin();
    svg.classList.add("dragging");
  });
  // a finger on a joint does not scroll the page; beside the joints it does
  svg.addEventListener("touchstart", (event) => gesture && event.preventDefault(), { passive: false });
  // at the window: a hand may leave the stage, and lift there
  const follow = (event) => gesture?.(pointer(event));
  function end() {
    if (!gesture) return;
    gesture = null;
    window.removeEventListener("pointermove", follow);
    svg.classList.remove("dragging");
    box.classList.remove("drawn");
    session.finish();
  }

  // zoom

  /** Whether the face is seen closely, or the whole picture. */
  stage.close = () => view.side < UNITS;
  stage.zoom = (close) => {
    view = close ? closeUp(session, face) : { x: 0, y: 0, side: UNITS };
    const enlarged = UNITS / view.side;
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.side} ${view.side}`);
    svg.style.setProperty("--thin", 1 / enlarged);
    svg.classList.toggle("close", enlarged > 1);
    const [left, top] = [view.x, view.y].map((value) => (-100 * value * enlarged) / UNITS);
    picture.style.transform = enlarged > 1 ? `translate(${left}%, ${top}%) scale(${enlarged})` : "";
    drawn.length = 0;
    session.draw();
  };

  // drawing

  const drawn = []; // of each joint what is on the page, for in a drag one moves and the others stay
  const put = (node, x, y) => node.setAttribute("transform", `translate(${x} ${y}) scale(${view.side / UNITS})`);

  function drawJoint(node, joint) {
    const [x, y] = session.place(joint);
    const state = session.state(joint);
    const selected = joint === session.selected;
    const chosen = session.chosen.has(joint);
    const now = [x, y, state, selected, chosen].join();
    if (drawn[joint] === now) return;
    drawn[joint] = now;
    put(node, units(x), units(y));
    node.dataset.state = state;
    node.classList.toggle("selected", selected);
    node.classList.toggle("chosen", chosen);
    node.setAttribute("aria-valuenow", Math.round(x));
    const words = `x ${Math.round(x)}, y ${Math.round(y)}, ${state}${chosen ? ", chosen" : ""}`;
    node.setAttribute("aria-valuetext", words);
    if (selected) drawLabel(joint, units(x), units(y));
  }

  /** The joint's name beside the body, where there is room. */
  function drawLabel(joint, px, py) {
    const neck = session.place(session.neck)[0];
    const across = (px - view.x) / view.side;
    const left = across > 0.7 || (across > 0.3 && session.place(joint)[0] < neck);
    write(label, spoken(names[joint]));
    put(label, px, py);
    label.setAttribute("x", left ? -42 : 42);
    label.setAttribute("y", 11);
    label.setAttribute("text-anchor", left ? "end" : "start");
  }

  /** Where the frame's corners and its turning handle are, in units; none without a choice. */
  function corners() {
    const joints = session.present([...session.chosen]);
    if (joints.length < 2) return [];
    const padding = (PADDING * view.side) / UNITS;
    const margin = padding / 2;
    const kept = (value, start) => Math.min(Math.max(value, start + margin), start + view.side - margin);
    const [left, top, right, bottom] = session.bounds(joints).map(units);
    const [x0, x1] = [kept(left - padding, view.x), kept(right + padding, view.x)];
    const [y0, y1] = [kept(top - padding, view.y), kept(bottom + padding, view.y)];
    const above = y0 - 2 * padding > view.y;
    const turning = [(x0 + x1) / 2, above ? y0 - 2 * padding : Math.min(y1 + 2 * padding, view.y + view.side - margin)];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], turning];
  }

  function nearestHandle(at, reach) {
    const pixels = (value) => (value / UNITS) * size - 0.5;
    const found = corners()
      .map(([x, y], number) => ({ number, away: away(at, [pixels(x), pixels(y)]) }))
      .sort((a, b) => a.away - b.away);
    return found.length && found[0].away <= reach ? found[0] : null;
  }

  function drawFrame() {
    const places = corners();
    frame.node.classList.toggle("absent", !places.length);
    if (!places.length) return;
    const [[x, y], , [x1, y1], , [turnX, turnY]] = places;
    const values = { x, y, width: x1 - x, height: y1 - y };
    for (const [name, value] of Object.entries(values)) frame.outline.setAttribute(name, value);
    const stalk = { x1: turnX, y1: turnY < y ? y : y1, x2: turnX, y2: turnY };
    for (const [name, value] of Object.entries(stalk)) frame.stalk.setAttribute(name, value);
    frame.handles.forEach((handle, number) => put(handle, ...places[number]));
  }

  function drawFigureHandle() {
    const [x, y] = session.centre();
    hips.classList.toggle("absent", !session.present(session.hips).length);
    put(hips, units(x), units(y));
    hips.setAttribute("aria-valuenow", Math.round(x));
    hips.setAttribute("aria-valuetext", `x ${Math.round(x)}, y ${Math.round(y)}`);
  }

  stage.draw = () => {
    limbs.forEach(([from, to], number) => {
      const absent = [from, to].some((joint) => session.state(joint) === "missing");
      const limb = drawnLimbs[number];
      const now = absent ? "" : [session.place(from), session.place(to)].join();
      if (limb.drawn === now) return;
      limb.drawn = now;
      limb.node.classList.toggle("absent", absent);
      if (!absent) placeLimb(limb, session.place(from), session.place(to), size);
    });
    joints.forEach(drawJoint);
    drawFigureHandle();
    drawFrame();
  };
  stage.node = make("div", { class: "stage-box" }, make("div", { class: "backdrop" }, picture), svg);
  return stage;
}
