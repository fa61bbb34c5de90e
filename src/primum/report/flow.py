"""The rows of a mixture as a Sankey diagram: from each source to what became of them, and on into the mixture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from primum.report.numbers import count, listing
from primum.report.records import KEPT, Ledger
from primum.report.svg import drawing, element, shorten, text, tip

_WIDTH, _BAR, _LABELS = 980.0, 10.0, 158.0
_HEIGHT, _SLOT, _GAP = 300.0, 13.0, 4.0
_COLUMNS = (_LABELS, 520.0, _WIDTH - _LABELS)

# A node: the column that it stands in, and its name there.
_Node = tuple[int, str]


def flow(rows: Sequence[Ledger], mixture: str, colours: Mapping[str, str]) -> Markup | None:
    """An SVG whose heights are rows, each once: sources, then domains of kept rows and reasons of dropped ones, then the mixture.

    ``colours`` are classes by outcome. None for fewer than two sources with rows.
    """
    links: Counter[tuple[_Node, _Node]] = Counter()
    classes: dict[_Node, str] = {(2, mixture): colours[KEPT]}
    for row in rows:
        source = (0, row.source)
        middle = (1, row.domain if row.outcome == KEPT else row.outcome)
        if row.rows:
            links[source, middle] += row.rows
            classes |= {source: "source", middle: colours[row.outcome]}
            if row.outcome == KEPT:
                links[middle, (2, mixture)] += row.rows
    sources = list(dict.fromkeys(node for node, _ in links if node[0] == 0))
    if len(sources) < 2:
        return None
    # Kept rows first, the reasons below them, so that few bands cross.
    kept = list(dict.fromkeys(node for node, _ in links if node[0] == 1 and classes[node] == colours[KEPT]))
    dropped = [(1, name) for name in colours if (1, name) in classes and (1, name) not in kept]
    columns = [sources, [*kept, *dropped], [(2, mixture)]]
    total = sum(number for (start, _), number in links.items() if start[0] == 0)
    sizes = {node: _through(links, node) for column in columns for node in column}
    tops, height = _places(columns, {node: rows_ / total * _HEIGHT for node, rows_ in sizes.items()})
    bands = _bands(links, columns, tops, total, classes)
    nodes = [part for node in tops for part in _node(node, tops[node], sizes[node], total, classes[node])]
    return drawing(_WIDTH, height, _said(mixture, sizes, kept, dropped, total), [*bands, *nodes], "plot flow")


def _through(links: Mapping[tuple[_Node, _Node], int], node: _Node) -> int:
    return sum(rows for (start, end), rows in links.items() if (end if node[0] else start) == node)


def _places(columns: Sequence[Sequence[_Node]], heights: Mapping[_Node, float]) -> tuple[dict[_Node, float], float]:
    """Where each node begins, from the top, and how high the drawing is. Each has the room that its label needs."""
    slots = {node: max(height, _SLOT) + _GAP for node, height in heights.items()}
    height = max(sum(slots[node] for node in column) for column in columns)
    tops = {}
    for column in columns:
        y = (height - sum(slots[node] for node in column)) / 2
        for node in column:
            tops[node] = y + (slots[node] - heights[node]) / 2
            y += slots[node]
    return tops, height


def _bands(
    links: Mapping[tuple[_Node, _Node], int],
    columns: Sequence[Sequence[_Node]],
    tops: Mapping[_Node, float],
    total: int,
    classes: Mapping[_Node, str],
) -> list[Markup]:
    """A band a link, as thick at both ends as its rows are many, in the order of the nodes there."""
    order = [node for column in columns for node in column]
    starts, ends = dict(tops), dict(tops)
    bands = []
    for start, end in sorted(links, key=lambda link: (order.index(link[0]), order.index(link[1]))):
        rows = links[start, end]
        thick = rows / total * _HEIGHT
        x0, x1 = _COLUMNS[start[0]] + _BAR, _COLUMNS[end[0]]
        y0, y1, bend = starts[start], ends[end], (x0 + x1) / 2
        starts[start], ends[end] = y0 + thick, y1 + thick
        upper = f"M{x0:.1f} {y0:.1f}C{bend:.1f} {y0:.1f} {bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        lower = f"V{y1 + thick:.1f}C{bend:.1f} {y1 + thick:.1f} {bend:.1f} {y0 + thick:.1f} {x0:.1f} {y0 + thick:.1f}Z"
        colour = classes[end]
        told = tip(f"{start[1]} \u2192 {end[1]}: {count(rows)} rows")
        bands.append(element("path", told, d=upper + lower, class_=f"band {colour} {colour.replace('fill', 'stroke')}"))
    return bands


def _node(node: _Node, top: float, rows: int, total: int, class_: str) -> list[Markup]:
    column, name = node
    x, height = _COLUMNS[column], rows / total * _HEIGHT
    told = f"{name}: {count(rows)} rows"
    bar = element("rect", tip(told), x=x, y=top, width=_BAR, height=max(height, 1), class_=class_)
    label = f"{shorten(name, 22)} {count(rows)}" if column else shorten(name, 22)
    middle = top + height / 2 + 4
    return [bar, text(x + _BAR + 6, middle, label) if column else text(x - 6, middle, label, "", "end")]


def _said(mixture: str, sizes: Mapping[_Node, int], kept: Sequence[_Node], dropped: Sequence[_Node], total: int) -> str:
    def each(nodes: Sequence[_Node]) -> str:
        return listing([f"{node[1]} {count(sizes[node])}" for node in nodes])

    said = f"{mixture}: of {count(total)} records {count(sizes.get((2, mixture), 0))} are taken"
    return said + (f", {each(kept)}" if kept else "") + (f"; dropped: {each(dropped)}" if dropped else "")
