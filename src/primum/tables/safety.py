"""The tables ``safety`` (harm scores and refusals by model, prompt set, judge and category) and ``judges``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.lineage import measured_starts
from primum.tables.paired import Difference, decided, paired
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import Estimate, mean_score, proportion, quadratic_kappa

_UNANSWERED = ("error", "prompt-too-long")
_SCALES = {"rubric": (1.0, 5.0), "refusal": (0.0, 1.0)}
# The columns of a change, by what they are in the table of comparisons.
_CHANGE = {
    "difference": "change",
    "stderr": "change_stderr",
    "ci_low": "change_low",
    "ci_high": "change_high",
    "p_holm": "p_holm",
    "tied": "tied",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of one response: no score is None, never a number. ``response`` is the generation's status."""

    category: str
    score: int | None
    response: str


Verdicts = Mapping[str, Verdict]


def read_verdicts(judgements: Artifact, generations: Artifact) -> Verdicts:
    """The rows of a judgement artifact by id, with the status of the response each is about.

    Raises PrimumError unless both artifacts have the same ids.
    """
    statuses = dict(zip(*generations.table(["id", "status"]).to_pydict().values(), strict=True))
    rows = judgements.table(["id", "category", "score"]).to_pylist()
    if {row["id"] for row in rows} != set(statuses):
        raise PrimumError(f"{judgements.data}: its ids are not those of {generations.data}: run the stage judge again")
    return {row["id"]: Verdict(row["category"], row["score"], statuses[row["id"]]) for row in rows}


def safety_rows(
    judgements: Mapping[tuple[str, str, str], Verdicts], common: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The rows of the table ``safety`` from the verdicts by (judge, model, prompts): whole (category ""), by category.

    ``mean`` is the mean harm (1-5) of a rubric judge, or the share declined (0-1) of a refusal judge; ``sem`` its standard
    error. ``change`` is the paired difference to the model's start over the requests that were scored for both, with the
    interval at the level at which Holm's procedure decided on it: the whole sets of a judge are one family of tests, the
    categories another. ``tied`` is whether the interval holds 0.
    """
    rows = []
    tests: dict[str, Difference] = {}
    kinds = {judge["name"]: judge["kind"] for judge in common["judges"]}
    measured = {model for _, model, _ in judgements}
    models = [str(model["name"]) for model in common["models"] if model["name"] in measured]
    starts = measured_starts(common["models"], models)
    for index, model in enumerate(models):
        for row, prompts in enumerate(entry["name"] for entry in common["prompts"]):
            for column, (judge, kind) in enumerate(kinds.items()):
                verdicts = judgements.get((judge, model, prompts))
                if verdicts is None:
                    continue
                start = judgements.get((judge, starts[model], prompts), {})
                categories = sorted({verdict.category for verdict in verdicts.values()})
                for part, category in enumerate(("", *(c for c in categories if c and len(categories) > 1))):
                    own = {key: v for key, v in verdicts.items() if category in ("", v.category)}
                    found = {
                        "id": f"{index:03d}.{row:03d}.{column:03d}.{part:04d}",
                        "model": model,
                        "prompts": prompts,
                        "judge": judge,
                        "category": category,
                        "start": starts[model],
                        **dict.fromkeys(_CHANGE.values()),
                        **_measure(own, kind),
                    }
                    rows.append(found)
                    if (change := _change(own, start, kind)) is not None:
                        tests[found["id"]] = change
    for judge in kinds:
        for whole in (True, False):
            family = [r for r in rows if r["judge"] == judge and r["id"] in tests and (not r["category"]) == whole]
            for each, told in zip(family, decided([tests[r["id"]] for r in family]), strict=True):
                each |= {name: told[key] for key, name in _CHANGE.items()}
    yield from rows


def _change(verdicts: Verdicts, start: Verdicts, kind: str) -> Difference | None:
    """The mean change of the requests that were scored for both, None where there are none."""
    changes = [
        float(verdict.score - before.score)
        for key, verdict in verdicts.items()
        if (before := start.get(key)) is not None and verdict.score is not None and before.score is not None
    ]
    if not changes:
        return None
    return paired(sampled_mean(np.array(changes)[:, None]), _SCALES[kind][1] - _SCALES[kind][0])


def _measure(verdicts: Verdicts, kind: str) -> dict[str, Any]:
    scores = [verdict.score for verdict in verdicts.values() if verdict.score is not None]
    value = _mean(scores, kind)
    return {
        "n": len(verdicts),
        "scored": len(scores),
        "mean": value.value,
        "sem": value.stderr,
        "ci_low": value.low,
        "ci_high": value.high,
        "share_5": scores.count(5) / len(scores) if scores and kind == "rubric" else None,
        "truncated": sum(verdict.response == "length" for verdict in verdicts.values()),
        "unanswered": sum(verdict.response in _UNANSWERED for verdict in verdicts.values()),
    }


def _mean(scores: Sequence[int], kind: str) -> Estimate:
    return mean_score(scores, *_SCALES[kind]) if kind == "rubric" else proportion(sum(scores), len(scores))


def judge_row(index: int, judge: str, agreement: Artifact) -> dict[str, Any]:
    """A row of the table ``judges``: a judge's scores against the given ones, over the pairs that it scored.

    ``exact`` and ``within_one`` are shares of the scored pairs. What it did not score shows as ``n`` - ``scored``.
    """
    rows = agreement.table(["id", "score", "judged"]).to_pylist()
    pairs = [(row["score"], row["judged"]) for row in rows if row["judged"] is not None]
    distances = [abs(given - judged) for given, judged in pairs]
    return {
        "id": f"{index:03d}",
        "judge": judge,
        "n": len(rows),
        "scored": len(pairs),
        "exact": sum(distance == 0 for distance in distances) / len(pairs) if pairs else None,
        "within_one": sum(distance <= 1 for distance in distances) / len(pairs) if pairs else None,
        "quadratic_kappa": quadratic_kappa([given for given, _ in pairs], [judged for _, judged in pairs]),
    }
