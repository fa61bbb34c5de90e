"""The tables ``benchmarks`` and ``preferences``: accuracy of every model on every benchmark of a group.

A row is a model and a column (see ``primum.tables.averages``), whole (subject "") or one subject of it; a macro benchmark's whole
is the unweighted mean over its subjects, as for MMLU. ``change`` is the paired difference to the model's start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from primum.tables.answers import Answers, same_items
from primum.tables.averages import Column, columns
from primum.tables.lineage import measured_starts
from primum.tables.statistics import MISSING, Estimate, mean, proportion, unweighted_mean

UNEQUAL_SETS = "unequal sets: lacks "
OTHER_ITEMS = "its start answered other items"
_COUNTS = ("n", "correct", "truncated", "unanswered", "flagged", "unknown", "clean_n")


@dataclass(frozen=True, slots=True)
class Cell:
    """A model's accuracy in a column, whole or of a subject.

    ``clean`` is the accuracy over the items known not to be contaminated, ``flexible`` that of answers in words when they are
    read flexibly. ``counts`` are of items, but for ``correct``,
    which is of answers: an item has one a seed.
    """

    value: Estimate
    clean: Estimate
    change: Estimate
    counts: Mapping[str, int]
    chance: float | None
    seeds: int
    method: str
    note: str = ""
    flexible: Estimate = MISSING

    @property
    def measured(self) -> bool:
        return self.value.value is not None


Scores = Mapping[tuple[str, str], Answers]


@dataclass(frozen=True, slots=True)
class Measured:
    """What there is of a group of benchmarks: cells by (model, column), whole and by subject, in the table's order."""

    models: tuple[str, ...]
    columns: tuple[Column, ...]
    starts: Mapping[str, str]
    wholes: Mapping[tuple[str, str], Cell]
    subjects: Mapping[tuple[str, str], Mapping[str, Cell]]


def measure(scores: Scores, models: Sequence[Mapping[str, Any]], benchmarks: Sequence[Mapping[str, Any]]) -> Measured:
    """The cells from the answers by (model, benchmark); ``models`` and ``benchmarks`` (one group) are the spec's.

    A mean has no value, and a note that names what is missing, where the model has not answered all that others have: a
    mean over fewer benchmarks would not compare.
    """
    macros = {entry["name"]: bool(entry["macro"]) for entry in benchmarks}
    measured = tuple(str(m["name"]) for m in models if any((m["name"], name) in scores for name in macros))
    starts = measured_starts(models, measured)
    wholes: dict[tuple[str, str], Cell] = {}
    subjects: dict[tuple[str, str], dict[str, Cell]] = {}
    for key in ((model, name) for model in measured for name in macros):
        if key in scores:
            start = scores.get((starts[key[0]], key[1]))
            wholes[key], subjects[key] = _benchmark(scores[key], start, macros[key[1]])
    table = columns([(entry["name"], entry["part_of"]) for entry in benchmarks])
    for column in (column for column in table if column.parts):
        for model in measured:
            _mean(wholes, column, model, measured)
    return Measured(measured, table, starts, wholes, subjects)


def _mean(wholes: dict[tuple[str, str], Cell], column: Column, model: str, models: Sequence[str]) -> None:
    """Put ``model``'s mean over the column's parts among ``wholes``. A part that no model has is not missed."""

    def has(name: str, who: str) -> bool:
        return (who, name) in wholes and wholes[who, name].measured

    found = [wholes[model, part.name] for part in column.parts if has(part.name, model)]
    lacking = [n for n in column.benchmarks if not has(n, model) and any(has(n, other) for other in models)]
    if found:
        note = UNEQUAL_SETS + ", ".join(lacking) if lacking else ""
        wholes[model, column.name] = _combined(found, note, missing=bool(lacking))


def _benchmark(answers: Answers, start: Answers | None, macro: bool) -> tuple[Cell, dict[str, Cell]]:
    """The whole, and each subject where there are several."""
    names = answers.subject_names()
    differs = start is not None and not same_items(answers, start)
    before = None if differs else start
    note = OTHER_ITEMS if differs else ""
    parts: dict[str, Cell] = {}
    for name in names if len(names) > 1 else ():
        mask = answers.subjects == name
        parts[name] = _cell(answers.where(mask), before.where(mask) if before else None, note)
    if macro and parts:
        return _combined(list(parts.values()), note), parts
    return _cell(answers, before, note), parts


