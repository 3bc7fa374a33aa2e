// The pose editor's face: photos, tools, results around the stage.

const LONGEST_SIDE = 1600; // a photo is made this small before it is sent to Python
const HINT =
  "Drag a joint, or reach it with Tab and move it with the arrow keys (Shift: larger steps; Alt: this joint alone). " +
  "The neck or the square between the hips takes the whole figure along. Drag a box, Shift-click or press Space to " +
  "choose joints that move together; + − scale and , . turn them. Delete: missing or back. H: hidden. Ctrl+Z: undo.";
const STATES = {
  seen: "The joint is seen",
  hidden: "Hidden (key H): covered, but there",
  missing: "Missing (key Delete): not in the picture",
};
const HIDDEN_MEANS = "Hidden is painted like seen; saved keypoints give it the confidence 0.5, which other programs heed.";

const ICONS = {
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  mirror: "M12 3v18M8 7l-5 9h5zM16 7l5 9h-5z",
  photo: "M4 7h4l2-2h4l2 2h4v12H4zM12 16a3 3 0 1 0 0-6 3 3 0 0 0 0 6z",
  save: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  figure: "M12 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 7v7M6 10h12M12 14l-4 7M12 14l4 7",
  larger: "M12 5v14M5 12h14",
  smaller: "M5 12h14",
  left: "M4 5v6h6M5 11a8 8 0 1 1 1 7",
  right: "M20 5v6h-6M19 11a8 8 0 1 0-1 7",
  face: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9 10v1M15 10v1M8 15c2 2 6 2 8 0",
  page: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  pose: "M12 7a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM12 7v7M6 10h12M12 14l-4 7M12 14l4 7",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
};

