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
from primum.tables.paired import paired
from primum.tables.sampling import Mean, sampled_mean, satterthwaite
from primum.tables.statistics import MISSING, bounded

UNEQUAL_SETS = "unequal sets: lacks "
OTHER_ITEMS = "its start answered other items"
_COUNTS = ("n", "correct", "truncated", "unanswered", "flagged", "unknown", "clean_n")


@dataclass(frozen=True, slots=True)
class Cell:
    """A model's accuracy in a column, whole or of a subject; None where there is none.

    ``clean`` is the accuracy over the items known not to be contaminated, ``change`` the paired difference to the start,
    ``flexible`` the accuracy of answers in words when they are read flexibly. ``counts`` are of items, but for ``correct``,
    which is of answers: an item has one a seed.
    """

    value: Mean | None
    clean: Mean | None
    change: Mean | None
    counts: Mapping[str, int]
    chance: float | None
    seeds: int
    method: str
    note: str = ""
    flexible: Mean | None = None


Scores = Mapping[tuple[str, str], Answers]


@dataclass(frozen=True, slots=True)
class Measured:
    """What there is of a group of benchmarks: cells by (model, column), whole and by subject, in the table's order."""

    models: tuple[str, ...]
    columns: tuple[Column, ...]
    starts: Mapping[str, str]
    wholes: Mapping[tuple[str, str], Cell]
    subjects: Mapping[tuple[str, str], Mapping[str, Cell]]


def measure(
    scores: Scores,
    models: Sequence[Mapping[str, Any]],
    benchmarks: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]] = (),
) -> Measured:
    """The cells from the answers by (model, benchmark); ``models``, ``benchmarks`` (of one kind) and ``groups`` are the spec's.

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
    table = columns([(entry["name"], entry["part_of"]) for entry in benchmarks], groups)
    for column in (column for column in table if column.parts):
        for model in measured:
            _mean(wholes, column, model, measured)
    return Measured(measured, table, starts, wholes, subjects)


def _mean(wholes: dict[tuple[str, str], Cell], column: Column, model: str, models: Sequence[str]) -> None:
    """Put ``model``'s mean over the column's parts among ``wholes``. A part that no model has is not missed, but of a group."""

    def has(name: str, who: str) -> bool:
        return (who, name) in wholes and wholes[who, name].value is not None

    found = [wholes[model, part.name] for part in column.parts if has(part.name, model)]
    whole = column.by_size is not None
    lacking = [n for n in column.benchmarks if not has(n, model) and (whole or any(has(n, other) for other in models))]
    if found:
        note = UNEQUAL_SETS + ", ".join(lacking) if lacking else ""
        wholes[model, column.name] = _combined(column, found, note, missing=bool(lacking))


def _benchmark(answers: Answers, start: Answers | None, macro: bool) -> tuple[Cell, dict[str, Cell]]:
    """The whole, and each subject where there are several."""
    names = answers.subject_names()
    differs = start is not None and not same_items(answers, start)
    before = None if differs else start
    note = OTHER_ITEMS if differs else ""
    parts: dict[str, Cell] = {}
    for name in names if len(names) > 1 else ():
        mask = answers.subjects == name
        parts[name] = _cell(answers.where(mask), before.where(mask) if before else None, note, macro=False)
    whole = _cell(answers, before, note, macro)
    if macro and parts:
        chances = [cell.chance for cell in parts.values() if cell.chance is not None]
        whole = replace(whole, chance=math.fsum(chances) / len(chances))
    return whole, parts


def _cell(answers: Answers, start: Answers | None, note: str, macro: bool) -> Cell:
    clean = answers.where(answers.contaminated == 0)
    n = len(answers.items)
    counts = {
        "n": n,
        "correct": round(float(answers.marks.sum())),
        "truncated": int(answers.truncated.sum()),
        "unanswered": int(answers.unanswered.sum()),
        "flagged": int((answers.contaminated == 1).sum()),
        "unknown": int((answers.contaminated == -1).sum()),
        "clean_n": len(clean.items),
    }
    # A mean over fewer subjects would not compare.
    whole = not macro or clean.subject_names() == answers.subject_names()
    return Cell(
        accuracy(answers, macro),
        accuracy(clean, macro) if whole else None,
        None if start is None else difference(answers, start, macro),
        counts,
        float(answers.chance.mean()) if n else None,
        answers.seeds,
        answers.method,
        note,
        None if answers.flexible is None else accuracy(replace(answers, marks=answers.flexible), macro),
    )


def accuracy(answers: Answers, macro: bool) -> Mean | None:
    """The mean over items, or where ``macro`` the unweighted one over subjects. None without items."""
    if not len(answers.items):
        return None
    return sampled_mean(answers.marks, answers.subjects if macro else None, answers.clusters)


def difference(first: Answers, second: Answers, macro: bool) -> Mean | None:
    """The mean over the same items of how much more often ``first`` is right than ``second``; None without items.

    Where both were asked after the same examples, they are compared seed by seed. Else the seeds of both add their variances.
    """
    if not len(first.items):
        return None
    strata = first.subjects if macro else None
    if first.drawn == second.drawn:
        return sampled_mean(first.marks - second.marks, strata, first.clusters)
    by_item = sampled_mean((first.correct - second.correct)[:, None], strata, first.clusters)
    apart = [sampled_mean(answers.marks, strata, answers.clusters) for answers in (first, second)]
    variances = [each.seeds for each in apart]
    freedom = satterthwaite(variances, [each.seeds_df for each in apart])
    return replace(by_item, seeds=sum(variances), seeds_df=freedom, crossed=True)


def _combined(column: Column, cells: Sequence[Cell], note: str, missing: bool = False) -> Cell:
    """The column's mean of cells about different items."""

    def over(pick: Callable[[Cell], Mean | None]) -> Mean | None:
        found = [mean for cell in cells if (mean := pick(cell)) is not None]
        # A mean over fewer cells would not compare.
        return None if missing or len(found) < len(cells) else column.over(found)

    known = [(cell.chance, cell.counts["n"] if column.by_size else 1) for cell in cells if cell.chance is not None]
    seeds, methods = {cell.seeds for cell in cells}, sorted({cell.method for cell in cells})
    return Cell(
        over(lambda cell: cell.value),
        over(lambda cell: cell.clean),
        over(lambda cell: cell.change),
        {key: sum(cell.counts[key] for cell in cells) for key in _COUNTS},
        math.fsum(chance * n for chance, n in known) / sum(n for _, n in known) if known and not missing else None,
        seeds.pop() if len(seeds) == 1 else 0,
        methods[0] if len(methods) == 1 else "mixed",
        note,
        # Over flexible readings alone: what is ranked by log-likelihood has none.
        over(lambda cell: cell.flexible),
    )


