"""What mitigation does to a model: harm, skill and over-refusal against the amount of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from primum.report.data import Study
from primum.report.measured import Find, measures, zoomed
from primum.report.numbers import count
from primum.report.parts import Model
from primum.report.pictures import Line, Picture, Point, Scale


@dataclass(frozen=True, slots=True)
class Row:
    """A row of pictures: what they show, and one for each model that was tuned."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class GridFigure:
    """Lines over the ``axis`` of a grid; ``kinds`` are the names of its lines, in the order of their colours and shapes.

    ``rows`` are by measure. Of a single tuned model they are one row without a title, and the pictures have the measures'.
    """

    axis: str
    kinds: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for row in self.rows for picture in row.pictures)


@dataclass(frozen=True, slots=True)
class _Tuned:
    """Where a model of a grid stands: in the panel of ``base``, at ``x``, on the ``line`` of its kind."""

    model: Model
    base: str
    x: float
    line: str


def grid_figure(study: Study) -> GridFigure | None:
    """The models that a grid made, over the axis of it that is a number; None without such a grid.

    A picture is a model that they were trained from, and begins with its own value, at 0. A line is a kind: the grid's other
    axes, and DPO where that was the training.
    """
    axis = _amount(study)
    if axis is None:
        return None
    tuned = _tuned(study, axis)
    kinds = _kinds(tuned)
    bases = tuple(dict.fromkeys(each.base for each in tuned))
    scale = _amounts(axis, sorted({each.x for each in tuned}))
    rows = []
    for number, measure in enumerate(measures(study)):
        pictures = []
        values = [found for each in study.models if (found := measure.find(each.name)) is not None]
        scaled = zoomed(measure.scale, values)
        for place, base in enumerate(bases):
            own = [each for each in tuned if each.base == base]
            lines = [
                Line(kind, index, points)
                for index, kind in enumerate(kinds)
                if (
                    points := _points(
                        study,
                        base,
                        sorted((each for each in own if each.line == kind), key=lambda each: each.x),
                        measure.find,
                    )
                )
            ]
            if lines:
                label = study.model(base).label
                title = label if len(bases) > 1 else measure.title
                told = f"{label}, {measure.title}, against {axis}: {'; '.join(map(_told, lines))}"
                pictures.append(Picture(f"amount-{number}-{place}", title, told, scale, scaled, lines=tuple(lines)))
        if pictures:
            rows.append(Row(measure.title, tuple(pictures)))
    if not rows:
        return None
    if len(bases) == 1:
        rows = [Row("", tuple(picture for row in rows for picture in row.pictures))]
    return GridFigure(axis, tuple(kinds), tuple(rows))


def _told(line: Line) -> str:
    return f"{line.name} from {line.points[0].y:.3g} to {line.points[-1].y:.3g}"


def line_of(study: Study) -> dict[str, int]:
    """The index of the line that each model of a grid is on, for its colour and shape; empty without a grid."""
    axis = _amount(study)
    tuned = _tuned(study, axis) if axis is not None else []
    order = _kinds(tuned)
    return {each.model.name: order.index(each.line) for each in tuned}


def _amount(study: Study) -> str | None:
    """The axis with the most different numbers, two or more of them; the first of several."""
    numbers: dict[str, set[float]] = {}
    for model in study.models:
        for axis, value in model.axes.items():
            if model.evaluated and _is_number(value):
                numbers.setdefault(axis, set()).add(float(value))
    best = max(numbers, key=lambda axis: len(numbers[axis]), default=None)
    return best if best is not None and len(numbers[best]) > 1 else None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tuned(study: Study, axis: str) -> list[_Tuned]:
    names = {model.name for model in study.models}
    found = []
    for model in study.models:
        value = model.axes.get(axis)
        if not model.evaluated or not _is_number(value):
            continue
        others = {key: each for key, each in model.axes.items() if key != axis}
        # An axis of models says what was tuned. So does the start, which differs from row to row in a chain.
        base = next((str(each) for each in others.values() if str(each) in names), model.start or model.name)
        words = [str(each) for each in others.values() if isinstance(each, str) and each not in names]
        words += [
            f"{key} {str(each).lower()}"
            for key, each in others.items()
            if not isinstance(each, str) and not _told_by(study, key, axis)
        ]
        if model.kind == "dpo" and "dpo" not in " ".join(words).lower():
            words.append("DPO")
        found.append(
            _Tuned(model, base, float(value), ", ".join(words) or {"sft": "fine-tuning"}.get(model.kind, model.kind))
        )
    return found


def _kinds(tuned: Sequence[_Tuned]) -> list[str]:
    return list(dict.fromkeys(each.line for each in tuned))


def _amounts(axis: str, values: Sequence[float]) -> Scale:
    """From 0 on, with the grid's own values below it, but for those that would run into the next one."""
    low, high = min(0.0, values[0]), max(0.0, values[-1])
    shown: list[float] = []
    for value in sorted({0.0, *values}):
        if not shown or value - shown[-1] >= 0.1 * (high - low):
            shown.append(value)
    return Scale(axis, low, high, tuple((v, count(round(v)) if v == round(v) else f"{v:g}") for v in shown))


def _told_by(study: Study, axis: str, amount: str) -> bool:
    """Whether an axis says no more than the amount does, as the half of it would."""
    pairs = {(m.axes[amount], m.axes[axis]) for m in study.models if amount in m.axes and axis in m.axes}
    return len(pairs) == len({amount for amount, _ in pairs})


def _points(study: Study, base: str, tuned: Sequence[_Tuned], find: Find) -> tuple[Point, ...]:
    points = [
        Point(each.model.label, each.x, found.value, f"{each.model.label}: {found.told}", found.ends)
        for each in tuned
        if (found := find(each.model.name)) is not None
    ]
    before = find(base)
    if points and before is not None:
        label = study.model(base).label
        points.insert(0, Point(label, 0, before.value, f"{label}, before: {before.told}", hollow=True))
    return tuple(points)
