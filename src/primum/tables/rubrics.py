"""The table ``rubrics``: how far a model's responses meet the criteria that they are judged by, whole and by tag.

The score is HealthBench's (Arora et al. 2025, arXiv 2505.08775, and its code in openai/simple-evals): of a response the points of
the criteria that it meets over the sum of the positive ones; of a model the mean over its responses, cut to [0, 1].

**An example counts only where each of its criteria has a verdict.** A criterion without one is not taken for unmet: that would
lower a score where its points are positive, and raise it where they are negative. Nor are its points left out of the sum: a judge
fails more often on some criteria than on others. Beside the mean of what was scored are the bounds of the mean over all examples:
every missing verdict at its worst, and at its best (Manski 1989).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from primum.artifact.manifest import Artifact
from primum.tables.lineage import measured_starts
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import MISSING, Estimate, bounded
from primum.text.met import parse_met

_ANSWERED = "stop"
_COLUMNS = [
    *("example", "conversation", "tags", "response_status", "number"),
    *("points", "criterion_tags", "status", "raw", "error"),
]
# What an engine's status of a judge's answer says where there is no verdict in it; an answer that was cut is none.
_NO_VERDICT = {"length": "cut", "prompt-too-long": "too_long", "no-response": "no_response"}
_FILTERED = "content-filter"
_UNANSWERED = ("error", "prompt-too-long")


@dataclass(frozen=True, slots=True)
class Asked:
    """A criterion, and whether it is met; ``met`` is None unless ``status`` is ``scored``."""

    points: float
    tags: tuple[str, ...]
    met: bool | None
    status: str


@dataclass(frozen=True, slots=True)
class Example:
    """A response with its criteria. ``response`` is the generation's status."""

    conversation: str
    tags: tuple[str, ...]
    response: str
    criteria: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What an example's criteria, or those of one tag, come to: the score where all have verdicts, and its bounds.

    ``worst`` is the lowest score that there is: every criterion with negative points is met, and no other.
    """

    conversation: str
    score: float | None
    worst: float
    low: float
    high: float
    criteria: int
    unscored: int
    response: str


Examples = Mapping[str, Example]


def read_examples(answers: Artifact) -> Examples:
    """The examples of an artifact of the stage ``grade``, by id, with the verdicts in the judge's answers."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in answers.table(_COLUMNS).to_pylist():
        found.setdefault(row["example"], []).append(row)
    return {
        id: Example(
            rows[0]["conversation"],
            tuple(rows[0]["tags"]),
            rows[0]["response_status"],
            tuple(_asked(row) for row in sorted(rows, key=lambda each: int(each["number"]))),
        )
        for id, rows in found.items()
    }


def _asked(row: Mapping[str, Any]) -> Asked:
    met, status = None, _NO_VERDICT.get(row["status"], "")
    if row["status"] == _ANSWERED:
        verdict = parse_met(row["raw"])
        met, status = verdict.met, verdict.status
    elif not status:
        status = "filtered" if row["error"] == _FILTERED else "error"
    return Asked(row["points"], tuple(row["criterion_tags"]), met, status)


def part_of(example: Example, tag: str = "") -> Part | None:
    """An example's score, or that of its criteria with ``tag``; of a tag of the example itself it is the whole score.

    None where no criterion with positive points has the tag: such a part has no score, as upstream.
    """
    own = [criterion for criterion in example.criteria if tag in criterion.tags]
    if not tag or (not own and tag in example.tags):
        own = list(example.criteria)
    possible = math.fsum(criterion.points for criterion in own if criterion.points > 0)
    if possible == 0:
        return None
    reached = [criterion.points for criterion in own if criterion.met]
    missing = [criterion.points for criterion in own if criterion.met is None]
    low = math.fsum([*reached, *(points for points in missing if points < 0)]) / possible
    high = math.fsum([*reached, *(points for points in missing if points > 0)]) / possible
    score = None if missing else math.fsum(reached) / possible
    worst = math.fsum(criterion.points for criterion in own if criterion.points < 0) / possible
    return Part(example.conversation, score, worst, low, high, len(own), len(missing), example.response)


