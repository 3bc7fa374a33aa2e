// The results browser's face: which example, in which order, and which of its pictures.

function makePicture(alt) {
  return make("img", { alt, draggable: "false" });
}

function render({ model, el }) {
  const rows = model.get("rows"); // the variants, the target, the baselines
  const skeleton = model.get("skeleton");
  const photo = makePicture("The photo: condition image");
  const pose = make("div", { class: "stage-box" });
  const shown = makePicture("");
  const caption = make("span", {});
  const facts = make("p", { class: "soft" });

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const page = (by) => set("place", Math.min(Math.max(model.get("place") + by, 0), model.get("total") - 1));
  const flip = (by) => set("shown", rows[(rows.indexOf(model.get("shown")) + by + rows.length) % rows.length]);

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
        make("th", { scope: "col", class: "number" }, "error"),
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
      make("button", { type: "button", onclick: () => page(-1), "aria-label": "Previous example" }, "◀"),
      slider,
      make("button", { type: "button", onclick: () => page(1), "aria-label": "Next example" }, "▶"),
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
      make("figure", { class: "hero" }, make("figcaption", {}, caption), shown),
      make("div", { class: "numbers" }, table, facts, make("p", { class: "soft" }, "Keys: ← → examples, ↑ ↓ pictures.")),
    ),
    make("p", { class: "soft" }, model.get("label")),
  );

  const deaf = hearKeys(root, (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const actions = { ArrowUp: () => flip(-1), ArrowDown: () => flip(1) };
    if (event.target !== slider) Object.assign(actions, { ArrowLeft: () => page(-1), ArrowRight: () => page(1) });
    if (!actions[event.key]) return;
    actions[event.key]();
    event.preventDefault();
  });

  function drawShown() {
    const number = rows.indexOf(model.get("shown"));
    showPicture(shown, model.get("pictures")[number]);
    shown.alt = caption.textContent = rows[number];
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
  return deaf;
}

export default { render };
