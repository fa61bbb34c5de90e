"""The picture of the DAG: ``python docs/images/dag.py`` writes dag.svg beside this file.

It is drawn from the declared stages and from the jobs of the shipped experiments; the numbers are the demo's jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from primum.dag import aggregation, curation, evaluation, preferences, training
from primum.dag.dag import Dag, Job
from primum.dag.workflow import open_workflow

ROOT = Path(__file__).parents[2]
GROUPS = {
    "curation": curation.STAGES,
    "training": training.STAGES,
    "preferences": preferences.STAGES,
    "evaluation": evaluation.STAGES,
    "aggregation": aggregation.STAGES,
}
GROUP_OF = {stage.name: group for group, stages in GROUPS.items() for stage in stages}

BOX, COLUMN, TALL, ROW = 132, 166, 40, 50  # a box and its distance to the next: across, and down
FITS = 20  # letters of what a stage writes
EDGE, HEAD, BETWEEN, LEFT = 14, 34, 52, 76
TIMES = "\N{MULTIPLICATION SIGN}"
WIDTH = 2 * LEFT + 2 * EDGE + 4 * COLUMN + BOX
STYLE = """
text { font: 12px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2937 }
.title { font-size: 15px; font-weight: 600 }
.name { font-size: 13px; font-weight: 600 }
.small { font-size: 11px; font-weight: 400; fill: #4b5563 }
.panel { fill: #eef2f7; stroke: #c3ccd8 }
.box { fill: #ffffff; stroke: #64748b }
.other { stroke-dasharray: 4 3 }
.label { fill: #fef3c7; stroke: #b98b1f }
.line { fill: none; stroke: #7d8590; stroke-width: 1.6; marker-end: url(#head) }
""".strip()


@dataclass
class Graph:
    """What is drawn: each stage's jobs, what it writes, and in which column of its group it comes first."""

    jobs: dict[str, int] = field(default_factory=dict)
    writes: dict[str, dict[str, None]] = field(default_factory=dict)
    column: dict[str, int] = field(default_factory=dict)
    inside: set[tuple[str, str]] = field(default_factory=set)  # stages of one group
    between: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # groups -> what flows

    def add(self, dag: Dag, counted: bool) -> None:
        """Add the jobs of an experiment, which are counted if it is the demo."""
        makers: dict[str, Job] = {path: job for job in dag.jobs for path in job.paths}
        depth: dict[Job, int] = {}
        for job in dag.jobs:  # each behind those that it reads from
            stage = job.stage.name
            depth[job] = 0
            for path in sorted(job.plan.read):
                maker = makers[path].stage.name
                groups = GROUP_OF[maker], GROUP_OF[stage]
                if groups[0] == groups[1]:
                    self.inside.add((maker, stage))
                    depth[job] = max(depth[job], depth[makers[path]] + 1)
                else:
                    self.between.setdefault(groups, set()).add(_kind(path, dag.results))
            self.column[stage] = min(depth[job], self.column.get(stage, depth[job]))
            self.writes.setdefault(stage, {}).update((_kind(path, dag.results), None) for path in job.paths)
            self.jobs[stage] = self.jobs.get(stage, 0) + counted

    def arrows(self, group: str) -> list[tuple[str, str]]:
        """The arrows in a group: forward, and none that a longer way says already."""
        names = [stage.name for stage in GROUPS[group]]
        edges = {(a, b) for a, b in self.inside if a in names and self.column[a] < self.column[b]}
        return sorted((a, b) for a, b in edges if not any((a, c) in edges and (c, b) in edges for c in names))

    def places(self, group: str) -> dict[str, tuple[int, int]]:
        """The column and the row of each stage of a group that has jobs."""
        found: dict[str, tuple[int, int]] = {}
        for stage in (each for each in GROUPS[group] if each.name in self.column):
            column = self.column[stage.name]
            found[stage.name] = column, sum(other == column for other, _ in found.values())
        return found


def _kind(path: str, results: str) -> str:
    """What an artifact is, by the folder that it lies in: ``data/mixtures``, ``models``."""
    first, second = Path(path).relative_to(results).parts[:2]
    return f"{first}/{second}" if first == "data" else first


def graph() -> Graph:
    """The stages that shipped experiments have: none has a judge that ranks."""
    found = Graph()
    for path in sorted((ROOT / "config" / "experiments").glob("*.yaml")):
        found.add(open_workflow({"experiment": path.stem}, ROOT).dag, path.stem == "demo")
    return found


@dataclass(frozen=True)
class Panel:
    """Where a group is drawn."""

    group: str
    x: int
    y: int
    width: int
    height: int
    places: dict[str, tuple[int, int]]

    def box(self, stage: str) -> tuple[int, int]:
        """The upper left corner of a stage's box."""
        column, row = self.places[stage]
        return self.x + EDGE + column * COLUMN, self.y + HEAD + row * ROW


def _panels(found: Graph) -> dict[str, Panel]:
    """Curation, training, the preferences that it makes itself, and below them evaluation beside aggregation."""
    panels: dict[str, Panel] = {}
    y = 8
    for row in (("curation",), ("training",), ("preferences",), ("evaluation", "aggregation")):
        places = {group: found.places(group) for group in row}
        height = HEAD + ROW * (1 + max(r for each in places.values() for _, r in each.values()))
        x = LEFT
        for group, own in places.items():
            columns = 1 + max(column for column, _ in own.values())
            wide = row in (("curation",), ("training",))
            width = WIDTH - 2 * LEFT if wide else 2 * EDGE + (columns - 1) * COLUMN + BOX
            if group != row[0]:  # at the right edge: the arrow from the left has room for its labels
                x = WIDTH - LEFT - width
            panels[group] = Panel(group, x, y, width, height, own)
        y += height + BETWEEN
    return panels


def _box(found: Graph, panel: Panel, stage: str) -> Iterator[str]:
    x, y = panel.box(stage)
    jobs = found.jobs[stage]
    kind = "box" if jobs else "box other"
    writes = ", ".join(name.removeprefix("data/") for name in found.writes[stage])
    yield f'<rect class="{kind}" x="{x}" y="{y}" width="{BOX}" height="{TALL}" rx="5"/>'
    yield f'<text class="name" x="{x + 9}" y="{y + 17}">{escape(stage)}</text>'
    if jobs:
        yield f'<text class="small" x="{x + BOX - 9}" y="{y + 17}" text-anchor="end">{TIMES}{jobs}</text>'
    # More letters than the box has room for are set closer.
    fit = f' textLength="{BOX - 18}" lengthAdjust="spacingAndGlyphs"' if len(writes) > FITS else ""
    yield f'<text class="small" x="{x + 9}" y="{y + 32}"{fit}>{escape(writes)}</text>'
    if (stage, stage) in found.inside:
        right = x + BOX
        yield f'<path class="line" d="M{right - 62} {y} v-7 q0 -6 6 -6 h26 q6 0 6 6 v4"/>'


def _arrow(panel: Panel, start: str, end: str) -> str:
    (x1, y1), (x2, y2) = panel.box(start), panel.box(end)
    x1, y1, x2, y2 = x1 + BOX, y1 + TALL // 2, x2 - 3, y2 + TALL // 2
    bend = (x2 - x1) // 2
    return f'<path class="line" d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _labels(x: int, y: int, texts: Sequence[str]) -> Iterator[str]:
    """What flows, one label below the other, around the point ``x``, ``y``."""
    for index, text in enumerate(texts):
        width, middle = round(6.2 * len(text)) + 16, y + 24 * index - 12 * (len(texts) - 1)
        yield f'<rect class="label" x="{x - width // 2}" y="{middle - 10}" width="{width}" height="20" rx="10"/>'
        yield f'<text x="{x}" y="{middle + 4}" text-anchor="middle">{escape(text)}</text>'


def _flows(found: Graph, panels: dict[str, Panel]) -> Iterator[str]:
    """The arrows between groups, and what flows. ValueError for one that nothing flows along, or that is left out."""
    c, t, p, e, a = (panels[name] for name in ("curation", "training", "preferences", "evaluation", "aggregation"))
    under, below, middle = c.y + c.height, t.y + t.height, BETWEEN // 2
    side, right, out, back = LEFT // 2, LEFT + c.width, c.y + 70, e.y + 60
    e_x, high, end = e.x + e.width // 2, e.y + e.height // 2, p.y + p.height
    # Beside the preferences, to evaluation and to aggregation.
    first, second = p.x + p.width + 40, p.x + p.width + 110
    ways = {
        ("curation", "training"): (f"M{WIDTH // 2} {under} V{t.y - 3}", WIDTH // 2, under + middle),
        ("curation", "evaluation"): (
            f"M{LEFT} {out} H{side + 8} q-8 0 -8 8 V{back - 8} q0 8 8 8 H{LEFT - 3}",
            side,
            under + middle,
        ),
        # Along with what goes to evaluation, which is the same and more.
        ("curation", "preferences"): (f"M{side} {p.y + 50} H{LEFT - 3}", None, 0),
        ("curation", "aggregation"): (
            f"M{right} {out} h{side - 8} q8 0 8 8 V{back - 8} q0 8 -8 8 H{right + 3}",
            right + side,
            under + middle,
        ),
        ("training", "preferences"): (f"M{e_x - 110} {below} V{p.y - 3}", e_x - 110, below + middle),
        ("preferences", "training"): (f"M{e_x + 110} {p.y} V{below + 3}", e_x + 110, below + middle),
        ("preferences", "evaluation"): (f"M{e_x - 110} {end} V{e.y - 3}", e_x - 110, end + middle),
        ("preferences", "aggregation"): (f"M{a.x + 80} {end} V{a.y - 3}", a.x + 80, end + middle + 4),
        ("training", "evaluation"): (
            f"M{first} {below} V{end + 10} q0 8 -8 8 H{e_x + 118} q-8 0 -8 8 V{e.y - 3}",
            first,
            (below + end) // 2,
        ),
        ("training", "aggregation"): (f"M{second} {below} V{a.y - 3}", second, end + middle),
        ("evaluation", "aggregation"): (f"M{e.x + e.width} {high} H{a.x - 3}", (e.x + e.width + a.x) // 2, high),
    }
    if ways.keys() != found.between.keys():
        raise ValueError(f"to be drawn, or no longer: {sorted(ways.keys() ^ found.between.keys())}")
    for groups, (path, x, y) in ways.items():
        yield f'<path class="line" d="{path}"/>'
        if x is None:
            continue
        texts = sorted(kind.removeprefix("data/") for kind in found.between[groups])
        # Between two rows there is room for one.
        yield from _labels(x, y, [", ".join(texts)] if {"training", "preferences"} & set(groups) else texts)


def picture(found: Graph) -> str:
    """The graph as SVG, with its own light panels, so that it can be read on any background."""
    panels = _panels(found)
    bottom = max(panel.y + panel.height for panel in panels.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 10}" role="img">',
        "<title>The stages of primum by group, and what flows between them</title>",
        f"<style>\n{STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#7d8590"/></marker></defs>',
    ]
    for panel in panels.values():
        place = f'x="{panel.x}" y="{panel.y}" width="{panel.width}" height="{panel.height}"'
        parts.append(f'<rect class="panel" {place} rx="8"/>')
        parts.append(
            f'<text class="title" x="{panel.x + EDGE}" y="{panel.y + 22}">{panel.group.capitalize()}'
            f'<tspan class="small" dx="10">src/primum/dag/{panel.group}.py</tspan></text>'
        )
        parts += [_arrow(panel, start, end) for start, end in found.arrows(panel.group)]
        for stage in panel.places:
            parts += _box(found, panel, stage)
    parts += _flows(found, panels)
    a = panels["aggregation"]
    for line, text in enumerate((f"{TIMES}N: jobs of the demo", "dashed: other experiments have it")):
        parts.append(f'<text class="small" x="{a.x + EDGE}" y="{a.y + a.height - 34 + 17 * line}">{text}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("dag.svg").write_text(picture(graph()), encoding="utf-8")
