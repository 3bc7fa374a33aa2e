// The appearance editor's face: a picture, a slider for each direction, and buttons that choose somebody.

function render({ model, el }) {
  const picture = make("img", { alt: "The painted person", draggable: "false" });
  const reach = model.get("reach");
  const sliders = model.get("values").map((_, number) =>
    make("input", { type: "range", min: -reach, max: reach, step: 0.05, "aria-label": `Direction ${number + 1}` }),
  );
  const readings = sliders.map(() => make("span", { class: "reading" }));
  const message = make("p", { class: "message", role: "status" });

  const draw = () =>
    model.get("values").forEach((value, number) => {
      sliders[number].value = value;
      write(readings[number], value.toFixed(1));
    });
  const moved = () => {
    model.set("values", sliders.map((slider) => Number(slider.value)));
    model.save_changes();
    draw();
  };
  for (const slider of sliders) slider.addEventListener("input", moved);
  const ask = (choose) => () => model.send({ choose });
  const button = (words, choose) => make("button", { type: "button", class: "tool", onclick: ask(choose) }, words);

  const root = make(
    "div",
    { class: "posegen appearance-editor", role: "group", "aria-label": "Appearance editor" },
    make("figure", {}, make("figcaption", {}, "Painted"), picture),
    make(
      "div",
      { class: "directions" },
      make(
        "div",
        { class: "group" },
        button("Another appearance", "another"),
        button("The mean", "mean"),
        button("From the photo", "photo"),
      ),
      ...sliders.map((slider, number) => make("label", {}, `${number + 1}`, slider, readings[number])),
      make("p", { class: "soft" }, "Each slider is a direction of z, the one that changes most colours first."),
      message,
    ),
  );
  const show = () => showPicture(picture, model.get("picture"));
  model.on("change:renders", show);
  model.on("change:values", draw);
  model.on("change:message", () => write(message, model.get("message")));
  show();
  draw();
  el.append(root);
}

export default { render };
