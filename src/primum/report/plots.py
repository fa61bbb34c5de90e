"""The plots that need no script: dots with intervals, models down and columns across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from primum.report.svg import drawing, element, line, shorten, text, tip

_ROW, _HEAD, _FOOT = 24.0, 30.0, 22.0
# Of the rows' names: so wide at least, a letter's width, and how many letters at most.
_NAMES, _LETTER, _LONGEST = 158.0, 7.0, 40


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its interval on a column's axis. A hollow mark is drawn without its interval."""

    value: float
    low: float | None
    high: float | None
    class_: str
    tip: str
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A column of a dot plot: its range, its ticks with their text, and a dashed reference line (chance)."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    reference: float | None = None


def dot_plot(
    label: str, rows: Sequence[tuple[str, str]], axes: Sequence[Axis], marks: Mapping[tuple[str, int], Sequence[Mark]]
) -> Markup:
    """One row a model (name, label), one column an axis; ``marks`` by (model, index of the axis).

    Where a cell has two marks a thin line joins them: the first is before, the second after.
    """
    names = {name: shorten(title, _LONGEST) for name, title in rows}
    start = max(_NAMES, 14 + _LETTER * max(map(len, names.values()), default=0))
    width = min(max((980 - start) / max(len(axes), 1), 96), 380)
    height = _HEAD + _ROW * len(rows) + _FOOT
    parts = []
    for index, name in enumerate(names.values()):
        y = _HEAD + _ROW * (index + 0.5)
        parts.append(line(start, y, start + width * len(axes) - 18, y, "guide"))
        parts.append(text(start - 12, y + 4, name, "row", "end"))
    for column, axis in enumerate(axes):
        left, span = start + column * width, width - 18
        bottom = height - _FOOT

        def place(value: float, axis: Axis = axis, left: float = left, span: float = span) -> float:
            share = (value - axis.low) / (axis.high - axis.low)
            return left + 5 + min(max(share, 0), 1) * (span - 10)

        parts.append(text(left + span / 2, 14, shorten(axis.title, max(int(width / 6.6), 8)), "head", "middle"))
        for index, (value, words) in enumerate(axis.ticks):
            # The outer labels stay within their column, so that they do not run into the next one's.
            anchor = "start" if index == 0 else "end" if index == len(axis.ticks) - 1 else "middle"
            x = place(value) + {"start": -4, "middle": 0, "end": 4}[anchor]
            parts.append(line(place(value), _HEAD - 6, place(value), bottom, "grid"))
            parts.append(text(x, bottom + 15, words, "tick", anchor))
        if axis.reference is not None:
            parts.append(line(place(axis.reference), _HEAD - 6, place(axis.reference), bottom, "chance"))
        for row, (name, _) in enumerate(rows):
            y = _HEAD + _ROW * (row + 0.5)
            cell = marks.get((name, column), ())
            if len(cell) == 2:
                parts.append(line(place(cell[0].value), y, place(cell[1].value), y, "join"))
            for mark in cell:
                ends = [None if end is None else place(end) for end in (mark.low, mark.high)]
                parts.append(_mark(mark, y, place(mark.value), ends[0], ends[1]))
    return drawing(start + width * len(axes), height, label, parts)


def _mark(mark: Mark, y: float, x: float, low: float | None, high: float | None) -> Markup:
    if mark.hollow:
        return element("g", tip(mark.tip), element("circle", cx=x, cy=y, r=4, class_=f"hollow stroke-{mark.class_}"))
    whisker = [] if low is None or high is None else [line(low, y, high, y, f"whisker stroke-{mark.class_}")]
    return element("g", tip(mark.tip), *whisker, element("circle", cx=x, cy=y, r=4, class_=f"fill-{mark.class_}"))