def _cell(answers: Answers, start: Answers | None, note: str) -> Cell:
    flagged = int((answers.contaminated == 1).sum())
    clean = answers.where(answers.contaminated == 0)
    n = len(answers.items)
    counts = {
        "n": n,
        "correct": round(float(answers.correct.sum()) * answers.seeds),
        "truncated": int(answers.truncated.sum()),
        "unanswered": int(answers.unanswered.sum()),
        "flagged": flagged,
        "unknown": int((answers.contaminated == -1).sum()),
        "clean_n": len(clean.items),
    }
    change = MISSING if start is None else mean((answers.correct - start.correct).tolist(), -1.0, 1.0)
    chance = float(answers.chance.mean()) if n else None
    read = None if answers.flexible is None else replace(answers, correct=answers.flexible)
    flexible = MISSING if read is None else _estimate(read)
    return Cell(
        _estimate(answers), _estimate(clean), change, counts, chance, answers.seeds, answers.method, note, flexible
    )


def _estimate(answers: Answers) -> Estimate:
    """With one seed the share with Wilson's interval; with several, or answers that are partly right, the mean over items."""
    if answers.seeds == 1 and not answers.partial:
        return proportion(round(float(answers.correct.sum())), len(answers.items))
    return mean(answers.correct.tolist(), 0.0, 1.0)


def _combined(cells: Sequence[Cell], note: str, missing: bool = False) -> Cell:
    """The unweighted mean of cells about different items."""

    def over(pick: Callable[[Cell], Estimate], low: float = 0.0) -> Estimate:
        return MISSING if missing else unweighted_mean([pick(cell) for cell in cells], low, 1.0)

    chances = [cell.chance for cell in cells if cell.chance is not None]
    seeds, methods = {cell.seeds for cell in cells}, sorted({cell.method for cell in cells})
    return Cell(
        over(lambda cell: cell.value),
        over(lambda cell: cell.clean),
        over(lambda cell: cell.change, -1.0),
        {key: sum(cell.counts[key] for cell in cells) for key in _COUNTS},
        math.fsum(chances) / len(chances) if chances and not missing else None,
        seeds.pop() if len(seeds) == 1 else 0,
        methods[0] if len(methods) == 1 else "mixed",
        note,
        # A mean over flexible readings alone: what is ranked by log-likelihood has none.
        MISSING if any(cell.flexible.value is None for cell in cells) else over(lambda cell: cell.flexible),
    )


def accuracy_rows(measured: Measured) -> Iterator[dict[str, Any]]:
    """The rows of the table. Clean accuracy is there where an item is flagged as contaminated."""
    for index, model in enumerate(measured.models):
        for position, column in enumerate(measured.columns):
            if (whole := measured.wholes.get((model, column.name))) is None:
                continue
            parts = measured.subjects.get((model, column.name), {})
            for part, (subject, cell) in enumerate((("", whole), *parts.items())):
                clean = cell.clean if cell.counts["flagged"] else MISSING
                yield {
                    "id": f"{index:03d}.{position:03d}.{part:04d}",
                    "model": model,
                    "benchmark": column.name,
                    "subject": subject,
                    "method": cell.method,
                    "seeds": cell.seeds,
                    **cell.counts,
                    "accuracy": cell.value.value,
                    "stderr": cell.value.stderr,
                    "ci_low": cell.value.low,
                    "ci_high": cell.value.high,
                    "interval": cell.value.interval,
                    "chance": cell.chance,
                    "clean_accuracy": clean.value,
                    "clean_low": clean.low,
                    "clean_high": clean.high,
                    "flexible_accuracy": cell.flexible.value,
                    "flexible_low": cell.flexible.low,
                    "flexible_high": cell.flexible.high,
                    "start": measured.starts[model],
                    "note": cell.note,
                    "change": cell.change.value,
                    "change_stderr": cell.change.stderr,
                }
