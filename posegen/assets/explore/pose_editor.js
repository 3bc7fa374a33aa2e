// The pose editor's face. Everything that changes the pose happens here, at once; Python paints the newest pose.

const HIDDEN = 0.5; // confidence of a joint that is there but not seen
const TOUCH = 26; // a joint is taken from this far, CSS pixels
const LONGEST_SIDE = 1600; // a photo is made this small before it is sent to Python
const HINT =
  "Drag a joint, or reach it with Tab and move it with the arrow keys (Shift: larger steps). " +
  "Delete: missing or back. H: hidden. Ctrl+Z: undo.";
const copy = (pose) => pose.map((row) => [...row]);
const same = (a, b) => a.every((row, joint) => row.every((value, k) => value === b[joint][k]));

/** The pose and its history: one for all views of a widget. */
class Session {
  constructor(model) {
    const { names, limbs, mirrored } = model.get("skeleton");
    Object.assign(this, { model, names, limbs, mirrored, size: model.get("size") });
    this.parent = Object.fromEntries(limbs.map(([from, to]) => [to, from])); // the limbs are a tree from the neck
    this.pose = copy(model.get("keypoints"));
    this.before = null; // the pose at the beginning of a gesture
    this.past = [];
    this.future = [];
    this.remembered = {}; // where joints were that were taken out
    this.selected = names.indexOf("right_wrist");
    this.rigid = false;
    this.views = new Set();
    model.on("change:keypoints", () => this.received());
  }

  /** A pose that Python has set can be undone, too. */
  received() {
    const pose = this.model.get("keypoints");
    if (this.sending || same(pose, this.pose)) return;
    this.past.push(this.pose);
    this.future = [];
    this.remembered = {};
    this.pose = copy(pose);
    this.draw();
  }

  draw() {
    for (const view of this.views) view();
  }

  begin() {
    this.before ??= copy(this.pose);
  }

  show(pose) {
    this.pose = pose.map((row) => row.map((value) => Math.round(value * 100) / 100));
    this.sending = true;
    this.model.set("keypoints", copy(this.pose));
    this.sending = false;
    this.scheduled ??= requestAnimationFrame(() => {
      this.scheduled = null;
      this.model.save_changes();
    });
    this.draw();
  }

  finish() {
    if (this.before && !same(this.before, this.pose)) {
      this.past.push(this.before);
      this.future = [];
    }
    this.before = null;
    this.draw();
  }

