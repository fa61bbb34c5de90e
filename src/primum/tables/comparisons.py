"""The table ``comparisons``: every model against the best of each column, and against the model that it started from.

Both are tested on the same items. Holm's correction is over all tests of the table against the same kind of model: those
against the best are one family, those against the start another; a group of benchmarks has a table's worth of its own. The
best is chosen by the same answers, as if each pair of models had been looked at: so all pairs of a column count as tested.
There is one rule: a row's interval is at the level at which Holm's procedure decided on its test, so that ``tied`` is whether
it holds 0. The lead of the best still tends to be overstated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from primum.tables.accuracy import Measured, Scores, difference
from primum.tables.answers import Answers, same_items
from primum.tables.averages import Column
from primum.tables.paired import Difference, decided, paired
from primum.tables.sampling import Mean

BEST, START = "best", "start"
_COUNTS = ("both", "only_model", "only_other", "neither")
_TESTED = (
    "difference",
    "stderr",
    "level",
    "ci_low",
    "ci_high",
    "p_value",
    "p_holm",
    "tied",
    "detectable",
    "p_equivalent",
)
_EMPTY = dict.fromkeys((*_COUNTS, *_TESTED, "equivalent"))


def comparison_rows(
    measured: Measured, scores: Scores, macros: Mapping[str, bool], group: str, margin: float
) -> Iterator[dict[str, Any]]:
    """The rows of a ``group`` of benchmarks; ``macros`` by benchmark, ``margin`` of equivalence as a share.

    Nothing is compared, and the note says why, where the two did not answer the same items, or not all benchmarks of a
    mean.
    """
    rows: list[dict[str, Any]] = []
    tests: dict[str, Difference] = {}
    pairs = 0
    inside = {name for column in measured.columns if column.by_size is not None for name in column.benchmarks}
    for position, column in enumerate(measured.columns):
        if column.name in inside:
            continue  # dozens of tasks would leave the correction nothing to find: their group is compared
        cells = [(model, measured.wholes.get((model, column.name))) for model in measured.models]
        values = {model: cell.value.value for model, cell in cells if cell and cell.value is not None}
        pairs += len(values) * (len(values) - 1) // 2
        # Equal bests are told apart by name, so that neither rounding nor the order of models decides.
        best = min(values, key=lambda model: (-round(values[model], 12), model)) if values else None
        for index, (model, cell) in enumerate(cells):
            start = measured.starts[model]
            for order, (against, other) in enumerate(((BEST, best), (START, start))):
                if cell is None or not other or other == model or (other, column.name) not in measured.wholes:
                    continue
                mean, told = _compared(column, model, other, measured, scores, macros)
                row = {
                    "id": f"{group}.{position:03d}.{index:03d}.{order}",
                    "group": group,
                    "benchmark": column.name,
                    "model": model,
                    "against": against,
                    "other": other,
                    **_EMPTY,
                    **told,
                    "margin": margin,
                }
                rows.append(row)
                if mean is not None:
                    tests[row["id"]] = paired(mean)
    for against in (BEST, START):
        family = [row for row in rows if row["against"] == against and row["id"] in tests]
        found = [tests[row["id"]] for row in family]
        for row, decision in zip(family, decided(found, margin, pairs if against == BEST else 0), strict=True):
            row.update(decision)
    yield from rows


def _compared(
    column: Column, model: str, other: str, measured: Measured, scores: Scores, macros: Mapping[str, bool]
) -> tuple[Mean | None, dict[str, Any]]:
    """The mean difference, None where there is none, and the row's other columns."""
    for who in (model, other):
        if (cell := measured.wholes[who, column.name]).value is None:
            return None, {"n": 0, "note": f"{who}: {cell.note or 'no items'}"}
    names = [name for name in column.benchmarks if (model, name) in scores and (other, name) in scores]
    pairs = {name: (scores[model, name], scores[other, name]) for name in names}
    for name, (first, second) in pairs.items():
        if not same_items(first, second):
            shared = len(np.intersect1d(first.items, second.items))
            return None, {
                "n": 0,
                "note": f"{name}: {shared} items shared, of {len(first.items)} and {len(second.items)}",
            }
    told: dict[str, Any] = {"n": sum(len(first.items) for first, _ in pairs.values()), "note": ""}
    if not column.parts and all(each.seeds == 1 and not each.partial for each in pairs[column.name]):
        mine, its = (answers.correct > 0 for answers in pairs[column.name])
        table = (mine & its, mine & ~its, its & ~mine, ~mine & ~its)
        told |= {name: int(where.sum()) for name, where in zip(_COUNTS, table, strict=True)}
    return _difference(column, pairs, macros), told


def _difference(
    column: Column, pairs: Mapping[str, tuple[Answers, Answers]], macros: Mapping[str, bool]
) -> Mean | None:
    """The mean difference in a column: of a benchmark, or the mean of its parts that both answered."""
    if column.parts:
        parts = [part for part in column.parts if any(name in pairs for name in part.benchmarks)]
        found = [mean for part in parts if (mean := _difference(part, pairs, macros)) is not None]
        return column.over(found) if found else None
    return difference(*pairs[column.name], macros[column.name])
