"""The tables ``benchmarks`` and ``preferences``: accuracy of every model on every benchmark of a group.

A row is a model and a benchmark, whole (subject "") or one subject of it; a macro benchmark's whole is the unweighted
mean over its subjects, as for MMLU. ``change`` is the paired difference to the model's start on the same questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.lineage import measured_starts
from primum.tables.statistics import MISSING, Estimate, mean, proportion, unweighted_mean

AVERAGE = "average"
UNEQUAL_SETS = "unequal sets"
_NO_SUBJECT = "(none)"
_COLUMNS = ["id", "subject", "choices", "correct", "truncated"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One scored question: chance is 1 / number of choices."""

    subject: str
    correct: bool
    truncated: bool
    chance: float


Answers = Mapping[str, Answer]


def read_answers(artifact: Artifact) -> Answers:
    """The rows of a score artifact by id. Raises PrimumError for a question without choices."""
    answers = {}
    for row in artifact.table(_COLUMNS).to_pylist():
        if not row["choices"]:
            raise PrimumError(f"{artifact.data}: row {row['id']}: has no choices: run the stage score again")
        chance = 1 / row["choices"]
        answers[row["id"]] = Answer(row["subject"] or _NO_SUBJECT, row["correct"], row["truncated"], chance)
    return answers


def accuracy_rows(
    scores: Mapping[tuple[str, str], Answers],
    models: Sequence[Mapping[str, Any]],
    benchmarks: Sequence[Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """The rows of the table for ``benchmarks`` (the spec's, one group), from the answers by (model, benchmark).

    Each model ends with an average over the benchmarks. It has no value, and the note "unequal sets", where the model
    has not answered all that others have: a mean over fewer benchmarks would not compare.
    """
    present = [b for b in benchmarks if any(scores.get((str(m["name"]), b["name"])) for m in models)]
    measured = [str(m["name"]) for m in models if any((m["name"], b["name"]) in scores for b in benchmarks)]
    starts = measured_starts(models, measured)
    for index, model in enumerate(measured):
        wholes: list[Estimate] = []
        changes: list[Estimate] = []
        total = {"n": 0, "correct": 0, "truncated": 0}
        chances: list[float] = []
        for column, benchmark in enumerate(benchmarks):
            answers = scores.get((model, benchmark["name"]))
            if answers is None:
                continue
            start = scores.get((starts[model], benchmark["name"]), {})
            parts = _parts(answers, start, benchmark)
            for part, (subject, numbers, value, change) in enumerate(parts):
                yield {
                    "id": f"{index:03d}.{column:03d}.{part:04d}",
                    "model": model,
                    "benchmark": benchmark["name"],
                    "subject": subject,
                    **numbers,
                    "start": starts[model],
                    "note": "",
                    **_values(value, change),
                }
            _, numbers, value, change = parts[0]
            if answers:
                wholes.append(value)
                changes.append(change)
                chances.append(numbers["chance"])
            total = {key: total[key] + numbers[key] for key in total}
        equal = len(wholes) == len(present)
        average = unweighted_mean(wholes) if equal else MISSING
        yield {
            "id": f"{index:03d}.{len(benchmarks):03d}.0000",
            "model": model,
            "benchmark": AVERAGE,
            "subject": "",
            **total,
            "chance": sum(chances) / len(chances) if equal and chances else None,
            "start": starts[model],
            "note": "" if equal else UNEQUAL_SETS,
            **_values(average, unweighted_mean(changes, -1.0, 1.0) if equal else MISSING),
        }


_Part = tuple[str, dict[str, Any], Estimate, Estimate]


def _parts(answers: Answers, start: Answers, benchmark: Mapping[str, Any]) -> list[_Part]:
    """(subject, counts, accuracy, change) of the whole, then of each subject where there are several."""
    subjects = sorted({answer.subject for answer in answers.values()})
    parts = []
    for subject in subjects if len(subjects) > 1 else ():
        own = {key: answer for key, answer in answers.items() if answer.subject == subject}
        parts.append((subject, *_measure(own, start)))
    counts, value, change = _measure(answers, start)
    if benchmark["macro"] and parts:
        value = unweighted_mean([part[2] for part in parts])
        change = unweighted_mean([part[3] for part in parts], -1.0, 1.0)
        counts["chance"] = sum(part[1]["chance"] for part in parts) / len(parts)
    return [("", counts, value, change), *parts]


def _measure(answers: Answers, start: Answers) -> tuple[dict[str, Any], Estimate, Estimate]:
    n, correct = len(answers), sum(answer.correct for answer in answers.values())
    counts = {
        "n": n,
        "correct": correct,
        "truncated": sum(answer.truncated for answer in answers.values()),
        "chance": sum(answer.chance for answer in answers.values()) / n if n else None,
    }
    paired = [float(answer.correct - start[key].correct) for key, answer in answers.items() if key in start]
    return counts, proportion(correct, n), mean(paired, -1.0, 1.0)


def _values(value: Estimate, change: Estimate) -> dict[str, float | None]:
    return {
        "accuracy": value.value,
        "stderr": value.stderr,
        "ci_low": value.low,
        "ci_high": value.high,
        "change": change.value,
        "change_stderr": change.stderr,
    }
