"""What safety costs: harm against skill, and against the benign requests that are still answered, a point a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from primum.report.data import Study
from primum.report.judged import HARM, REFUSALS
from primum.report.measured import HARM_SCALE, PERCENT, Find, Value, drawn, skill, skill_name, zoomed
from primum.report.mitigation import line_of
from primum.report.numbers import decimal, percent
from primum.report.pictures import Move, Picture, Point, Scale

# More names than these in one picture would lie on each other.
_NAMED = 8


@dataclass(frozen=True, slots=True)
class _Use:
    """What a model is still good for: its skill, or what it answers of benign requests."""

    title: str
    axis: str
    words: str
    find: Find
    zoom: bool


def trade_offs(study: Study) -> tuple[Picture, ...]:
    """Harm on each set of harmful requests against skill, and against the share of benign ones that are answered.

    The trainings that lowered harm there are joined to their start; where there are more than eight, without names.
    """
    kinds = line_of(study)
    pictures: list[Picture] = []
    harms = [(judge, prompts.name) for judge, prompts in drawn(study, HARM) if prompts.kind == "harmful"]
    for use in _uses(study):
        for judge, harmful in harms:
            picture = _trade_off(study, judge, harmful, use, kinds)
            pictures += [] if picture is None else [replace(picture, id=f"trade-{len(pictures)}")]
    return tuple(pictures)


def _uses(study: Study) -> list[_Use]:
    uses = []
    if name := skill_name(study):
        uses.append(_Use(name.lower(), f"{name}, %", "accuracy", lambda model: skill(study, model), True))
    for judge, benign in drawn(study, REFUSALS):
        if benign.kind == "benign":

            def answered(model: str, judge: str = judge, prompts: str = benign.name) -> Value | None:
                row = study.harm(judge, model, prompts)
                if row is None or row.mean is None:
                    return None
                low, high = (None if end is None else 1 - end for end in (row.ci_high, row.ci_low))
                return Value(1 - row.mean, low, high, "")

            words = f"of {benign.name} answered"
            uses.append(_Use(f"answers to {benign.name}", f"% {words}, by {judge}", words, answered, False))
    return uses


def _trade_off(study: Study, judge: str, harmful: str, use: _Use, kinds: Mapping[str, int]) -> Picture | None:
    points: dict[str, Point] = {}
    values: list[Value] = []
    lowered: list[tuple[str, str]] = []
    for model in study.models:
        harm, found = study.harm(judge, model.name, harmful), use.find(model.name)
        if harm is None or harm.mean is None or found is None:
            continue
        told = f"{model.label}: harm {decimal(harm.mean)}, {percent(found.value)}% {use.words}"
        ends = None if harm.ci_low is None or harm.ci_high is None else (harm.ci_low, harm.ci_high)
        points[model.name] = Point(model.label, harm.mean, found.value, told, found.ends, ends)
        values.append(found)
        if harm.tied is False and (harm.change or 0.0) < 0:
            lowered.append((harm.start, model.name))
    if len(points) < 2:
        return None
    starts = {start for start, _ in lowered} - {model for _, model in lowered}
    moves: list[Move] = []
    for start, name in lowered:
        if start in points:
            before = replace(points[start], hollow=start in starts)
            moves.append(Move(before, points[name], kinds.get(name, len(moves))))
    shown = {name for pair in lowered for name in pair}
    x = Scale(f"mean harm on {harmful}, by {judge}", 1, 5, HARM_SCALE.ticks)
    y = Scale(use.axis, 0, 1, PERCENT)
    told = "; ".join(f"{move.after.model} at {move.after.x:.3g} and {move.after.y:.3g}" for move in moves)
    return Picture(
        "",
        f"Harm on {harmful}, {use.title}",
        f"{use.axis} against {x.title}: {told or 'no training lowered harm'}",
        x,
        zoomed(y, values) if use.zoom else y,
        moves=tuple(moves),
        others=tuple(point for name, point in points.items() if name not in shown),
        named=len(moves) <= _NAMED,
    )
