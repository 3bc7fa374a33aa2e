// The results browser's face: which example, in which order, and which of its pictures.

function makePicture(alt) {
  return make("img", { alt, draggable: "false" });
}

const ERROR_MEANS =
  "Error: how far a picture is from its target, as the mean difference of the colours over the picture, on a scale " +
  "where black and white are 2 apart; on the body, within the pose mask, it counts double. 0 is the target itself.";

/** Target and result, to be compared in one of three ways. Returns its node and a function that shows two pictures. */
function makeComparison(shown) {
  const target = makePicture("Target");
  const names = ["one picture", "side by side", "wipe"];
  const wipe = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Wipe: target to the left" });
  const pair = make("div", { class: "comparison" }, target, shown);
  const buttons = names.map((name) => make("button", { type: "button", onclick: () => choose(name) }, name));
  const legend = make("p", { class: "soft legend" });
  let caption = "";
  function draw() {
    pair.style.setProperty("--wipe", `${wipe.value}%`);
    const words = { "side by side": "Left: Target", wipe: "Left of the line: Target" }[pair.dataset.way];
    write(legend, words ? `${words} · right: ${caption}` : "");
  }
  function choose(way) {
    pair.dataset.way = way;
    wipe.hidden = way !== "wipe";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.textContent === way));
    draw();
  }
  const follow = (event) => {
    if (pair.dataset.way !== "wipe" || !event.buttons) return;
    const box = pair.getBoundingClientRect();
    wipe.value = (100 * (event.clientX - box.left)) / box.width;
    draw();
  };
  pair.addEventListener("pointerdown", (event) => {
    if (pair.dataset.way !== "wipe") return;
    event.preventDefault();
    pair.setPointerCapture(event.pointerId);
    follow(event);
  });
  pair.addEventListener("pointermove", follow);
  wipe.addEventListener("input", draw);
  choose(names[0]);
  function show(targetBytes, bytes, name) {
    showPicture(target, targetBytes);
    showPicture(shown, bytes);
    shown.alt = caption = name;
    draw();
  }
  const ways = make("div", { class: "switch", role: "group", "aria-label": "Compare" }, ...buttons);
  return { node: make("div", { class: "compare" }, ways, pair, wipe, legend), show, wipe };
}

