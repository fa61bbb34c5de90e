"""The table ``comparisons``: every model against the best of each column, and against the model that it started from.

Both are tested on the same items. Holm's correction is over all tests of the table against the same kind of model: all
against the best are one family, all against the start another; a group of benchmarks has a table's worth of its own.
The best is chosen by the same answers, so its lead tends to be overstated: a tie is what this table can show, and a
narrow win is not proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from primum.tables.accuracy import Measured, Scores
from primum.tables.answers import Answers, same_items
from primum.tables.averages import Column
from primum.tables.paired import ALPHA, holm, mcnemar, paired_bootstrap

BEST, START = "best", "start"
_Strata = list[tuple[float, np.ndarray]]
_EMPTY = dict.fromkeys(
    ("both", "only_model", "only_other", "neither", "difference", "ci_low", "ci_high", "p_value", "p_holm", "tied")
)


def comparison_rows(
    measured: Measured, scores: Scores, macros: Mapping[str, bool], group: str
) -> Iterator[dict[str, Any]]:
    """The rows of a ``group`` of benchmarks; ``macros`` by benchmark.

    Nothing is compared, and the note says why, where the two did not answer the same items, or not all benchmarks of a
    mean. ``tied`` is whether the test fails to tell them apart at the familywise 5% level.
    """
    rows = []
    for position, column in enumerate(measured.columns):
        cells = [(model, measured.wholes.get((model, column.name))) for model in measured.models]
        values = {model: cell.value.value for model, cell in cells if cell and cell.value.value is not None}
        # Equal bests are told apart by name, so that neither rounding nor the order of models decides.
        best = min(values, key=lambda model: (-round(values[model], 12), model)) if values else None
        for index, (model, cell) in enumerate(cells):
            start = measured.starts[model]
            for order, (against, other) in enumerate(((BEST, best), (START, start))):
                if cell is None or not other or other == model or (other, column.name) not in measured.wholes:
                    continue
                rows.append(
                    {
                        "id": f"{group}.{position:03d}.{index:03d}.{order}",
                        "group": group,
                        "benchmark": column.name,
                        "model": model,
                        "against": against,
                        "other": other,
                        **_compared(column, model, other, measured, scores, macros),
                    }
                )
    for against in (BEST, START):
        tested = [row for row in rows if row["against"] == against and row["p_value"] is not None]
        for row, adjusted in zip(tested, holm([row["p_value"] for row in tested]), strict=True):
            row |= {"p_holm": adjusted, "tied": adjusted >= ALPHA}
    yield from rows


def _compared(
    column: Column, model: str, other: str, measured: Measured, scores: Scores, macros: Mapping[str, bool]
) -> dict[str, Any]:
    for who in (model, other):
        if not (cell := measured.wholes[who, column.name]).measured:
            return {"n": 0, **_EMPTY, "test": "", "note": f"{who}: {cell.note or 'no items'}"}
    names = [name for name in column.benchmarks if (model, name) in scores and (other, name) in scores]
    pairs = {name: (scores[model, name], scores[other, name]) for name in names}
    n = sum(len(first.items) for first, _ in pairs.values())
    for name, (first, second) in pairs.items():
        if not same_items(first, second):
            shared = len(np.intersect1d(first.items, second.items))
            told = f"{name}: {shared} items shared, of {len(first.items)} and {len(second.items)}"
            return {"n": 0, **_EMPTY, "test": "", "note": told}
    strata = _strata(column, pairs, macros)
    # The stream is that of the comparison, not of its place: another model in the table changes no interval.
    digest = hashlib.sha256("\n".join((column.name, model, other)).encode()).digest()
    found = paired_bootstrap(strata, int.from_bytes(digest[:8], "big"))
    row = {"n": n, **_EMPTY, "difference": found.value, "ci_low": found.low, "ci_high": found.high, "note": ""}
    single = all(answers.seeds == 1 and not answers.partial for pair in pairs.values() for answers in pair)
    if not single or column.parts:
        return {**row, "test": "bootstrap", "p_value": found.p_value}
    mine, its = (answers.correct > 0 for answers in pairs[column.name])
    counts = {
        "both": int((mine & its).sum()),
        "only_model": int((mine & ~its).sum()),
        "only_other": int((its & ~mine).sum()),
        "neither": int((~mine & ~its).sum()),
    }
    exact = len(strata) == 1
    p_value = mcnemar(counts["only_model"], counts["only_other"]) if exact else found.p_value
    return {**row, **counts, "test": "mcnemar" if exact else "bootstrap", "p_value": p_value}


def _strata(
    column: Column, pairs: Mapping[str, tuple[Answers, Answers]], macros: Mapping[str, bool], weight: float = 1.0
) -> _Strata:
    """(weight, differences by item) of all that a column is a mean of: benchmarks, and subjects of the macro ones."""
    if column.parts:
        parts = [part for part in column.parts if any(name in pairs for name in part.benchmarks)]
        return [stratum for part in parts for stratum in _strata(part, pairs, macros, weight / len(parts))]
    first, second = pairs[column.name]
    differences = first.correct - second.correct
    if not macros[column.name]:
        return [(weight, differences)]
    names = first.subject_names()
    return [(weight / len(names), differences[first.subjects == name]) for name in names]