function icon(name) {
  return make("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, make("path", { d: ICONS[name] }));
}

function tool(name, label, action, title = label) {
  const words = make("span", { class: "tool-words" }, label);
  const attributes = { type: "button", class: "tool", title, "aria-label": label, onclick: action };
  return make("button", attributes, icon(name), words);
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

/** A button that shows a picture or a drawing and nothing else. */
function choice(name, action, content, attributes = {}) {
  const all = { type: "button", class: "choice", title: name.split(": ")[1], "aria-label": name, onclick: action };
  return make("button", { ...all, ...attributes }, content);
}

/** The tools above the stage; returns their node and a function that draws their state. */
function makeTools(session, stage, page) {
  const undo = tool("undo", "Undo", () => session.undo(), "Undo (Ctrl+Z)");
  const redo = tool("redo", "Redo", () => session.redo(), "Redo (Ctrl+Shift+Z)");
  const mirror = tool("mirror", "Mirror", () => session.mirror(), "Swap left and right");
  const everyJoint = session.names.map((_, joint) => joint);
  const figure = tool(
    "figure",
    "Whole figure",
    () => session.choose(session.chosen.size ? [] : session.present(everyJoint)),
    "Choose all joints, to move, scale and turn them together; or none",
  );
  const box = tool(
    "box",
    "Box",
    () => {
      stage.boxes = !stage.boxes;
      session.draw();
    },
    "Draw a box with a finger to choose the joints in it (a mouse always does, where there is no joint)",
  );
  const turned = Math.PI / 36;
  const changes = [
    tool("larger", "Larger", () => session.change(1.05, 0), "Larger: the chosen joints, or the figure (key +)"),
    tool("smaller", "Smaller", () => session.change(1 / 1.05, 0), "Smaller (key −)"),
    tool("left", "Turn left", () => session.change(1, -turned), "Turn left by 5° (key ,)"),
    tool("right", "Turn right", () => session.change(1, turned), "Turn right by 5° (key .)"),
  ];
  const face = tool("face", "Face", () => stage.zoom(!stage.close()), "Closer to the face, and back");
  const whole = tool("page", "Whole page", page.toggle, "Fill the page, and back");
  const rigid = make("input", { type: "checkbox" });
  rigid.addEventListener("change", () => {
    session.rigid = rigid.checked;
    session.draw();
  });
  const node = make(
    "div",
    { class: "row tools", role: "group", "aria-label": "Tools" },
    make("div", { class: "group" }, undo, redo, mirror),
    make("div", { class: "group small" }, figure, box, ...changes),
    make("div", { class: "group" }, face, whole),
    make("label", { class: "group" }, rigid, "Keep limb lengths"),
  );
  const pressed = (button, is) => button.setAttribute("aria-pressed", String(is));
  function draw() {
    undo.disabled = !session.past.length;
    redo.disabled = !session.future.length;
    rigid.checked = session.rigid;
    pressed(figure, session.chosen.size > 0);
    pressed(box, stage.boxes);
    pressed(face, stage.close());
    pressed(whole, page.filled());
  }
  return { node, draw };
}

/** Name and state of the selected joint, below the stage. */
function makeJointBar(session) {
  const name = make("span", { class: "joint-label" });
  const meaning = make("p", { class: "soft", hidden: "" }, HIDDEN_MEANS);
  const states = Object.entries(STATES).map(([state, title]) =>
    make("button", { type: "button", title, onclick: () => session.setState(session.selected, state) }, state),
  );
  const bar = make("div", { class: "switch", role: "group", "aria-label": "Joint" }, ...states);
  function draw() {
    const state = session.state(session.selected);
    write(name, spoken(session.names[session.selected]));
    meaning.hidden = state !== "hidden";
    for (const button of states) button.setAttribute("aria-pressed", String(button.textContent === state));
  }
  return { node: make("div", { class: "joint-bar" }, make("div", { class: "group" }, name, bar), meaning), draw };
}

/** Photos to choose from; `start` and `remove` are for the one that is chosen. */
function makePhotos(model, picture, { start, remove, send }) {
  const choices = make("div", { class: "choices", role: "group", "aria-label": "People" });
  const own = fileButton("Own photo…", "Use a photo of your own", "image/*", (file) => send("photo", file));
  const itsPose = tool("pose", "Its pose", start, "Start from this photo's pose");
  itsPose.setAttribute("aria-label", "Start from this photo's pose");
  const away = tool("remove", "Remove", remove, "Remove this photo");
  away.setAttribute("aria-label", "Remove this photo");
  function choose(number) {
    model.set("person", number);
    model.save_changes();
  }
  function drawPerson() {
    const person = model.get("person");
    const bytes = model.get("people")[person];
    if (!bytes) return; // one was removed, and the number of the next one is still on its way
    showPicture(picture, bytes);
    [...choices.children].forEach((button, number) => button.setAttribute("aria-pressed", String(number === person)));
    itsPose.disabled = !model.get("people_poses")[person]?.some((row) => row[2] > 0);
    away.hidden = person < model.get("examples");
  }
  function drawPeople() {
    const names = model.get("people_names");
    const buttons = model.get("people").map((bytes, number) => {
      const image = make("img", { alt: "" });
      showPicture(image, bytes);
      return choice(`Person: ${names[number]}`, () => choose(number), image);
    });
    choices.replaceChildren(...buttons);
    drawPerson();
  }
  const node = figure("photo side", ["Photo"], picture, choices, make("div", { class: "group" }, itsPose, away, own));
  return { node, drawPeople, drawPerson };
}

/** What lies behind the skeleton: a list to choose from, and the picture. */
function makeBackground(model, picture, result) {
  const list = make("select", { "aria-label": "Behind the skeleton" });
  const options = { result: "the result", photo: "the photo", pose: "the pose's photo", nothing: "nothing" };
  for (const [value, words] of Object.entries(options)) list.append(make("option", { value }, words));
  const bytes = {
    result,
    photo: () => model.get("people")[model.get("person")],
    pose: () => model.get("pose_picture"),
    nothing: () => null,
  };
  function draw() {
    const unknown = !model.get("pose_picture").byteLength;
    list.querySelector("[value=pose]").hidden = list.querySelector("[value=pose]").disabled = unknown;
    if (unknown && list.value === "pose") list.value = "result";
    const shown = bytes[list.value]();
    picture.hidden = !shown;
    if (shown) showPicture(picture, shown);
  }
  list.addEventListener("change", draw);
  function show(value) {
    list.value = value;
    draw();
  }
  return { node: make("label", { class: "group soft" }, "over", list), draw, show, shows: (value) => list.value === value };
}

function makePictures() {
  const pictures = Object.fromEntries(
    ["photo", "coarse", "refined", "background"].map((name) => [name, make("img", { draggable: "false" })]),
  );
  pictures.photo.alt = "The photo: the person that is put into the pose";
  pictures.coarse.alt = "Result of the first stage";
  pictures.refined.alt = "Result: the person in the pose";
  pictures.background.alt = "";
  return pictures;
}

function render({ model, el, session }) {
  const size = model.get("size");
  const pictures = makePictures();
  const result = () => (model.get("refined").byteLength ? model.get("refined") : model.get("coarse"));
  const message = make("p", { class: "message", role: "status" });
  let told = ""; // what this page says of the last action; `message` is what Python says
  let toldOf = session.pose;
  const drawMessage = () => write(message, told || model.get("message"));
  function say(words) {
    [told, toldOf] = [words, session.pose];
    drawMessage();
  }

  async function send(use, file) {
    say(`Reading ${file.name} …`);
    try {
      const content = file.name.toLowerCase().endsWith(".json") ? file : await shrunk(file);
      model.send({ use, name: file.name }, undefined, [await content.arrayBuffer()]);
    } catch {
      say(`This browser cannot open ${file.name}; use a JPEG or PNG.`);
    }
  }

  const stage = makeStage(session, pictures.background, say);
  const background = makeBackground(model, pictures.background, result);
  const photos = makePhotos(model, pictures.photo, {
    send,
    start() {
      session.replace(copy(model.get("people_poses")[model.get("person")]));
      background.show("photo");
    },
    remove: () => model.send({ use: "remove", number: model.get("person") }),
  });

  const presets = make("div", { class: "choices poses", role: "group", "aria-label": "Poses" });
  for (const { name, keypoints } of model.get("presets")) {
    const choose = () => session.replace(copy(keypoints));
    presets.append(choice(`Pose: ${name}`, choose, drawPose(keypoints, size, model.get("skeleton"))));
  }
  const ownPose = fileButton(
    "From a file…",
    "Take the pose from a photo or from OpenPose JSON",
    "image/*,.json",
    (file) => send("pose", file),
  );

  const keypoints = () => new Blob([JSON.stringify(session.toJSON())], { type: "application/json" });
  const saving = make(
    "div",
    { class: "group" },
    tool("save", "PNG", () => model.send({ use: "save picture" }), "Save the result as PNG, as large as there is"),
    tool("save", "Keypoints", () => download("posegen_keypoints.json", keypoints()), "Save the pose as OpenPose JSON"),
    tool("save", "Skeleton", () => model.send({ use: "save skeleton" }), "Save the skeleton as PNG"),
  );
  const speed = make("span", { class: "speed" });
  const jointBar = makeJointBar(session);
  const root = make("div", { class: "posegen pose-editor", role: "group", "aria-label": "Pose editor" });
  const page = wholePage(root, "pose editor", () => session.draw());
  const tools = makeTools(session, stage, page);
  const firstStage = figure(
    "coarse side",
    ["First stage"],
    pictures.coarse,
    make("p", { class: "soft" }, "What G1 makes. G2 adds a difference map to it, and that is the result."),
  );
  root.prepend(
    tools.node,
    make(
      "div",
      { class: "board" },
      photos.node,
      figure("stage hero", ["Pose", background.node], stage.node, jointBar.node, message),
      figure("result hero", ["Result", speed], pictures.refined, saving),
      firstStage,
      make("div", { class: "row poses-row" }, make("span", { class: "row-title" }, "Poses"), presets, ownPose),
    ),
    make("p", { class: "soft hint" }, HINT),
  );

  const deaf = hearKeys(root, (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey)) {
      if (key === "escape" && page.filled() && !session.chosen.size) page.toggle();
      else stage.key(event);
      return;
    }
    if (event.altKey) return;
    if (key === "z" && !event.shiftKey) session.undo();
    else if (key === "y" || key === "z") session.redo();
    else if (key === "a") session.choose(session.present(session.names.map((_, joint) => joint)));
    else return;
    event.preventDefault();
  });

  function drawResult() {
    const milliseconds = model.get("milliseconds");
    root.classList.toggle("one-stage", !model.get("refined").byteLength);
    showPicture(pictures.coarse, model.get("coarse"));
    showPicture(pictures.refined, result());
    write(speed, milliseconds ? `${Math.round(milliseconds)} ms` : "");
    if (background.shows("result")) background.draw();
  }
  function drawPerson() {
    say("");
    photos.drawPerson();
    if (background.shows("photo")) background.draw();
  }
  function drawPeople() {
    photos.drawPeople();
    if (background.shows("photo")) background.draw();
  }
  function drawPosePicture() {
    if (model.get("pose_picture").byteLength) background.show("pose");
    else background.draw();
  }
  function drawSession() {
    if (told && toldOf !== session.pose) say("");
    stage.draw();
    jointBar.draw();
    tools.draw();
  }
  function heard(content, buffers) {
    if (content.file) download(content.file, new Blob([buffers[0]], { type: "image/png" }));
    else say(content.message);
  }

  session.views.add(drawSession);
  model.on("change:renders", drawResult); // the last trait that Python sets
  model.on("change:people", drawPeople);
  model.on("change:person", drawPerson);
  model.on("change:pose_picture", drawPosePicture);
  model.on("change:message", drawMessage);
  model.on("msg:custom", heard);
  drawPeople();
  drawResult();
  background.draw();
  drawSession();
  drawMessage();
  el.append(root);
  return () => {
    deaf();
    page.end();
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
