"""The plots: dots with intervals by model, and curves over training steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from primum.report.numbers import MINUS, count
from primum.report.svg import drawing, element, line, shorten, text, ticks, tip

_LABELS, _ROW, _HEAD, _FOOT = 158.0, 24.0, 30.0, 22.0


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
    width = min(max((980 - _LABELS) / max(len(axes), 1), 96), 380)
    height = _HEAD + _ROW * len(rows) + _FOOT
    parts = []
    for index, (_, title) in enumerate(rows):
        y = _HEAD + _ROW * (index + 0.5)
        parts.append(line(_LABELS, y, _LABELS + width * len(axes) - 18, y, "guide"))
        parts.append(text(_LABELS - 12, y + 4, shorten(title, 22), "row", "end"))
    for column, axis in enumerate(axes):
        left, span = _LABELS + column * width, width - 18
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
    return drawing(_LABELS + width * len(axes), height, label, parts)


def _mark(mark: Mark, y: float, x: float, low: float | None, high: float | None) -> Markup:
    if mark.hollow:
        return element("g", tip(mark.tip), element("circle", cx=x, cy=y, r=4, class_=f"hollow stroke-{mark.class_}"))
    whisker = [] if low is None or high is None else [line(low, y, high, y, f"whisker stroke-{mark.class_}")]
    return element("g", tip(mark.tip), *whisker, element("circle", cx=x, cy=y, r=4, class_=f"fill-{mark.class_}"))


@dataclass(frozen=True, slots=True)
class Curve:
    """A value over training steps, in a panel of its own; ``held_out`` is the same of what was held out."""

    title: str
    unit: str
    class_: str
    points: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...] = ()
    reference: float | None = None


def curve_panel(curve: Curve) -> Markup:
    """A small panel: the curve, three ticks a side, its last value by name; held-out values are hollow dots."""
    width, height, left, right, top, bottom = 240.0, 142.0, 34.0, 8.0, 42.0, 20.0
    points, held_out = ([(s, v) for s, v in each if math.isfinite(v)] for each in (curve.points, curve.held_out))
    unit = f"{curve.unit}; held out: \u25cb" if held_out else curve.unit
    head = [text(4, 13, shorten(curve.title, 32), "head"), text(4, 27, unit, "tick")]
    if not points:
        return drawing(
            width, height, f"{curve.title}: no finite value", [*head, text(left, 80, "no finite value", "row")]
        )
    values = [value for _, value in points + held_out] + ([] if curve.reference is None else [curve.reference])
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    first = min(points[0][0], *(step for step, _ in held_out)) if held_out else points[0][0]
    last = max(points[-1][0], first + 1)

    def x(step: float) -> float:
        return left + (step - first) / (last - first) * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - (value - low) / (high - low) * (height - top - bottom)

    parts = list(head)
    for tick in ticks(low, high):
        parts.append(line(left, y(tick), width - right, y(tick), "grid"))
        parts.append(text(left - 5, y(tick) + 4, f"{tick:g}".replace("-", MINUS), "tick", "end"))
    for tick in ticks(first, last):
        anchor = "end" if x(tick) > width - right - 12 else "middle"
        shift = 4 if anchor == "end" else 0
        parts.append(text(x(tick) + shift, height - 5, count(round(tick)), "tick", anchor))
    if curve.reference is not None:
        parts.append(line(left, y(curve.reference), width - right, y(curve.reference), "chance"))
    path = "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)
    parts.append(element("path", d=path, class_=f"curve stroke-{curve.class_}"))
    end = points[-1]
    parts.append(element("circle", cx=x(end[0]), cy=y(end[1]), r=2.5, class_=f"fill-{curve.class_}"))
    for step, value in held_out:
        parts.append(element("circle", cx=x(step), cy=y(value), r=2.5, class_=f"hollow stroke-{curve.class_}"))
    label = f"{curve.title}, {curve.unit}: from {points[0][1]:.3g} to {end[1]:.3g} at step {end[0]}"
    if held_out:
        label += f"; held out: from {held_out[0][1]:.3g} to {held_out[-1][1]:.3g} at step {held_out[-1][0]}"
    return drawing(width, height, label, [tip(label), *parts], "plot panel")
