"use strict";
// Draws the pictures whose values are in the page (#pictures) with Observable Plot, each in the room that the page keeps for it.
// A picture is drawn again where its room changes. Its points are told by the pointer, and by the arrow keys.
window.primumFigures = (() => {
  const COLOURS = ["--d3", "--d0", "--d5", "--d2", "--d4", "--d1", "--d6"].map((name) => `var(${name})`);
  const DASHES = ["none", "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2"];
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "triangle2"];
  const pictures = JSON.parse(document.getElementById("pictures").textContent);
  const turn = (list, index) => list[index % list.length];
  const colour = (index) => turn(COLOURS, index), dash = (index) => turn(DASHES, index);

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.append(...children);
    return element;
  };

  // A line as the key shows it.
  const sample = (index) => Plot.plot({
    width: 30, height: 12, margin: 0, axis: null, x: { domain: [0, 30] }, y: { domain: [0, 12] }, ariaLabel: "sample",
    marks: [
      Plot.line([[1, 6], [29, 6]], { stroke: colour(index), strokeWidth: 1.6, strokeDasharray: dash(index) }),
      Plot.dot([[15, 6]], { fill: colour(index), symbol: turn(SYMBOLS, index), r: 3.2 }),
    ],
  });

  const TIP = {
    x: "x", y: "y", title: (each) => each.tip.replace(": ", ":\n"), lineWidth: 22, preferredAnchor: "bottom", fill: "var(--panel)", stroke: "var(--soft)", fontSize: 12,
  };
  const tip = (points) => Plot.tip(points, Plot.pointer(TIP));
  // One point's tip, to lie on a plot. The plot's own is of the point nearest to a pixel, and several may be there.
  const tipOf = (plot, point) => {
    const size = Object.fromEntries(["width", "height"].map((name) => [name, Number(plot.getAttribute(name))]));
    const scales = Object.fromEntries(["x", "y"].map((name) => [name, { ...plot.scale(name), axis: null }]));
    return Plot.plot({ ...size, ...scales, margin: 0, className: "told", style: { fontSize: "11px" }, marks: [Plot.tip([point], TIP)] });
  };

  const axis = (scale, more) => {
    const words = new Map((scale.ticks || []).map(([value, text]) => [value, text]));
    const told = { ticks: [...words.keys()], tickFormat: (value) => words.get(value) ?? "" };
    return { domain: [scale.low, scale.high], label: scale.title, labelArrow: "none", grid: true, ...told, ...more };
  };

  const frame = (width, height, more) => ({
    width, height, marginLeft: 46, marginRight: 14, marginBottom: 40, marginTop: 22, style: { fontSize: "11px" },
    ...more,
  });

  const whiskers = (points, index, dx) => [
    Plot.ruleX(points.filter((each) => each.y_ends), {
      x: "x", y1: (each) => each.y_ends[0], y2: (each) => each.y_ends[1], dx, stroke: colour(index),
      strokeWidth: 2, strokeOpacity: 0.5, strokeLinecap: "round",
    }),
    Plot.ruleY(points.filter((each) => each.x_ends), {
      y: "y", x1: (each) => each.x_ends[0], x2: (each) => each.x_ends[1], dx, stroke: colour(index),
      strokeWidth: 2, strokeOpacity: 0.5, strokeLinecap: "round",
    }),
  ];
  const full = (points, index, dx = 0) =>
    Plot.dot(points, { x: "x", y: "y", dx, r: 4, fill: colour(index), symbol: turn(SYMBOLS, index) });
  const hollow = (points) =>
    Plot.dot(points, { x: "x", y: "y", r: 4, fill: "var(--panel)", stroke: "var(--hub)", strokeWidth: 1.5 });

  // Lines over an amount. Points of several lines at one place are drawn a little apart; what all start from is drawn once.
  const lines = (picture, width) => {
    const points = picture.lines.flatMap((line) => line.points.map((each) => ({ ...each, line: line.name })));
    const marks = picture.lines.flatMap((line, place) => {
      const dx = 5 * (place - (picture.lines.length - 1) / 2), own = line.points.filter((each) => !each.hollow);
      return [
        Plot.line(line.points, {
          x: "x", y: "y", stroke: colour(line.index), strokeWidth: 1.6, strokeDasharray: dash(line.index),
        }),
        ...whiskers(own, line.index, dx), full(own, line.index, dx),
      ];
    });
    const options = frame(width, picture.height, { x: axis(picture.x), y: axis(picture.y, { label: null }) });
    return { plot: Plot.plot({ ...options, marks: [...marks, hollow(points.filter((each) => each.hollow)), tip(points)] }), points };
  };

  // Each name goes where it covers least: of other names, points, intervals (``lines`` between two places) and the frame's edge.
  const named = (points, others, lines, plot, width, height) => {
    const at = ({ x, y }) => [plot.x.apply(x), plot.y.apply(y)], taken = [];
    const dots = [...points, ...others].map(at);
    const along = lines.flatMap(([from, to]) => d3.range(0, 1.01, 1 / 40).map((part) => d3.interpolate(at(from), at(to))(part)));
    const within = ([x, y], half, across, down) => Math.abs(x - across) < half + 4 && Math.abs(y - down) < 9;
    const cost = (half, across, down, far) =>
      100 * taken.filter((each) => Math.abs(each.down - down) < 13 && Math.abs(each.across - across) < each.half + half + 4).length +
      100 * (across - half < 48 || across + half > width - 2 || down < 26 || down > height - 48) +
      30 * dots.filter((each) => within(each, half, across, down)).length +
      along.filter((each) => within(each, half, across, down)).length + far / 4;
    return points.map((point) => {
      const half = 3.1 * point.model.length, [x, y] = at(point);
      const beside = half + 9;
      const places = [0, 14, 28, 42, 56].flatMap((far) => [[0, 17 + far], [0, -14 - far],
        ...[beside, -beside].flatMap((dx) => [0, 11 + far, -11 - far].map((dy) => [dx, dy]))].map(([dx, dy]) => ({ dx, dy, far })));
      const best = d3.least(places, ({ dx, dy, far }) => cost(half, x + dx, y + dy, far));
      taken.push({ half, across: x + best.dx, down: y + best.dy });
      // A name that is not beside its point has a line to it, which ends at the name's nearest edge.
      const to = [x + best.dx - Math.sign(best.dx) * half, y + best.dy - Math.sign(best.dy) * 8];
      return { ...point, ...best, away: Math.abs(best.dy) > 20, to: [plot.x.invert(to[0]), plot.y.invert(to[1])] };
    });
  };

  // Models by two measures: those that a training moved in colour, all others small and grey.
  const scatter = (picture, width) => {
    const moves = picture.moves || [], others = picture.others || [];
    const ends = new Map(moves.flatMap((move) => [move.before, move.after]).map((point) => [point.model, point]));
    const points = [...ends.values(), ...others];
    const options = frame(width, picture.height, { x: axis(picture.x), y: axis(picture.y) });
    const marks = [Plot.dot(others, { x: "x", y: "y", r: 2.5, fill: "var(--d6)" })];
    if (picture.named) {
      marks.push(Plot.link(moves, {
        x1: (m) => m.before.x, y1: (m) => m.before.y, x2: (m) => m.after.x, y2: (m) => m.after.y,
        stroke: "var(--soft)", strokeOpacity: 0.4, strokeWidth: 2,
      }));
      marks.push(...moves.flatMap((move) => whiskers([move.after], move.index, 0)));
    }
    marks.push(...moves.map((move) => full([move.after], move.index)));
    marks.push(hollow(moves.map((move) => move.before).filter((each) => each.hollow)));
    if (picture.named) {
      const bare = Plot.plot({ ...options, marks });
      const scales = { x: bare.scale("x"), y: bare.scale("y") };
      const lines = moves.flatMap(({ before, after }) => [[before, after],
        ...(after.y_ends || []).slice(0, 1).map(() => after.y_ends.map((y) => ({ x: after.x, y }))),
        ...(after.x_ends || []).slice(0, 1).map(() => after.x_ends.map((x) => ({ x, y: after.y })))]);
      named([...ends.values()], others, lines, scales, width, picture.height).forEach((each) => marks.push(
        ...(each.away ? [Plot.link([each], { x1: "x", y1: "y", x2: each.to[0], y2: each.to[1], stroke: "var(--soft)", strokeWidth: 0.7 })] : []),
        Plot.text([each], { x: "x", y: "y", text: "model", dx: each.dx, dy: each.dy, stroke: "var(--panel)", fill: "var(--ink)", strokeWidth: 3 }),
      ));
    }
    return { plot: Plot.plot({ ...options, marks: [...marks, tip(points)] }), points };
  };

  // Labels down, scores across: counts, shaded by their share of the label.
  const matrix = (picture, width) => {
    const squares = picture.squares.map((each) => ({
      ...each, x: each.score, y: each.label, line: each.label,
      tip: `label ${each.label}, score ${each.score}: ${each.count} (${(100 * each.share).toFixed(1)}% of the label)`,
    }));
    const labels = [...new Set(squares.map((each) => each.label))], scores = [...new Set(squares.map((each) => each.score))];
    scores.sort((a, b) => (a === "none") - (b === "none") || a.localeCompare(b, "en", { numeric: true }));
    const left = 24 + 6.5 * Math.max(...labels.map((each) => each.length));
    const plot = Plot.plot(frame(width, picture.height, {
      marginLeft: left, marginTop: 8, padding: 0.06,
      x: { domain: scores, label: "score of the judge", labelArrow: "none", tickSize: 0 },
      y: { domain: labels, label: "label", labelArrow: "none", labelAnchor: "top", tickSize: 0 },
      marks: [
        Plot.cell(squares, { x: "x", y: "y", fill: "var(--kept)", fillOpacity: (each) => 0.08 + 0.45 * each.share }),
        Plot.text(squares, { x: "x", y: "y", text: "count", fontSize: 12, fill: "var(--ink)" }), tip(squares),
      ],
    }));
    return { plot, points: squares };
  };

  // The rows that a picture shows, as a file that spreadsheets read.
  const rowsOf = (picture) => {
    if (picture.curves) {
      return picture.curves.flatMap((curve) => ["values", "held_out"].flatMap((kind) =>
        (curve[kind] || []).map(([step, value]) => ({ model: curve.name, of: kind === "values" ? "training" : "held out", step, value }))));
    }
    if (picture.squares) return picture.squares.map(({ label, score, count, share }) => ({ label, score, count, share }));
    const row = (point, line) => ({
      line, model: point.model, x: point.x, y: point.y, x_low: point.x_ends?.[0], x_high: point.x_ends?.[1],
      y_low: point.y_ends?.[0], y_high: point.y_ends?.[1], x_is: picture.x.title, y_is: picture.y.title,
    });
    if (picture.lines) return picture.lines.flatMap((line) => line.points.map((point) => row(point, line.name)));
    const moved = (picture.moves || []).flatMap((move) => [row(move.before, "before"), row(move.after, "after")]);
    const seen = new Map([...moved, ...(picture.others || []).map((point) => row(point, ""))].map((each) => [each.model, each]));
    return [...seen.values()];
  };
  const saves = (link, name, rows) => {
    link.href = "#";
    link.addEventListener("click", () => {
      const blob = new Blob([d3.csvFormat(rows())], { type: "text/csv" });
      link.href = URL.createObjectURL(blob);
      link.download = `${name}.csv`;
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
    return link;
  };
  const saved = (title, name, rows) =>
    saves(make("a", { class: "save", "aria-label": `${title}: its rows as CSV` }, "CSV"), name, rows);

  // The arrow keys go along a line, a long one in 25 steps, and to the line above or below. The point has its tip then, and a
  // screen reader hears its words.
  const reachable = (box, heard) => {
    let plot = null, groups = [], line = 0, place = -1;
    const untold = () => box.querySelector(".told")?.remove();
    box.addEventListener("keydown", (event) => {
      const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key], across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if ((!along && !across) || !groups.length) return;
      event.preventDefault();
      if (across) line = (line + across + groups.length) % groups.length;
      const last = groups[line].length - 1, step = last < 50 ? 1 : Math.ceil(last / 25);
      place = Math.max(0, Math.min(last, place < 0 ? 0 : place + (along || 0) * step));
      untold();
      box.append(tipOf(plot, groups[line][place]));
      heard.textContent = groups[line][place].tip;
    });
    box.addEventListener("blur", () => { untold(); place = -1; });
    box.addEventListener("pointermove", untold);
    return (made) => { plot = made.plot; groups = d3.groups(made.points, (each) => each.line).map(([, own]) => own); line = 0; };
  };

  const KINDS = { lines, squares: matrix, curves: (picture, width, state) => window.primumCurves.draw(picture, width, state) };
  const draw = (picture, width, state) => (KINDS[Object.keys(KINDS).find((key) => picture[key])] || scatter)(picture, width, state);

  // One after the other, in turns that leave the browser time to scroll; all at once where paper waits.
  const waiting = [];
  const work = (all) => {
    const until = performance.now() + 40;
    while (waiting.length && (all || performance.now() < until)) waiting.shift()();
    if (waiting.length) setTimeout(work);
  };

  const show = (place, state = {}) => {
    const picture = pictures.find((each) => each.id === place.dataset.picture), box = place.querySelector(".plot-box");
    box.setAttribute("aria-label", `${picture.label}. The arrow keys tell its points.`);
    saves(place.querySelector(".save"), picture.id, () => rowsOf(picture));
    const ready = reachable(box, place.querySelector(".heard"));
    let width = 0;
    const redraw = () => {
      if (!width) return;
      const made = draw(picture, width, state);
      made.plot.setAttribute("aria-hidden", "true");
      box.replaceChildren(made.plot);
      ready(made);
    };
    new ResizeObserver(([entry]) => {
      const room = Math.floor(entry.contentRect.width);
      if (Math.abs(room - width) < 2) return;
      const first = width === 0;
      width = room;
      if (!first) return redraw();
      waiting.push(redraw);
      if (waiting.length === 1) setTimeout(work);
    }).observe(place);
    return redraw;
  };

  const key = (place) => place.querySelectorAll(".sample").forEach((room, index) => room.append(sample(index)));

  const start = () => {
    document.querySelectorAll(".lines").forEach(key);
    document.querySelectorAll(".picture").forEach((place) => {
      if (!place.closest(".curves")) show(place);
    });
    document.querySelectorAll(".curves").forEach((place) => window.primumCurves.start(place));
    addEventListener("beforeprint", () => work(true));
  };
  addEventListener("DOMContentLoaded", start);
  return { pictures, colour, dash, make, saved, show, tip, frame };
})();