  replace(pose) {
    this.begin();
    this.remembered = {};
    this.show(pose);
    this.finish();
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.pose);
    this.remembered = {};
    this.show(from.pop());
  }
  undo() {
    this.travel(this.past, this.future);
  }
  redo() {
    this.travel(this.future, this.past);
  }

  mirror() {
    this.replace(
      this.mirrored.map((other) => {
        const [x, y, confidence] = this.pose[other];
        return confidence > 0 ? [this.size - 1 - x, y, confidence] : [0, 0, 0];
      }),
    );
  }

  state(joint) {
    const confidence = this.pose[joint][2];
    return confidence <= 0 ? "missing" : confidence <= HIDDEN ? "hidden" : "seen";
  }

  setState(joint, state) {
    if (state === this.state(joint)) return;
    const [x, y] = this.place(joint);
    if (state === "missing") this.remembered[joint] = [x, y];
    const pose = copy(this.pose);
    pose[joint] = state === "missing" ? [0, 0, 0] : [x, y, state === "hidden" ? HIDDEN : 1];
    this.begin();
    this.show(pose);
    this.finish();
  }

  inside([x, y]) {
    const last = this.size - 1;
    return [Math.min(Math.max(x, 0), last), Math.min(Math.max(y, 0), last)];
  }

  /** Where a joint is; one that is missing lies where it was, or where a standing person has it. */
  place(joint) {
    if (this.pose[joint][2] > 0) return this.pose[joint].slice(0, 2);
    if (this.remembered[joint]) return this.remembered[joint];
    const standing = this.model.get("presets")[0].keypoints;
    const parent = this.parent[joint];
    if (parent === undefined) return standing[joint].slice(0, 2);
    const from = this.place(parent);
    return this.inside([0, 1].map((k) => from[k] + standing[joint][k] - standing[parent][k]));
  }

  below(joint) {
    const children = this.limbs.filter(([from]) => from === joint).map(([, to]) => to);
    return [joint, ...children.flatMap((child) => this.below(child))];
  }

  /** Move a joint to (x, y), within a gesture. */
  move(joint, x, y) {
    const pose = copy(this.pose);
    const target = this.inside([x, y]);
    if (pose[joint][2] <= 0) pose[joint] = [...this.place(joint), 1];
    if (this.rigid) this.moveRigid(pose, joint, target);
    else pose[joint].splice(0, 2, ...target);
    this.show(pose);
  }

  /** The same with limbs that keep the lengths which they had when the gesture began. */
  moveRigid(pose, joint, target) {
    const middle = this.parent[joint];
    const root = this.parent[middle];
    const present = (index) => index !== undefined && pose[index][2] > 0;
    if (/wrist|ankle/.test(this.names[joint]) && present(middle) && present(root)) {
      this.bend(pose, root, middle, joint, target);
      return;
    }
    let [x, y] = target;
    if (present(middle)) {
      const length = this.length(middle, joint);
      const angle = Math.atan2(y - pose[middle][1], x - pose[middle][0]);
      [x, y] = [pose[middle][0] + length * Math.cos(angle), pose[middle][1] + length * Math.sin(angle)];
    }
    this.shift(pose, this.below(joint), x - pose[joint][0], y - pose[joint][1]);
  }

  length(a, b) {
    const from = this.before ?? this.pose;
    const known = from[a][2] > 0 && from[b][2] > 0 ? from : this.pose;
    return Math.hypot(known[a][0] - known[b][0], known[a][1] - known[b][1]);
  }

  /** An arm or a leg reaches for the target: two bones of fixed length from a fixed root (law of cosines). */
  bend(pose, root, middle, end, target) {
    const upper = this.length(root, middle);
    const lower = this.length(middle, end);
    const [x, y] = [target[0] - pose[root][0], target[1] - pose[root][1]];
    const reach = Math.min(Math.max(Math.hypot(x, y), Math.abs(upper - lower), 1e-6), upper + lower);
    const angle = Math.atan2(y, x);
    const cosine = (upper ** 2 + reach ** 2 - lower ** 2) / (2 * upper * reach || 1);
    const [mx, my] = [pose[middle][0] - pose[root][0], pose[middle][1] - pose[root][1]];
    const [ex, ey] = [pose[end][0] - pose[root][0], pose[end][1] - pose[root][1]];
    const side = ex * my - ey * mx < 0 ? -1 : 1; // the elbow stays on its side
    const turned = angle + side * Math.acos(Math.min(Math.max(cosine, -1), 1));
    const at = (radius, direction) =>
      this.inside([pose[root][0] + radius * Math.cos(direction), pose[root][1] + radius * Math.sin(direction)]);
    pose[middle].splice(0, 2, ...at(upper, turned));
    pose[end].splice(0, 2, ...at(reach, angle));
  }

  /** Move some joints together, no further than the edge of the picture. */
  shift(pose, joints, dx, dy) {
    const moved = joints.filter((joint) => pose[joint][2] > 0).map((joint) => pose[joint]);
    [dx, dy].forEach((distance, axis) => {
      const lowest = Math.min(...moved.map((row) => row[axis]));
      const highest = Math.max(...moved.map((row) => row[axis]));
      const allowed = Math.min(Math.max(distance, -lowest), this.size - 1 - highest);
      for (const row of moved) row[axis] += allowed;
    });
  }

  /** The format of OpenPose, which posegen.keypoints reads. */
  toJSON() {
    const people = this.pose.some((row) => row[2] > 0)
      ? [{ person_id: [-1], pose_keypoints_2d: this.pose.flat() }]
      : [];
    return { version: 1.3, people };
  }
}

const ICONS = {
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  mirror: "M12 3v18M8 7l-5 9h5zM16 7l5 9h-5z",
  photo: "M4 7h4l2-2h4l2 2h4v12H4zM12 16a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  save: "M12 4v11m-5-5 5 5 5-5M5 20h14",
};

