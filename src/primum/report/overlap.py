"""Which sources of a mixture repeat which: rows that were dropped as duplicates, by the source of what they repeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from primum.report.grids import Cell, Column, Grid, GridRow, Group, opening, opens
from primum.report.numbers import count, percent
from primum.report.records import Ledger

_DARKEST = 45
_NOTES = (
    "A cell: how many rows of the source in its line were dropped because an earlier row of the source in its column has the "
    "same words, or nearly the same, and what share of the line's upstream records they are. Sources are in the mixture's order: "
    "a row repeats an earlier one, so that the first source keeps it.",
)


def overlap_grid(rows: Sequence[Ledger], id_: str, mixture: str) -> Grid | None:
    """Sources by the sources of what they repeat, both in the mixture's order. None where nothing was dropped as a duplicate."""
    order = list(dict.fromkeys(row.source for row in rows))
    upstream: Counter[str] = Counter()
    found: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        upstream[row.source] += row.rows
        if row.twin is not None and row.rows:
            found.setdefault((row.source, row.twin), Counter())[row.outcome] += row.rows
    if not found:
        return None
    lines = [name for name in order if any(name == source for source, _ in found)]
    columns = [name for name in order if any(name == twin for _, twin in found)]
    most = max(sum(counts.values()) / upstream[source] for (source, _), counts in found.items())

    def cell(source: str, twin: str) -> Cell:
        counts = found.get((source, twin))
        if counts is None:
            return Cell("0", sort=0) if order.index(twin) <= order.index(source) else Cell("")
        number = sum(counts.values())
        share = number / upstream[source]
        kinds = ", ".join(f"{outcome} {count(n)}" for outcome, n in sorted(counts.items()))
        told = f"{count(number)} of {count(upstream[source])} records of {source} repeat rows of {twin}: {kinds}"
        return Cell(count(number), f"{percent(share)}%", told, number, shade=round(_DARKEST * share / most))

    def total(source: str) -> Cell:
        number = sum(sum(counts.values()) for (one, _), counts in found.items() if one == source)
        return Cell(count(number), f"{percent(number / upstream[source])}%", sort=number)

    grid = tuple(
        GridRow(
            name,
            "",
            "",
            opening((*(cell(name, twin) for twin in columns), total(name)), opens("curation", mixture, name)),
        )
        for name in lines
    )
    heads = (*(Column(name) for name in columns), Column("All", "", "average"))
    caption = f"Overlap of the sources of {mixture}: rows that repeat a row of"
    return Grid(id_, caption, "Source", heads, (Group("", grid),), (), _NOTES)
