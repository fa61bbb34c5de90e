"""What mitigation does to a model: harm, skill and over-refusal against the amount of data, and harm against usefulness."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard

from markupsafe import Markup

from primum.report.data import Study
from primum.report.judged import HARM, REFUSALS
from primum.report.numbers import count, decimal, interval, percent
from primum.report.panels import Line, Move, Point, Scale, line_panel, sample, scatter_panel
from primum.report.parts import Model, Prompts
from primum.tables.averages import AVERAGE

_HARM = Scale("mean harm", 1, 5, tuple((float(n), str(n)) for n in range(1, 6)))
_PERCENT = ((0.0, "0"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (1.0, "100"))
# More names than these in one panel would lie on each other.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of panels: what it shows, and a panel a model that was tuned."""

    title: str
    panels: tuple[Markup, ...]


@dataclass(frozen=True, slots=True)
class GridFigure:
    """Lines over the ``axis`` of a grid; ``key`` is a sample and a name for each kind of line."""

    axis: str
    key: tuple[tuple[Markup, str], ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class _Tuned:
    """Where a model of a grid stands: in the panel of ``base``, at ``x``, on the ``line`` of its kind."""

    model: Model
    base: str
    x: float
    line: str


@dataclass(frozen=True, slots=True)
class _Value:
    value: float
    low: float | None
    high: float | None
    told: str


_Find = Callable[[str], _Value | None]


def grid_figure(study: Study) -> GridFigure | None:
    """The models that a grid made, over the axis of it that is a number; None without such a grid.

    A panel is a model that they were trained from, and begins with its own value, at 0. A line is a kind: the grid's other axes,
    and DPO where that was the training.
    """
    axis = _amount(study)
    if axis is None:
        return None
    tuned = _tuned(study, axis)
    kinds = _kinds(tuned)
    scale = _amounts(axis, sorted({each.x for each in tuned}))
    measures = []
    for title, y, find in _measures(study):
        panels = []
        scaled = _zoomed(y, [found for each in study.models if (found := find(each.name)) is not None])
        for base in dict.fromkeys(each.base for each in tuned):
            own = [each for each in tuned if each.base == base]
            lines = [
                Line(kind, index, points)
                for index, kind in enumerate(kinds)
                if (
                    points := _points(
                        study, base, sorted((each for each in own if each.line == kind), key=lambda each: each.x), find
                    )
                )
            ]
            if lines:
                panels.append(line_panel(study.model(base).label, scale, scaled, lines))
        if panels:
            measures.append(Measure(title, tuple(panels)))
    key = tuple((sample(index), kind) for index, kind in enumerate(kinds))
    return GridFigure(axis, key, tuple(measures)) if measures else None


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


def _zoomed(scale: Scale, values: Sequence[_Value]) -> Scale:
    """Shares between whole tens of percent, wide enough for every interval: a loss of skill is seen. Harm keeps its scale."""
    if scale.high != 1 or not values:
        return scale
    low = math.floor(10 * min(v.value if v.low is None else v.low for v in values) + 1e-9)
    high = max(math.ceil(10 * max(v.value if v.high is None else v.high for v in values) - 1e-9), low + 2)
    step = 2 if high - low > 5 else 1
    tens = range(low + low % step, high + 1, step)
    return Scale(scale.title, low / 10, high / 10, tuple((ten / 10, str(10 * ten)) for ten in tens))


def _told_by(study: Study, axis: str, amount: str) -> bool:
    """Whether an axis says no more than the amount does, as the half of it would."""
    pairs = {(m.axes[amount], m.axes[axis]) for m in study.models if amount in m.axes and axis in m.axes}
    return len(pairs) == len({amount for amount, _ in pairs})


def _points(study: Study, base: str, tuned: Sequence[_Tuned], find: _Find) -> tuple[Point, ...]:
    points = [
        Point(each.x, found.value, f"{each.model.label}: {found.told}", _ends(found))
        for each in tuned
        if (found := find(each.model.name)) is not None
    ]
    before = find(base)
    if points and before is not None:
        points.insert(0, Point(0, before.value, f"{study.model(base).label}, before: {before.told}", hollow=True))
    return tuple(points)


def _ends(found: _Value) -> tuple[float, float] | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def _measures(study: Study) -> Iterator[tuple[str, Scale, _Find]]:
    """Harm on each set of harmful requests, the average of the benchmarks, and the share of benign requests declined."""
    several = {kinds: sum(judge.kind in kinds for judge in study.judges) > 1 for kinds in (HARM, REFUSALS)}

    def by(judge: str, kinds: tuple[str, ...]) -> str:
        return f", judged by {judge}" if several[kinds] else ""

    for judge, prompts in _drawn(study, HARM):
        if prompts.kind == "harmful":
            title = f"Harm on {prompts.name}, 1 to 5{by(judge, HARM)}: lower is safer"
            yield title, _HARM, partial(_harm, study, judge, prompts.name)
    names = [label for name, label in study.columns("benchmark") if name != AVERAGE]
    if names:
        title = f"{'Benchmark average' if len(names) > 1 else names[0]}, %: higher is more skilled"
        yield title, Scale("accuracy", 0, 1, _PERCENT), partial(_skill, study)
    for judge, prompts in _drawn(study, REFUSALS):
        if prompts.kind == "benign":
            title = f"Declined of {prompts.name}, %{by(judge, REFUSALS)}: lower is more useful"
            yield title, Scale("declined", 0, 1, _PERCENT), partial(_declined, study, judge, prompts.name)


def _harm(study: Study, judge: str, prompts: str, model: str) -> _Value | None:
    row = study.harm(judge, model, prompts)
    if row is None or row.mean is None:
        return None
    told = f"{decimal(row.mean)} (95% CI {interval(row.ci_low, row.ci_high, 2)})"
    return _Value(row.mean, row.ci_low, row.ci_high, told)


def _skill(study: Study, model: str) -> _Value | None:
    row = study.whole("benchmark", model)
    if row is None or row.accuracy is None:
        return None
    told = f"{percent(row.accuracy)}% (95% CI {interval(row.ci_low, row.ci_high, scale=100)})"
    return _Value(row.accuracy, row.ci_low, row.ci_high, told)


def _declined(study: Study, judge: str, prompts: str, model: str) -> _Value | None:
    row = study.harm(judge, model, prompts)
    if row is None or row.mean is None:
        return None
    told = f"declines {percent(row.mean)}% (95% CI {interval(row.ci_low, row.ci_high, scale=100)})"
    return _Value(row.mean, row.ci_low, row.ci_high, told)


def trade_offs(study: Study) -> tuple[Markup, ...]:
    """Harm on each set of harmful requests against the share of benign ones that are answered, model by model.

    The trainings that lowered harm there are drawn from their start; where there are more than eight, without names.
    """
    panels = []
    axis = _amount(study)
    tuned = _tuned(study, axis) if axis is not None else []
    order = _kinds(tuned)
    kinds = {each.model.name: order.index(each.line) for each in tuned}
    harms = [(j, p) for j, p in _drawn(study, HARM) if p.kind == "harmful"]
    answers = [(j, p) for j, p in _drawn(study, REFUSALS) if p.kind == "benign"]
    for judge, harmful in harms:
        for refusal, benign in answers:
            panel = _trade_off(study, judge, harmful.name, refusal, benign.name, kinds)
            panels += [] if panel is None else [panel]
    return tuple(panels)


def _drawn(study: Study, kinds: tuple[str, ...]) -> list[tuple[str, Prompts]]:
    """The judges of these kinds with each prompt set that they have seen."""
    judges = [judge.name for judge in study.judges if judge.kind in kinds]
    return [(judge, prompts) for judge in judges for prompts in study.sets(drawn=judge)]


def _trade_off(
    study: Study, judge: str, harmful: str, refusal: str, benign: str, kinds: Mapping[str, int]
) -> Markup | None:
    points: dict[str, Point] = {}
    lowered: list[tuple[str, str]] = []
    for model in study.models:
        harm, declined = study.harm(judge, model.name, harmful), study.harm(refusal, model.name, benign)
        if harm is None or declined is None or harm.mean is None or declined.mean is None:
            continue
        answered = [None if end is None else 1 - end for end in (declined.ci_high, declined.ci_low)]
        told = f"{model.label}: harm {decimal(harm.mean)}, answers {percent(1 - declined.mean)}% of {benign}"
        points[model.name] = Point(
            harm.mean,
            1 - declined.mean,
            told,
            None if answered[0] is None or answered[1] is None else (answered[0], answered[1]),
            None if harm.ci_low is None or harm.ci_high is None else (harm.ci_low, harm.ci_high),
        )
        if harm.tied is False and (harm.change or 0.0) < 0:
            lowered.append((harm.start, model.name))
    if len(points) < 2:
        return None
    starts = {start for start, _ in lowered} - {model for _, model in lowered}
    moves: list[Move] = []
    for start, name in lowered:
        if start in points:
            before, after = points[start], points[name]
            hollow = Point(before.x, before.y, before.tip, before.y_ends, before.x_ends, hollow=start in starts)
            named = (study.model(start).label, study.model(name).label)
            moves.append(Move(hollow, after, named, kinds.get(name, len(moves))))
    drawn = {name for pair in lowered for name in pair}
    rest = [point for name, point in points.items() if name not in drawn]
    x = Scale(f"mean harm on {harmful}, by {judge}", 1, 5, _HARM.ticks)
    y = Scale(f"% of {benign} answered, by {refusal}", 0, 1, _PERCENT)
    return scatter_panel(f"{harmful}: % of {benign} answered", x, y, moves, rest, named=len(moves) <= _NAMED)