function render({ model, el }) {
  const rows = model.get("rows"); // the variants, the target, the baselines
  const skeleton = model.get("skeleton");
  const photo = makePicture("The photo: condition image");
  const pose = make("div", { class: "stage-box" });
  const shown = makePicture("");
  const comparison = makeComparison(shown);
  const caption = make("span", {});
  const facts = make("p", { class: "soft" });

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const turn = (by) => set("place", Math.min(Math.max(model.get("place") + by, 0), model.get("total") - 1));
  function flip(by) {
    const next = (rows.indexOf(model.get("shown")) + by + rows.length) % rows.length;
    set("shown", rows[next]);
    // the focus goes along, or two rows would be marked
    if (entries.some(({ button }) => button === root.getRootNode().activeElement)) entries[next].button.focus();
  }

  const slider = make("input", { type: "range", min: 0, max: model.get("total") - 1, "aria-label": "Example" });
  slider.addEventListener("input", () => set("place", Number(slider.value)));
  const counter = make("span", { class: "counter" });
  const order = make("select", { "aria-label": "Order by the error of" });
  for (const row of rows.filter((row) => row in model.get("means"))) order.append(make("option", { value: row }, row));
  order.addEventListener("change", () => set("order_by", order.value));
  const direction = make("select", { "aria-label": "Order" });
  for (const name of ["worst first", "best first"]) direction.append(make("option", { value: name }, name));
  direction.addEventListener("change", () => set("worst_first", direction.value === "worst first"));

  const entries = rows.map((row) => {
    const entry = {
      bar: make("span", { class: "bar" }),
      error: make("td", { class: "number" }),
      button: make("button", { type: "button", class: "row-name", onclick: () => set("shown", row) }, row),
    };
    const mean = model.get("means")[row];
    entry.node = make(
      "tr",
      {},
      make("th", { scope: "row" }, entry.button),
      make("td", { class: "bar-cell" }, entry.bar),
      entry.error,
      make("td", { class: "number soft" }, mean === undefined ? "" : mean.toFixed(3)),
    );
    return entry;
  });
  const table = make(
    "table",
    {},
    make(
      "thead",
      {},
      make(
        "tr",
        {},
        make("th", { scope: "col" }, "Shown"),
        make("th", { scope: "col" }),
        make("th", { scope: "col", class: "number", title: ERROR_MEANS }, "error"),
        make("th", { scope: "col", class: "number" }, "mean of all"),
      ),
    ),
    make("tbody", {}, ...entries.map((entry) => entry.node)),
  );

  const root = make(
    "div",
    {
      class: "posegen results-browser",
      role: "group",
      "aria-label": "Results browser",
    },
    make(
      "div",
      { class: "row first" },
      make("button", { type: "button", onclick: () => turn(-1), "aria-label": "Previous example" }, "◀"),
      slider,
      make("button", { type: "button", onclick: () => turn(1), "aria-label": "Next example" }, "▶"),
      counter,
      make("label", { class: "group" }, "by the error of", order),
      direction,
    ),
    make(
      "div",
      { class: "board" },
      make(
        "div",
        { class: "inputs" },
        make("figure", {}, make("figcaption", {}, "Photo"), photo),
        make("figure", {}, make("figcaption", {}, "Target pose"), pose),
      ),
      make("figure", { class: "hero" }, make("figcaption", {}, caption), comparison.node),
      make(
        "div",
        { class: "numbers" },
        table,
        make("p", { class: "soft" }, ERROR_MEANS),
        facts,
        make("p", { class: "soft" }, "Keys: ← → examples, ↑ ↓ pictures."),
      ),
    ),
    make("p", { class: "soft" }, model.get("label")),
  );

  const page = wholePage(root, "results browser");
  const deaf = hearKeys(root, (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    if (event.key === "Escape" && page.filled()) page.toggle();
    const actions = { ArrowUp: () => flip(-1), ArrowDown: () => flip(1) };
    if (![slider, comparison.wipe].includes(event.target)) Object.assign(actions, { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1) });
    if (!actions[event.key]) return;
    actions[event.key]();
    event.preventDefault();
  });

  function drawShown() {
    const number = rows.indexOf(model.get("shown"));
    const pictures = model.get("pictures");
    comparison.show(pictures[rows.indexOf("Target")], pictures[number], rows[number]);
    write(caption, rows[number]);
    entries.forEach(({ button }, row) => button.setAttribute("aria-pressed", String(row === number)));
  }

  function drawExample() {
    const example = model.get("example");
    showPicture(photo, model.get("condition"));
    pose.replaceChildren(drawPose(example.keypoints, model.get("size"), skeleton));
    const largest = Math.max(...Object.values(example.errors));
    rows.forEach((row, number) => {
      const error = example.errors[row];
      entries[number].error.textContent = error === undefined ? "" : error.toFixed(3);
      entries[number].bar.style.width = error === undefined ? 0 : `${(100 * error) / largest}%`;
    });
    facts.replaceChildren(...example.facts.flatMap((fact) => [fact, make("br")]));
    drawShown();
  }

  function drawOrder() {
    slider.value = model.get("place");
    counter.textContent = `${model.get("place") + 1} of ${model.get("total")}`;
    order.value = model.get("order_by");
    direction.value = model.get("worst_first") ? "worst first" : "best first";
  }

  model.on("change:example", drawExample);
  model.on("change:shown", drawShown);
  for (const name of ["place", "order_by", "worst_first"]) model.on(`change:${name}`, drawOrder);
  drawExample();
  drawOrder();
  el.append(root);
  return () => {
    deaf();
    page.end();
  };
}

export default { render };