function icon(name) {
  return make("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, make("path", { d: ICONS[name] }));
}

function tool(name, label, action, title = label) {
  return make("button", { type: "button", class: "tool", title, onclick: action }, icon(name), label);
}

function download(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** A picture file as JPEG of bounded size: a message to Python must not be longer than about 10 MB. */
async function shrunk(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = make("canvas", {
    width: Math.max(1, Math.round(picture.width * scale)),
    height: Math.max(1, Math.round(picture.height * scale)),
  });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

function fileButton(label, title, accept, onfile) {
  const input = make("input", { type: "file", accept, hidden: "", tabindex: "-1", "aria-label": title });
  input.addEventListener("change", () => {
    if (input.files.length) onfile(input.files[0]);
    input.value = "";
  });
  return make("span", {}, tool("photo", label, () => input.click(), title), input);
}

function figure(kind, caption, ...content) {
  return make("figure", { class: kind }, make("figcaption", {}, ...caption), ...content);
}

/** The stage: joints over a picture. Returns its node, a function that draws the session's pose, and one for keys. */
function makeStage(session, picture) {
  const { names, limbs, size } = session;
  const svg = make("svg", { viewBox: `0 0 ${UNITS} ${UNITS}`, role: "group", "aria-label": "Skeleton, 18 joints" });
  const drawnLimbs = limbs.map(([, to]) => makeLimb(names[to]));
  const label = make("text", { class: "joint-name", "aria-hidden": "true" });
  const joints = names.map((name, joint) =>
    make(
      "g",
      {
        class: `joint ${partOf(name)}`,
        tabindex: "0",
        role: "slider", // the nearest role that there is: arrow keys change it, and its value is read out
        "aria-roledescription": "joint",
        "aria-label": spoken(name),
        "aria-valuemin": 0,
        "aria-valuemax": size - 1,
        "data-joint": name,
        onfocus: () => {
          session.selected = joint;
          session.draw();
        },
      },
      make("circle", { class: "touch", r: 60 }),
      make("circle", { class: "ring", r: 27 }),
      make("circle", { class: "dot", r: 15 }),
    ),
  );
  svg.append(...drawnLimbs.map((limb) => limb.node), ...joints, label);

  function key(event) {
    const joint = joints.indexOf(event.composedPath().find((node) => joints.includes(node)));
    if (joint < 0) return;
    const step = event.shiftKey ? size / 16 : size / 64;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const way = ways[event.key];
    if (way) {
      const [x, y] = session.place(joint);
      session.begin();
      session.move(joint, x + way[0], y + way[1]);
      session.finish();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      session.setState(joint, session.state(joint) === "missing" ? "seen" : "missing");
    } else if (event.key.toLowerCase() === "h") {
      session.setState(joint, session.state(joint) === "hidden" ? "seen" : "hidden");
    } else return;
    event.preventDefault();
  }

  /** The pointer in pixels of the pose, and how many CSS pixels one of these is. */
  function pointer(event) {
    const box = svg.getBoundingClientRect();
    const scale = box.width / size;
    return { x: (event.clientX - box.left) / scale - 0.5, y: (event.clientY - box.top) / scale - 0.5, scale };
  }

  /** The joint next to the pointer; a missing one only where no other is near. */
  function nearest({ x, y, scale }) {
    let best = null;
    names.forEach((_, joint) => {
      const [jx, jy] = session.place(joint);
      const away = Math.hypot(jx - x, jy - y) * scale;
      const missing = session.state(joint) === "missing";
      if (away <= TOUCH && (!best || missing < best.missing || (missing === best.missing && away < best.away))) {
        best = { joint, away, missing };
      }
    });
    return best?.joint;
  }

  let dragged = null; // the joint, and where it was taken
  svg.addEventListener("pointerdown", (event) => {
    const at = pointer(event);
    const joint = nearest(at);
    if (joint === undefined || event.button !== 0) return;
    event.preventDefault();
    const [x, y] = session.place(joint);
    dragged = { joint, dx: x - at.x, dy: y - at.y };
    svg.setPointerCapture(event.pointerId);
    session.begin();
    joints[joint].focus({ preventScroll: true });
    svg.classList.add("dragging");
  });
  // a finger on a joint does not scroll the page; beside the joints it does
  svg.addEventListener("touchstart", (event) => dragged && event.preventDefault(), { passive: false });
  svg.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const at = pointer(event);
    session.move(dragged.joint, at.x + dragged.dx, at.y + dragged.dy);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    svg.addEventListener(end, () => {
      if (!dragged) return;
      dragged = null;
      svg.classList.remove("dragging");
      session.finish();
    });
  }

  const drawn = []; // of each joint what is on the page, for in a drag one moves and the others stay

  function drawJoint(node, joint) {
    const [x, y] = session.place(joint);
    const state = session.state(joint);
    const selected = joint === session.selected;
    const now = [x, y, state, selected].join();
    if (drawn[joint] === now) return;
    drawn[joint] = now;
    const [px, py] = [x, y].map((value) => ((value + 0.5) / size) * UNITS);
    node.setAttribute("transform", `translate(${px} ${py})`);
    node.dataset.state = state;
    node.classList.toggle("selected", selected);
    node.setAttribute("aria-valuenow", Math.round(x));
    node.setAttribute("aria-valuetext", `x ${Math.round(x)}, y ${Math.round(y)}, ${state}`);
    if (selected) drawLabel(joint, px, py);
  }

  /** The joint's name beside the body, where there is room. */
  function drawLabel(joint, px, py) {
    const neck = session.place(names.indexOf("neck"))[0];
    const left = px > UNITS * 0.7 || (px > UNITS * 0.3 && session.place(joint)[0] < neck);
    write(label, spoken(names[joint]));
    label.setAttribute("x", px + (left ? -42 : 42));
    label.setAttribute("y", py + 11);
    label.setAttribute("text-anchor", left ? "end" : "start");
  }

  function draw() {
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
  }
  return { node: make("div", { class: "stage-box" }, picture, svg), draw, key };
}

function render({ model, el, session }) {
  const size = model.get("size");
  const skeleton = model.get("skeleton");
  const pictures = Object.fromEntries(
    ["photo", "coarse", "refined", "background"].map((name) => [name, make("img", { draggable: "false" })]),
  );
  pictures.photo.alt = "The photo: the person that is put into the pose";
  pictures.coarse.alt = "Result of the first stage";
  pictures.refined.alt = "Result: the person in the pose";
  pictures.background.alt = "";
  const stage = makeStage(session, pictures.background);

  // left: whose photo
  const people = make("div", { class: "choices", role: "group", "aria-label": "People" });
  const ownPhoto = fileButton("Own photo…", "Use a photo of your own", "image/*", (file) => send("photo", file));

  // below: poses and tools
  const presets = make("div", { class: "choices poses", role: "group", "aria-label": "Poses" });
  for (const preset of model.get("presets")) {
    const choose = () => session.replace(copy(preset.keypoints));
    presets.append(
      make(
        "button",
        { type: "button", class: "choice", title: preset.name, "aria-label": `Pose: ${preset.name}`, onclick: choose },
        drawPose(preset.keypoints, size, skeleton),
      ),
    );
  }
  const ownPose = fileButton(
    "From a file…",
    "Take the pose from a photo or from OpenPose JSON",
    "image/*,.json",
    (file) => send("pose", file),
  );
  const undo = tool("undo", "Undo", () => session.undo(), "Undo (Ctrl+Z)");
  const redo = tool("redo", "Redo", () => session.redo(), "Redo (Ctrl+Shift+Z)");
  const mirror = tool("mirror", "Mirror", () => session.mirror(), "Swap left and right");
  const rigid = make("input", { type: "checkbox" });
  rigid.addEventListener("change", () => {
    session.rigid = rigid.checked;
    session.draw();
  });
  const jointName = make("span", { class: "joint-label" });
  const states = ["seen", "hidden", "missing"].map((state) =>
    make(
      "button",
      {
        type: "button",
        title: { seen: "The joint is seen", hidden: "Hidden (key H)", missing: "Missing (key Delete)" }[state],
        onclick: () => session.setState(session.selected, state),
      },
      state,
    ),
  );
  const behind = make("select", { "aria-label": "Behind the skeleton" });
  for (const [value, words] of Object.entries({ result: "the result", photo: "the photo", nothing: "nothing" })) {
    behind.append(make("option", { value }, words));
  }
  behind.addEventListener("change", drawBackground);
  const savePicture = tool("save", "PNG", () => download("posegen.png", new Blob([result()], { type: "image/png" })),
    "Save the result as PNG");
  const saveKeypoints = tool("save", "Keypoints", () =>
    download("posegen_keypoints.json", new Blob([JSON.stringify(session.toJSON())], { type: "application/json" })),
    "Save the pose as OpenPose JSON");
  const speed = make("span", { class: "speed" });
  const message = make("p", { class: "message", role: "status" });

  const root = make(
    "div",
    { class: "posegen pose-editor", role: "group", "aria-label": "Pose editor" },
    make(
      "div",
      { class: "board" },
      figure("photo side", ["Photo"], pictures.photo, people, ownPhoto),
      figure("stage hero", ["Pose", make("label", { class: "group soft" }, "over", behind)], stage.node),
      figure("result hero", ["Result", speed], pictures.refined),
      figure(
        "coarse side",
        ["First stage"],
        pictures.coarse,
        make("p", { class: "soft" }, "What G1 makes. G2 adds a difference map to it, and that is the result."),
        make("div", { class: "group" }, savePicture, saveKeypoints),
      ),
    ),
    make("div", { class: "row" }, make("span", { class: "row-title" }, "Poses"), presets, ownPose),
    make(
      "div",
      { class: "row tools" },
      make("div", { class: "group" }, undo, redo, mirror),
      make("div", { class: "group" }, jointName, make("div", { class: "switch", role: "group", "aria-label": "Joint" },
        ...states)),
      make("label", { class: "group" }, rigid, "Keep limb lengths"),
    ),
    make("p", { class: "soft hint" }, HINT),
    message,
  );

  const deaf = hearKeys(root, (event) => {
    const key = event.key.toLowerCase();
    if (event.altKey) return;
    if (!(event.ctrlKey || event.metaKey)) return stage.key(event);
    if (key === "z" && !event.shiftKey) session.undo();
    else if (key === "y" || key === "z") session.redo();
    else return;
    event.preventDefault();
  });

  const result = () => (model.get("refined").byteLength ? model.get("refined") : model.get("coarse"));

  function drawBackground() {
    pictures.background.hidden = behind.value === "nothing";
    if (behind.value === "result") showPicture(pictures.background, result());
    if (behind.value === "photo") showPicture(pictures.background, model.get("people")[model.get("person")]);
  }
  function drawResult() {
    const milliseconds = model.get("milliseconds");
    showPicture(pictures.coarse, model.get("coarse"));
    showPicture(pictures.refined, result());
    write(speed, milliseconds ? `${Math.round(milliseconds)} ms` : "");
    if (behind.value === "result") drawBackground();
  }
  function drawPeople() {
    const names = model.get("people_names");
    people.replaceChildren(
      ...model.get("people").map((bytes, number) => {
        const image = make("img", { alt: "" });
        showPicture(image, bytes);
        const chosen = number === model.get("person");
        const choose = () => {
          model.set("person", number);
          model.save_changes();
        };
        return make(
          "button",
          {
            type: "button",
            class: "choice",
            title: names[number],
            "aria-label": `Person: ${names[number]}`,
            "aria-pressed": String(chosen),
            onclick: choose,
          },
          image,
        );
      }),
    );
    drawPerson();
  }
  function drawPerson() {
    showPicture(pictures.photo, model.get("people")[model.get("person")]);
    [...people.children].forEach((button, number) =>
      button.setAttribute("aria-pressed", String(number === model.get("person"))),
    );
    if (behind.value === "photo") drawBackground();
  }
  function drawSession() {
    stage.draw();
    undo.disabled = !session.past.length;
    redo.disabled = !session.future.length;
    rigid.checked = session.rigid;
    write(jointName, spoken(session.names[session.selected]));
    const state = session.state(session.selected);
    for (const button of states) button.setAttribute("aria-pressed", String(button.textContent === state));
  }
  function drawMessage() {
    message.textContent = model.get("message");
  }

  async function send(use, file) {
    message.textContent = `Reading ${file.name} …`;
    try {
      const content = file.name.toLowerCase().endsWith(".json") ? file : await shrunk(file);
      model.send({ use, name: file.name }, undefined, [await content.arrayBuffer()]);
    } catch {
      message.textContent = `This browser cannot open ${file.name}; use a JPEG or PNG.`;
    }
  }

  session.views.add(drawSession);
  model.on("change:renders", drawResult); // the last trait that Python sets
  model.on("change:people", drawPeople);
  model.on("change:person", drawPerson);
  model.on("change:message", drawMessage);
  model.on("msg:custom", drawMessage); // Python has answered, perhaps with the same words as before
  drawPeople();
  drawResult();
  drawSession();
  drawMessage();
  el.append(root);
  return () => {
    deaf();
    session.views.delete(drawSession);
  };
}

export default () => {
  let session;
  return {
    initialize({ model }) {
      session = new Session(model);
    },
    render({ model, el }) {
      return render({ model, el, session });
    },
  };
};
