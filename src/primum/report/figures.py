"""Which plots the page has without its script, and what is drawn in them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from markupsafe import Markup

from primum.report.data import BEST, Accuracy, Study
from primum.report.judged import HARM, REFUSALS, Safety
from primum.report.numbers import decimal, interval, percent, signed
from primum.report.parts import Model
from primum.report.plots import Axis, Mark, dot_plot

_PERCENT = ((0.0, "0"), (0.5, "50"), (1.0, "100"))
_HARM = ((1.0, "1"), (2.0, "2"), (3.0, "3"), (4.0, "4"), (5.0, "5"))


def accuracy_figure(study: Study, group: str) -> Markup | None:
    """Accuracy with its interval: models down, benchmarks (and their average) across. None without any rows."""
    rows = study.preferences if group == "preference" else study.accuracy
    found = {(row.model, row.benchmark): row for row in rows if not row.subject and row.accuracy is not None}
    benchmarks = study.columns(group)
    models = [model for model in study.models if any(model.name == name for name, _ in found)]
    if not models:
        return None
    chances = {name: next((r.chance for r in found.values() if r.benchmark == name), None) for name, _ in benchmarks}
    axes = [Axis(label, 0, 1, _PERCENT, chances[name]) for name, label in benchmarks]
    marks = {
        (model.name, column): (_accuracy_mark(found[model.name, name], model.kind, f"{model.label}, {label}"),)
        for model in models
        for column, (name, label) in enumerate(benchmarks)
        if (model.name, name) in found
    }
    return dot_plot("Accuracy in percent by model and benchmark", [(m.name, m.label) for m in models], axes, marks)


def _accuracy_mark(row: Accuracy, class_: str, label: str) -> Mark:
    told = f"{label}: {percent(row.accuracy)}% (95% CI {interval(row.ci_low, row.ci_high, scale=100)})"
    return Mark(row.accuracy or 0.0, row.ci_low, row.ci_high, class_, told)


def comparison_figure(study: Study, group: str) -> Markup | None:
    """Points behind the best of each column, with the interval of the difference. None where nothing was compared."""
    best = {key: row for key, row in study.against(BEST, group).items() if row.difference is not None}
    if not best:
        return None
    names = [(name, label) for name, label in study.columns(group) if any(name == column for _, column in best)]
    others = {row.benchmark: row.other for row in best.values()}
    models = [m for m in study.models if any(m.name == name for name, _ in best) or m.name in others.values()]
    # Whole tens of points, so that the axis has a round end.
    low = math.floor(10 * min(min(row.ci_low or 0.0, row.difference or 0.0) for row in best.values())) / 10
    high = math.ceil(10 * max(max(row.ci_high or 0.0, 0.01) for row in best.values())) / 10
    ends = ((low, signed(100 * low, 0)), (0.0, "0"))
    marks = {}
    for column, (name, label) in enumerate(names):
        for model in models:
            row = best.get((model.name, name))
            if row is not None and row.difference is not None:
                told = (
                    f"{model.label}, {label}: {signed(100 * row.difference)} points from {study.model(row.other).label}"
                )
                marks[model.name, column] = (Mark(row.difference, row.ci_low, row.ci_high, model.kind, told),)
            elif model.name == others[name]:
                told = f"{model.label}: the best on {label}"
                marks[model.name, column] = (Mark(0.0, None, None, model.kind, told, hollow=True),)
    axes = [Axis(label, low, high, ends, 0.0) for _, label in names]
    label = "Points behind the best, by model and benchmark"
    return dot_plot(label, [(m.name, m.label) for m in models], axes, marks)


def _judged(study: Study, kinds: Collection[str]) -> tuple[list[tuple[str, str]], list[Model]]:
    """The (judge, prompt set) pairs with a mean by a judge of these ``kinds``, and the models that have one."""
    judges = [judge.name for judge in study.judges if judge.kind in kinds]
    rows = [row for row in study.safety if row.judge in judges and not row.category and row.mean is not None]
    there = {(row.judge, row.prompts) for row in rows}
    pairs = [(j, p.name) for j in judges for p in study.sets(drawn=j) if (j, p.name) in there]
    return pairs, [model for model in study.models if any(row.model == model.name for row in rows)]


def _named(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The prompt sets, with the judge where there are several."""
    several = len({judge for judge, _ in pairs}) > 1
    return [f"{prompts}, {judge}" if several else prompts for judge, prompts in pairs]


def harm_figure(study: Study) -> Markup | None:
    """Mean harm by rubric judge and prompt set, with its interval; hollow: the model that it was trained from."""
    kinds = {prompts.name: prompts.kind for prompts in study.sets()}
    pairs, models = _judged(study, HARM)
    if not pairs:
        return None
    marks = {}
    for model in models:
        for column, (judge, prompts) in enumerate(pairs):
            row = study.harm(judge, model.name, prompts)
            if row is None or row.mean is None:
                continue
            told = f"{model.label}, {prompts}: {decimal(row.mean)} (95% CI {interval(row.ci_low, row.ci_high, 2)})"
            mark = Mark(row.mean, row.ci_low, row.ci_high, kinds[prompts], told)
            before = study.harm(judge, row.start, prompts) if row.start else None
            marks[model.name, column] = (*_before(before, study, kinds[prompts]), mark)
    axes = [Axis(name, 1, 5, _HARM) for name in _named(pairs)]
    return dot_plot("Mean harm, 1 to 5, by model and prompt set", [(m.name, m.label) for m in models], axes, marks)


def _before(row: Safety | None, study: Study, class_: str) -> tuple[Mark, ...]:
    if row is None or row.mean is None:
        return ()
    told = f"before: {study.model(row.model).label}, {decimal(row.mean)}"
    return (Mark(row.mean, None, None, class_, told, hollow=True),)


def refusal_figure(study: Study) -> Markup | None:
    """The share declined of harmful and of benign requests, by refusal judge and prompt set, with its interval."""
    kinds = {prompts.name: prompts.kind for prompts in study.sets()}
    pairs, models = _judged(study, REFUSALS)
    if not pairs:
        return None
    marks = {}
    for model in models:
        for column, (judge, prompts) in enumerate(pairs):
            row = study.harm(judge, model.name, prompts)
            if row is not None and row.mean is not None:
                ends = interval(row.ci_low, row.ci_high, scale=100)
                told = f"{model.label} declines {percent(row.mean)}% of {prompts} (95% CI {ends})"
                marks[model.name, column] = (Mark(row.mean, row.ci_low, row.ci_high, kinds[prompts], told),)
    axes = [Axis(name, 0, 1, _PERCENT) for name in _named(pairs)]
    return dot_plot(
        "Share declined, percent, by model and prompt set", [(m.name, m.label) for m in models], axes, marks
    )
