"use strict";
// Training curves: all models of a picture together, of which a reader may choose. Losses are on a logarithmic scale, or a linear one.
window.primumCurves = (() => {
  const { pictures, colour, dash, make, show, tip, frame } = window.primumFigures;
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

  const draw = (picture, width, state) => {
    const chosen = picture.curves.filter((curve) => state.models.get(curve.name)?.shown);
    const point = (curve, told) => ([x, y]) => ({ x, y, line: `${curve.name}${told}`, tip: `${curve.name}, step ${x}: ${number.format(y)}${told}` });
    const all = chosen.map((curve) => ({
      index: state.models.get(curve.name).index,
      values: (curve.values || []).map(point(curve, "")),
      heldOut: (curve.held_out || []).map(point(curve, ", held out")),
    }));
    const points = all.flatMap((each) => [...each.values, ...each.heldOut]);
    const log = state.log && /loss/i.test(picture.title) && points.every((each) => each.y > 0);
    const marks = all.flatMap(({ index, values, heldOut }) => [
      Plot.line(values, { x: "x", y: "y", stroke: colour(index), strokeWidth: 1.5, strokeDasharray: dash(Math.floor(index / 7)) }),
      Plot.line(heldOut, { x: "x", y: "y", stroke: colour(index), strokeWidth: 1, strokeOpacity: 0.6 }),
      Plot.dot(heldOut, { x: "x", y: "y", r: 3, fill: "var(--panel)", stroke: colour(index), strokeWidth: 1.5 }),
    ]);
    const reference = picture.reference === undefined ? [] : [
      Plot.ruleY([picture.reference], { stroke: "var(--soft)", strokeDasharray: "3 3" }),
    ];
    const plot = Plot.plot(frame(width, 270, {
      x: { label: "step", labelArrow: "none", grid: true, ticks: Math.max(3, Math.floor(width / 90)), nice: true },
      y: { type: log ? "log" : "linear", label: picture.unit, labelArrow: "none", grid: true, nice: true, ticks: 5, tickFormat: (value) => number.format(value) },
      marks: points.length ? [...reference, ...marks, tip(points)] : [Plot.text(["no model chosen"], { frameAnchor: "middle" })],
    }));
    return { plot, points };
  };

  // What can be chosen: models, which are the key too, and the scale.
  const start = (place) => {
    const own = [...place.querySelectorAll(".picture")];
    const names = new Set(own.flatMap((room) => pictures.find((each) => each.id === room.dataset.picture).curves.map((c) => c.name)));
    const state = { log: true, models: new Map([...names].map((name, index) => [name, { index, shown: true }])) };
    const redraws = own.map((room) => show(room, state));
    const changed = () => redraws.forEach((redraw) => redraw());
    const line = (index) => {
      const drawn = Plot.plot({
        width: 26, height: 10, margin: 0, axis: null, x: { domain: [0, 26] }, y: { domain: [0, 10] },
        marks: [Plot.line([[1, 5], [25, 5]], { stroke: colour(index), strokeWidth: 2, strokeDasharray: dash(Math.floor(index / 7)) })],
      });
      drawn.setAttribute("aria-hidden", "true");
      return drawn;
    };
    const boxes = [...state.models].map(([name, each]) => {
      const box = make("input", { type: "checkbox" });
      box.checked = true;
      box.addEventListener("change", () => { each.shown = box.checked; changed(); });
      return { each, box, label: make("label", {}, box, line(each.index), name) };
    });
    const button = (words, shown) => {
      const made = make("button", { type: "button" }, words);
      made.addEventListener("click", () => {
        boxes.forEach(({ each, box }) => { each.shown = box.checked = shown; });
        changed();
      });
      return made;
    };
    const scale = make("input", { type: "checkbox" });
    scale.checked = state.log;
    scale.addEventListener("change", () => { state.log = scale.checked; changed(); });
    const models = make("fieldset", { class: "choices" }, make("legend", {}, "Models"));
    models.append(...boxes.map(({ label }) => label), button("all", true), button("none", false));
    place.before(models, make("p", { class: "choices" }, make("label", {}, scale, "Losses on a logarithmic scale")));
  };
  return { draw, start };
})();