def accuracy_rows(measured: Measured) -> Iterator[dict[str, Any]]:
    """The rows of the table. Clean accuracy is there where an item is flagged as contaminated."""
    for index, model in enumerate(measured.models):
        for position, column in enumerate(measured.columns):
            if (whole := measured.wholes.get((model, column.name))) is None:
                continue
            parts = measured.subjects.get((model, column.name), {})
            for part, (subject, cell) in enumerate((("", whole), *parts.items())):
                value = MISSING if cell.value is None else bounded(cell.value)
                clean = bounded(cell.clean) if cell.clean is not None and cell.counts["flagged"] else MISSING
                flexible = MISSING if cell.flexible is None else bounded(cell.flexible)
                change = None if cell.change is None else paired(cell.change)
                yield {
                    "id": f"{index:03d}.{position:03d}.{part:04d}",
                    "model": model,
                    "benchmark": column.name,
                    "subject": subject,
                    "method": cell.method,
                    "seeds": cell.seeds,
                    **cell.counts,
                    "accuracy": value.value,
                    "stderr": value.stderr,
                    "ci_low": value.low,
                    "ci_high": value.high,
                    "interval": value.interval,
                    "chance": cell.chance,
                    "clean_accuracy": clean.value,
                    "clean_low": clean.low,
                    "clean_high": clean.high,
                    "flexible_accuracy": flexible.value,
                    "flexible_low": flexible.low,
                    "flexible_high": flexible.high,
                    "start": measured.starts[model],
                    "note": cell.note,
                    "change": change.value if change else None,
                    "change_stderr": change.stderr if change else None,
                }
