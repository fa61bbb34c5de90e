"use strict";
// Training curves: all models of a picture together, of which a reader may choose. Losses are on a logarithmic scale, or a linear one.
window.primumCurves = (() => {
  const { colour, dash, show, tip, frame } = window.primumFigures;
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
    const plot = Plot.plot(frame(width, picture.height, {
      x: { label: "step", labelArrow: "none", grid: true, ticks: Math.max(3, Math.floor(width / 90)), nice: true },
      y: { type: log ? "log" : "linear", label: picture.unit, labelArrow: "none", grid: true, nice: true, ticks: 5, tickFormat: (value) => number.format(value) },
      marks: points.length ? [...reference, ...marks, tip(points)] : [Plot.text(["no model chosen"], { frameAnchor: "middle" })],
    }));
    return { plot, points };
  };

  // What can be chosen: models, which are the key too, and the scale. A browser that comes back may have other boxes checked.
  const start = (place) => {
    const boxes = [...document.querySelectorAll("fieldset.choices input")], scale = document.getElementById("curves-log");
    const state = { log: scale.checked, models: new Map(boxes.map((box, index) => [box.value, { index, shown: box.checked }])) };
    const redraws = [...place.querySelectorAll(".picture")].map((room) => show(room, state));
    const changed = () => redraws.forEach((redraw) => redraw());
    const line = (index) => {
      const drawn = Plot.plot({
        width: 26, height: 10, margin: 0, axis: null, x: { domain: [0, 26] }, y: { domain: [0, 10] },
        marks: [Plot.line([[1, 5], [25, 5]], { stroke: colour(index), strokeWidth: 2, strokeDasharray: dash(Math.floor(index / 7)) })],
      });
      return drawn;
    };
    boxes.forEach((box, index) => {
      box.nextElementSibling.append(line(index));
      box.addEventListener("change", () => { state.models.get(box.value).shown = box.checked; changed(); });
    });
    document.querySelectorAll("fieldset.choices button").forEach((button, place) => button.addEventListener("click", () => {
      boxes.forEach((box) => { state.models.get(box.value).shown = box.checked = place === 0; });
      changed();
    }));
    scale.addEventListener("change", () => { state.log = scale.checked; changed(); });
  };
  return { draw, start };
})();