def clustered_mean(values: Sequence[float], clusters: Sequence[str], worst: float) -> Estimate:
    """The mean of scores from ``worst`` to 1 over what was drawn in clusters, with an interval that does not collapse.

    Standard error and interval are those of the other tables (:func:`primum.tables.sampling.sampled_mean`, and ``bounded`` for
    scores). One cluster alone has neither.
    """
    if not values:
        return MISSING
    mean = sampled_mean(np.array(values, dtype=float)[:, None], clusters=np.array(clusters, dtype=object))
    found = bounded(mean, worst, 1.0, shares=False)
    return found if len(set(clusters)) > 1 else Estimate(found.value, None, None, None)


def rubric_rows(graded: Mapping[tuple[str, str, str], Examples], common: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the table from the examples by (judge, model, prompts): whole (tag ""), and a row a tag, by name.

    ``mean`` is over the scored examples; ``score``, its interval and its bounds are cut to [0, 1]. ``change`` is the paired
    difference of the means to the model's start, over the examples that are scored for both.
    """
    measured = {model for _, model, _ in graded}
    models = [str(model["name"]) for model in common["models"] if model["name"] in measured]
    starts = measured_starts(common["models"], models)
    judges = [str(judge["name"]) for judge in common["judges"]]
    for index, model in enumerate(models):
        for row, prompts in enumerate(entry["name"] for entry in common["prompts"]):
            for column, judge in enumerate(judges):
                examples = graded.get((judge, model, prompts))
                if examples is None:
                    continue
                start = graded.get((judge, starts[model], prompts), {})
                for number, tag in enumerate(("", *_tags(examples))):
                    yield {
                        "id": f"{index:03d}.{row:03d}.{column:03d}.{number:04d}",
                        "model": model,
                        "prompts": prompts,
                        "judge": judge,
                        "tag": tag,
                        "start": starts[model],
                        **_measure(_parts(examples, tag), _parts(start, tag)),
                    }


def _tags(examples: Examples) -> list[str]:
    """The tags of examples and criteria that any example has a score for."""
    each = ((example, {*example.tags, *(t for c in example.criteria for t in c.tags)}) for example in examples.values())
    return sorted({tag for example, tags in each for tag in tags if part_of(example, tag) is not None})


def _parts(examples: Examples, tag: str) -> dict[str, Part]:
    found = ((id, part_of(example, tag)) for id, example in examples.items() if not tag or _has(example, tag))
    return {id: part for id, part in found if part is not None}


def _has(example: Example, tag: str) -> bool:
    return tag in example.tags or any(tag in criterion.tags for criterion in example.criteria)


def _measure(parts: Mapping[str, Part], start: Mapping[str, Part]) -> dict[str, Any]:
    scored = [(part.score, part.conversation) for part in parts.values() if part.score is not None]
    worst = min((part.worst for part in parts.values()), default=0.0)
    value = clustered_mean([score for score, _ in scored], [cluster for _, cluster in scored], worst)
    paired = [
        (part.score - before.score, part.conversation)
        for id, part in parts.items()
        if part.score is not None and (before := start.get(id)) is not None and before.score is not None
    ]
    # A difference has another scale, and no interval here.
    change = clustered_mean([difference for difference, _ in paired], [cluster for _, cluster in paired], worst - 1)
    n = len(parts)
    return {
        "n": n,
        "scored": len(scored),
        "clusters": len({cluster for _, cluster in scored}),
        "criteria": sum(part.criteria for part in parts.values()),
        "unscored": sum(part.unscored for part in parts.values()),
        "mean": value.value,
        "stderr": value.stderr,
        "score": _cut(value.value),
        "ci_low": _cut(value.low),
        "ci_high": _cut(value.high),
        "bound_low": _cut(math.fsum(part.low for part in parts.values()) / n) if n else None,
        "bound_high": _cut(math.fsum(part.high for part in parts.values()) / n) if n else None,
        "truncated": sum(part.response == "length" for part in parts.values()),
        "unanswered": sum(part.response in _UNANSWERED for part in parts.values()),
        "change": change.value,
        "change_stderr": change.stderr,
    }


def _cut(value: float | None) -> float | None:
    return None if value is None else min(max(value, 0.0), 1.0)
