"use strict";
// How it was made: the jobs of the run with their time and cost, from ../report.run.js, which calls primumRun at the end of a run.
// Stages in their order, a button a job, as wide as it was long; a job opens its facts and draws what it was made of.
(() => {
  const { make, saved } = window.primumFigures;
  const SVG = "http://www.w3.org/2000/svg";
  const count = new Intl.NumberFormat("en"), short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

  const time = (seconds) => {
    if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };
  const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

  // Costs are numbers by name, some of them by currency. Seconds are said once, by the job's own time.
  const TOLD = { prompt_tokens: "tokens read", completion_tokens: "tokens written" };
  const spent = (artifacts, numbers = count) => {
    const total = new Map();
    const add = (name, value) => {
      if (typeof value === "number" && name !== "seconds") total.set(name, (total.get(name) || 0) + value);
      else if (value && typeof value === "object") Object.entries(value).forEach(([key, each]) => add(key, each));
    };
    artifacts.forEach((each) => Object.entries(each.cost || {}).forEach(([name, value]) => add(name, value)));
    return [...total].filter(([, value]) => value).map(([name, value]) => `${numbers.format(Math.round(value * 100) / 100)} ${TOLD[name] || name.replaceAll("_", " ")}`);
  };

  // What one job made, where its request is gone: artifacts of a stage that differ in the last part of their names, as scores/sft/medqa.
  const jobName = ({ name, kind }) => {
    const parts = name.split("/");
    const own = parts[0] === "data" ? parts.slice(2) : parts.length > 2 ? parts.slice(1, -1) : kind === "folder" ? parts.slice(1) : [];
    return own.join("/");
  };
  const title = (job) => [job.stage, job.name].filter(Boolean).join(" ");

  const jobsOf = (artifacts) => {
    const jobs = new Map();
    const of = artifacts.map((artifact) => {
      if (artifact.lost) return null;
      const name = jobName(artifact), key = `${artifact.stage} ${artifact.job || name}`;
      if (!jobs.has(key)) jobs.set(key, { stage: artifact.stage, name, artifacts: [], inputs: new Set(), readers: new Set(), depth: 0 });
      const job = jobs.get(key);
      job.artifacts.push(artifact);
      if (job.name !== name) job.name = artifact.job.replace("_", " ").split(" ").at(-1);
      return job;
    });
    artifacts.forEach((artifact, index) => (artifact.inputs || []).forEach((input) => {
      if (!of[input] || !of[index] || of[input] === of[index]) return;
      of[index].inputs.add(of[input]);
      of[input].readers.add(of[index]);
    }));
    const all = [...jobs.values()];
    all.forEach((job) => { job.seconds = job.artifacts.reduce((sum, each) => sum + (each.seconds || 0), 0); });
    return { all, of };
  };

  // By artifact, inputs before what is made of them: how deep it lies, and the longest way that leads to it, in seconds.
  const order = (artifacts, of) => {
    const ways = new Array(artifacts.length), open = new Set();
    const walk = (start) => {
      const stack = [start];
      while (stack.length) {
        const index = stack.at(-1);
        if (ways[index]) { stack.pop(); continue; }
        open.add(index);
        const inputs = (artifacts[index].inputs || []).filter((input) => artifacts[input]);
        const missing = inputs.filter((input) => !ways[input] && !open.has(input));
        if (missing.length) { stack.push(...missing); continue; }
        const known = inputs.filter((input) => ways[input]);
        const before = known.reduce((best, input) => (best === null || ways[input].seconds > ways[best].seconds ? input : best), null);
        const depth = known.reduce((most, input) => Math.max(most, ways[input].depth + 1), 0);
        ways[index] = { before, depth, seconds: (artifacts[index].seconds || 0) + (before === null ? 0 : ways[before].seconds) };
        if (of[index]) of[index].depth = Math.max(of[index].depth, depth);
        open.delete(index);
        stack.pop();
      }
    };
    artifacts.forEach((_, index) => walk(index));
    let last = ways.reduce((best, way, index) => (best === null || way.seconds > ways[best].seconds ? index : best), null);
    const path = [], seconds = last === null ? 0 : ways[last].seconds;
    for (; last !== null; last = ways[last].before) if (of[last]) path.unshift(last);
    return { path, seconds };
  };

  const reach = (job, side) => {
    const found = new Set(), waiting = [job];
    while (waiting.length) {
      waiting.pop()[side].forEach((other) => {
        if (!found.has(other)) { found.add(other); waiting.push(other); }
      });
    }
    return found;
  };

  const machines = (artifacts) => {
    const names = new Set(artifacts.filter((each) => each.host).map((each) =>
      [each.host, ...new Set((each.gpus || []).map(String))].join(", ")));
    return [...names];
  };

  const facts = (job, open) => {
    const list = make("dl", { class: "facts" });
    const fact = (name, ...values) => {
      if (values.length) list.append(make("dt", {}, name), make("dd", {}, ...values));
    };
    const said = (key) => [...new Set(job.artifacts.map((each) => each[key]).filter(Boolean).map(String))];
    const finished = said("finished").sort();
    fact("Time", `${time(job.seconds)}, ${count.format(job.artifacts.length)} ${job.artifacts.length === 1 ? "artifact" : "artifacts"}`);
    if (finished.length) fact("Finished", finished.at(-1).replace("T", " ").replace("Z", " UTC"));
    fact("Machine", ...[machines(job.artifacts).join("; ")].filter(Boolean));
    fact("Cost", ...[spent(job.artifacts).join(", ")].filter(Boolean));
    fact("Commit", ...said("commit").slice(0, 1));
    fact("Adopted", ...said("adopted").slice(0, 3));
    const bytes = job.artifacts.reduce((sum, each) => sum + (each.bytes || 0), 0);
    if (bytes) fact("Size", size(bytes));
    const others = (set) => [...set].map((other) => {
      const button = make("button", { type: "button", class: "to" }, title(other));
      button.addEventListener("click", () => open(other, true));
      return button;
    });
    fact("Made of", ...others(job.inputs));
    fact("Read by", ...others(job.readers));
    const rows = job.artifacts.slice(0, 200).map((each) => make("li", {}, make("code", {}, each.name), ` ${time(each.seconds || 0)}`,
      ...Object.entries(each.counts || {}).slice(0, 8).map(([key, value]) => `, ${key} ${typeof value === "number" ? count.format(value) : value}`)));
    fact("Artifacts", make("ul", {}, ...rows));
    return list;
  };

  const curve = (from, to, box) => {
    const a = from.button.getBoundingClientRect(), b = to.button.getBoundingClientRect();
    const x1 = a.left + a.width / 2 - box.left, y1 = a.bottom - box.top, x2 = b.left + b.width / 2 - box.left, y2 = b.top - box.top;
    const bend = Math.max(12, Math.abs(y2 - y1) / 2), path = document.createElementNS(SVG, "path");
    path.setAttribute("d", `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`);
    return path;
  };

  const show = (run) => {
    const place = document.getElementById("made-drawn"), told = document.getElementById("made-told");
    const artifacts = run.artifacts || [];
    if (!artifacts.length) return;
    const { all, of } = jobsOf(artifacts), way = order(artifacts, of), total = all.reduce((sum, job) => sum + job.seconds, 0);
    const onPath = new Set(way.path.map((index) => of[index]));
    const hosts = machines(artifacts), cost = spent(artifacts);
    const lost = artifacts.filter((each) => each.lost).length;
    told.textContent = `${count.format(artifacts.length - lost)} artifacts came of ${count.format(all.length)} jobs in ${time(total)} of work` +
      (hosts.length ? `, on ${hosts.length < 4 ? hosts.join(" and ") : `${hosts.length} machines`}` : "") +
      `. The longest way through them takes ${time(way.seconds)}: more machines alone are not faster.` + (cost.length ? ` It cost ${cost.join(" and ")}.` : "") +
      (lost ? ` ${count.format(lost)} of their inputs ${lost === 1 ? "is" : "are"} no longer in the results, and not drawn.` : "");

    const stages = d3.groups(all, (job) => job.stage)
      .map(([name, jobs]) => ({ name, jobs, depth: d3.min(jobs, (job) => job.depth), seconds: d3.sum(jobs, (job) => job.seconds) }))
      .sort((a, b) => a.depth - b.depth || d3.ascending(a.name, b.name));
    const most = d3.max(all, (job) => job.seconds) || 1;
    const width = (job) => 9 + 71 * Math.sqrt(job.seconds / most);

    const lines = document.createElementNS(SVG, "svg");
    lines.setAttribute("aria-hidden", "true");
    const panel = make("div", { class: "opened", role: "region", "aria-live": "polite", "aria-label": "The chosen job" });
    const body = make("tbody");
    const table = make("table", {}, make("caption", { id: "made-caption" }, make("span", {}, "Stages and their jobs")),
      make("thead", {}, make("tr", {}, ...["Stage", "Artifacts", "Time", "Share", "Cost"].map((words) => make("th", { scope: "col", class: words.toLowerCase() }, words)), make("th", { scope: "col", class: "text" }, "Jobs"))), body);
    const graph = make("div", { class: "graph" }, table, lines);
    const scroll = make("div", { class: "scroll", role: "region", "aria-labelledby": "made-caption", tabindex: "0" }, graph);
    let chosen = null;

    const open = (job, focus) => {
      chosen = job;
      const before = reach(job, "inputs"), after = reach(job, "readers");
      all.forEach((other) => {
        other.button.classList.toggle("near", before.has(other) || after.has(other));
        other.button.setAttribute("aria-pressed", other === job);
        other.button.tabIndex = other === job ? 0 : -1;
      });
      panel.replaceChildren(make("h3", {}, title(job)), facts(job, open));
      draw();
      if (focus) job.button.focus({ preventScroll: false });
    };
    const draw = () => {
      const box = graph.getBoundingClientRect();
      lines.setAttribute("width", table.offsetWidth);
      lines.setAttribute("height", table.offsetHeight);
      const near = chosen ? new Set([chosen, ...reach(chosen, "inputs")]) : onPath;
      const edges = [...near].flatMap((job) => [...job.inputs].filter((other) => near.has(other)).map((other) => curve(other, job, box)));
      const next = chosen ? [...chosen.readers].map((other) => curve(chosen, other, box)) : [];
      next.forEach((path) => path.setAttribute("class", "after"));
      lines.replaceChildren(...edges, ...next);
    };

    stages.forEach((stage) => {
      const buttons = stage.jobs.map((job) => {
        const words = `${title(job)}, ${time(job.seconds)}`;
        job.button = make("button", { type: "button", class: onPath.has(job) ? "job long" : "job", title: words, "aria-label": words, "aria-pressed": "false", tabindex: "-1", style: `width: ${width(job).toFixed(1)}px` });
        job.button.addEventListener("click", () => open(job));
        return job.button;
      });
      const made = stage.jobs.flatMap((job) => job.artifacts);
      body.append(make("tr", {}, make("th", { scope: "row" }, stage.name), make("td", {}, count.format(made.length)),
        make("td", {}, time(stage.seconds)), make("td", { class: "share" }, `${((100 * stage.seconds) / (total || 1)).toFixed(1)}%`),
        make("td", { class: "cost" }, spent(made, short).join(", ") || "–"), make("td", { class: "jobs" }, make("div", {}, ...buttons))));
    });
    // One stop of the tab key, then arrows: along a stage, and to the stage above or below.
    const rows = stages.map((stage) => stage.jobs);
    rows[0][0].button.tabIndex = 0;
    body.addEventListener("keydown", (event) => {
      const row = rows.findIndex((jobs) => jobs.some((job) => job.button === document.activeElement));
      if (row < 0) return;
      const column = rows[row].findIndex((job) => job.button === document.activeElement);
      const to = { ArrowRight: rows[row][column + 1], ArrowLeft: rows[row][column - 1], ArrowDown: rows[row + 1]?.[0], ArrowUp: rows[row - 1]?.[0] }[event.key];
      if (!to) return;
      event.preventDefault();
      rows[row][column].button.tabIndex = -1;
      to.button.tabIndex = 0;
      to.button.focus();
    });

    const steps = way.path.map((index) => make("li", {}, make("code", {}, artifacts[index].name), ` ${time(artifacts[index].seconds || 0)}`));
    const written = () => all.map((job) => ({
      stage: job.stage, job: job.name, artifacts: job.artifacts.length, seconds: Math.round(job.seconds * 1000) / 1000,
      on_longest_way: onPath.has(job), machines: machines(job.artifacts).join("; "), cost: spent(job.artifacts).join("; "),
      finished: d3.max(job.artifacts, (each) => each.finished) || "",
    }));
    place.replaceChildren(scroll, make("p", { class: "links" }, saved("Jobs", "jobs", written)), make("p", { class: "note" }, "A bar is a job, the longer the wider; orange ones are on the longest way. A job that is chosen shows what it was made of, up to the first files, and what read it. A time is that of the work alone, without the wait for a machine; what came from the store took its time then."),
      panel, make("details", {}, make("summary", {}, `The longest way, ${time(way.seconds)}`), make("ol", {}, ...steps)));
    new ResizeObserver(draw).observe(table);
  };

  // Others on the page may read the file, too: it is theirs first, and drawn once.
  const others = window.primumRun;
  let shown = false;
  window.primumRun = (run) => {
    others?.(run);
    if (shown) return;
    shown = true;
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => show(run));
    else show(run);
  };
})();
