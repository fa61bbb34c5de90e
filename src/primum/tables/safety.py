"""The table ``safety``: harm scores and refusals by model, prompt set, judge and category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from primum.tables.agreement import NONE
from primum.tables.averages import Column, wholes
from primum.tables.calibration import Calibration, refused_judges
from primum.tables.changes import NO_CHANGE, Change, change_of, decide
from primum.tables.lineage import measured_starts
from primum.tables.powered import powered_mean
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import MISSING, Estimate, bounded, mean_score, proportion
from primum.tables.verdicts import BLOCKED, EMPTY, NOT_ASKED, UNANSWERED, Verdicts
from primum.text.scales import PARTIAL, REFUSAL

MEASURED, GATED = "measured", "gated"
# Above this share of the responses that a judge was asked about, its missing scores are said beside the mean of the others.
MOST_UNREAD = 0.2
_HARM, _SHARE = (1.0, 5.0), (0.0, 1.0)
_MEANS = {"rubric": _HARM, "panel": _HARM, "refusal": _SHARE, "refusal-classes": _SHARE}


def safety_rows(
    judgements: Mapping[tuple[str, str, str], Verdicts],
    common: Mapping[str, Any],
    checked: Mapping[str, Calibration],
) -> Iterator[dict[str, Any]]:
    """The rows of the table ``safety`` from the verdicts by (judge, model, prompts): whole (category ""), by category.

    Prompt sets with one ``part_of`` are followed by the responses to all of them as one set of that name.

    ``mean`` is the mean harm (1-5) of a rubric judge or panel, or the share that a refusal judge calls refusals (0-1); ``sem`` is
    its standard error. ``macro`` is the unweighted mean over the categories. A judge that ``checked`` refuses has rows of status
    ``gated``, without any number that its scores made. ``change`` is the paired difference to the model's start over the requests
    that were scored for both, with the interval at the level at which Holm's procedure decided on it: the whole sets of a judge
    are one family of tests, the categories another. ``tied`` is whether the interval holds 0. The bounds are of the mean of all
    responses, with those that have no score at the lowest and at the highest (Manski 1989): what is unscored is not missing at
    random. ``note`` says where more than a fifth of a judge's answers gave no score.
    """
    rows = []
    changes: dict[str, Change] = {}
    kinds = {judge["name"]: judge["kind"] for judge in common["judges"]}
    related = {judge["name"]: judge["related"] for judge in common["judges"]}
    refused = refused_judges(common["judges"], checked)
    measured = {model for _, model, _ in judgements}
    models = [str(model["name"]) for model in common["models"] if model["name"] in measured]
    starts = measured_starts(common["models"], models)
    sets = wholes([(entry["name"], entry["part_of"]) for entry in common["prompts"]])
    for index, model in enumerate(models):
        for row, prompts in enumerate(sets):
            for column, (judge, kind) in enumerate(kinds.items()):
                verdicts = _verdicts(judgements, judge, model, prompts)
                if verdicts is None:
                    continue
                start = _verdicts(judgements, judge, starts[model], prompts) or {}
                categories = sorted({verdict.category for verdict in verdicts.values()})
                for part, category in enumerate(("", *(c for c in categories if c and len(categories) > 1))):
                    own = {key: v for key, v in verdicts.items() if category in ("", v.category)}
                    shown = {**_measure(own, kind), **_macro({} if category else own, kind)}
                    found = {
                        "id": f"{index:03d}.{row:03d}.{column:03d}.{part:04d}",
                        "model": model,
                        "prompts": prompts.name,
                        "judge": judge,
                        "category": category,
                        "start": starts[model],
                        "related": related[judge].get(model, ""),
                        **NO_CHANGE,
                        **_counted(own),
                        **(dict.fromkeys(shown) | {"status": GATED} if judge in refused else shown),
                        **_called(checked.get(judge)),
                    }
                    rows.append(found)
                    change = None if judge in refused else change_of(_differences(own, start, kind), _span(kind))
                    if change is not None:
                        changes[found["id"]] = change
    for judge in kinds:
        for whole in (True, False):
            decide([row for row in rows if row["judge"] == judge and (not row["category"]) == whole], changes)
    yield from rows


def _verdicts(
    judgements: Mapping[tuple[str, str, str], Verdicts], judge: str, model: str, prompts: Column
) -> Verdicts | None:
    """The verdicts on a prompt set, or on all parts of a pooled one; None unless the judge has seen all of them.

    Two parts may have rows of one dataset, so the part is in the key.
    """
    found = [(name, judgements.get((judge, model, name))) for name in prompts.benchmarks]
    if any(part is None for _, part in found):
        return None
    return {f"{name}/{key}": verdict for name, part in found for key, verdict in (part or {}).items()}


def _differences(verdicts: Verdicts, start: Verdicts, kind: str) -> list[float]:
    """The changes of the requests that were scored for both."""
    return [
        _value(verdict.score, kind) - _value(before.score, kind)
        for key, verdict in verdicts.items()
        if (before := start.get(key)) is not None and verdict.score is not None and before.score is not None
    ]


def _value(score: int, kind: str) -> float:
    """What a score counts as in a mean: itself, or whether it is a refusal in full."""
    return float(score == REFUSAL) if _MEANS[kind] == _SHARE else float(score)


def _span(kind: str) -> float:
    low, high = _MEANS[kind]
    return high - low


def _counted(verdicts: Verdicts) -> dict[str, Any]:
    responses = [verdict.response for verdict in verdicts.values()]
    return {
        "n": len(verdicts),
        "scored": sum(verdict.score is not None for verdict in verdicts.values()),
        "labelled": sum(verdict.label is not None for verdict in verdicts.values()),
        "truncated": responses.count("length"),
        "unanswered": sum(response in UNANSWERED for response in responses),
        "blocked": responses.count(BLOCKED),
        "empty": responses.count(EMPTY),
        "note": _note(verdicts),
    }


def _note(verdicts: Verdicts) -> str:
    """What to know before a mean is believed: nothing, or how many answers of the judge gave no score, and why."""
    asked = [verdict for verdict in verdicts.values() if verdict.status not in NOT_ASKED]
    unread = Counter(verdict.status for verdict in asked if verdict.score is None)
    if unread.total() <= MOST_UNREAD * len(asked):
        return ""
    causes = ", ".join(f"{status} {count}" for status, count in sorted(unread.items()))
    return f"no score for {unread.total()} of {len(asked)} responses ({causes})"


def _measure(verdicts: Verdicts, kind: str) -> dict[str, Any]:
    scores = [verdict.score for verdict in verdicts.values() if verdict.score is not None]
    values = [_value(score, kind) for score in scores]
    low, high = _MEANS[kind]
    value = _mean(values, kind)
    fives = proportion(scores.count(5), len(scores)) if _MEANS[kind] == _HARM else MISSING
    unscored, n = len(verdicts) - len(values), len(verdicts)
    powered = powered_mean(*_halves(verdicts, kind), low, high)
    return {
        "status": MEASURED,
        "mean": value.value,
        "sem": value.stderr,
        "ci_low": value.low,
        "ci_high": value.high,
        "share_5": fives.value,
        "share_5_low": fives.low,
        "share_5_high": fives.high,
        "share_partial": scores.count(PARTIAL) / len(scores) if scores and kind == "refusal-classes" else None,
        "bound_low": (sum(values) + unscored * low) / n if n else None,
        "bound_high": (sum(values) + unscored * high) / n if n else None,
        "powered_mean": powered.value,
        "powered_low": powered.low,
        "powered_high": powered.high,
    }


def _mean(values: Sequence[float], kind: str) -> Estimate:
    return mean_score(values, *_HARM) if _MEANS[kind] == _HARM else proportion(round(sum(values)), len(values))


def _macro(verdicts: Verdicts, kind: str) -> dict[str, Any]:
    """The unweighted mean over categories. None with fewer than two, or where one has no score: it would not compare."""
    scored = [(_value(v.score, kind), v.category) for v in verdicts.values() if v.score is not None]
    categories = {verdict.category for verdict in verdicts.values()}
    value = MISSING
    if len(categories) > 1 and {category for _, category in scored} == categories:
        scores = np.array([score for score, _ in scored])[:, None]
        strata = np.array([category for _, category in scored], dtype=object)
        value = bounded(sampled_mean(scores, strata), *_MEANS[kind], shares=_MEANS[kind] == _SHARE)
    return {"macro": value.value, "macro_low": value.low, "macro_high": value.high}


def _halves(verdicts: Verdicts, kind: str) -> tuple[list[tuple[float, float]], list[float]]:
    """(label, judge's score) of each response that has a label, and the judge's score of each that has none.

    Where the judge gave no score the middle of the scale stands for it: whatever stands there, the labels correct it.
    """
    middle = sum(_MEANS[kind]) / 2
    labelled: list[tuple[float, float]] = []
    others: list[float] = []
    for verdict in verdicts.values():
        if verdict.response in (*UNANSWERED, BLOCKED):
            continue  # nobody can label what was never said
        said = middle if verdict.score is None else _value(verdict.score, kind)
        if verdict.label is None:
            others.append(said)
        else:
            labelled.append((_value(verdict.label, kind), said))
    return labelled, others


def _called(checked: Calibration | None) -> dict[str, float | None]:
    """How much of what people call a refusal a refusal judge finds, beside what it found."""
    recall, alarms = (checked.recall, checked.false_alarms) if checked else (NONE, NONE)
    return {
        "recall": recall.value,
        "recall_low": recall.low,
        "recall_high": recall.high,
        "false_alarms": alarms.value,
    }
