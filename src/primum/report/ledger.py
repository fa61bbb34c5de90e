"""A mixture's ledger: a source a line, with what is stated, the rows left after each filter, its shares, and its licence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from primum.licences import MARKS, asking, conditions
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opening, opens
from primum.report.numbers import count, percent
from primum.report.records import KEPT, Ledger

# What a mixture does to its rows, in this order: the outcome of those that it drops, and the heading of those left. Sampling
# comes last. Any other outcome is of a record that was dropped when its dataset was read.
_FILTERS = {
    "empty": Column("Cleaned", "rows left"),
    "contaminated": Column("Decontaminated", "rows left"),
    "duplicate": Column("Deduplicated", "exact"),
    "near-duplicate": Column("Deduplicated", "near"),
}
_LATER = frozenset((KEPT, "not-sampled", *_FILTERS))
_STATED = Column("Stated", "published")
_TAKEN = Column("Taken", "rows")
_REPEATED = "\u00d7: how often the mixture has each of these rows. Shares count them that often."


@dataclass(frozen=True, slots=True)
class Line:
    """Rows of a ledger together. ``rows``, ``words`` and ``tokens`` are of kept rows, each as often as the mixture has it."""

    outcomes: Mapping[str, int]
    repeat: int
    rows: int
    words: int
    tokens: int | None
    published: int | None

    @property
    def upstream(self) -> int:
        return sum(self.outcomes.values())

    @property
    def kept(self) -> int:
        return self.outcomes.get(KEPT, 0)

    def dropped(self) -> dict[str, int]:
        return {outcome: rows for outcome, rows in self.outcomes.items() if rows and outcome != KEPT}

    def left(self, filters: Iterable[str]) -> int:
        """The rows left after records were read, and after some of the filters."""
        read = sum(rows for outcome, rows in self.outcomes.items() if outcome not in _LATER)
        return self.upstream - read - sum(self.outcomes.get(outcome, 0) for outcome in filters)


def line(rows: Sequence[Ledger]) -> Line:
    """Rows of a ledger together: those of a source, of a domain, or all."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.outcome] += row.rows
    kept = [row for row in rows if row.outcome == KEPT]
    repeats = {row.repeat for row in kept if row.rows}
    return Line(
        counts,
        repeats.pop() if len(repeats) == 1 else 1,
        sum(row.rows * row.repeat for row in kept),
        sum((row.words or 0) * row.repeat for row in kept),
        _sum(None if row.tokens is None else row.tokens * row.repeat for row in kept),
        _sum(row.published for row in kept),
    )


def ledger_grid(rows: Sequence[Ledger], id_: str, caption: str) -> Grid:
    """A source a line, below them the domains and the whole. The share of the text is one of tokens where they are known."""
    sources, domains = _by(rows, "source"), _by(rows, "domain")
    whole = line(rows)
    picks = _picks(whole)
    columns = (Column("Domain", "", "text"), Column("Licence", "", "text"), *(column for column, _ in picks))

    mixture = rows[0].mixture

    def cells(one: Line, source: str = "", listed: bool = True) -> tuple[Cell, ...]:
        # Of what a publication counts without a source nothing else is known.
        if not listed:
            return tuple(pick(one) if column is _STATED else Cell() for column, pick in picks)
        names = (mixture, source) if source else (mixture,)
        found = ((column, pick(one)) for column, pick in picks)
        taken = opens("curation", *names, KEPT) if source else ""
        return opening(
            (replace(cell, open=taken) if column is _TAKEN else cell for column, cell in found),
            opens("curation", *names),
        )

    lines = []
    for name, own in sources.items():
        listed = bool(own[0].dataset)
        head = (Cell(own[0].domain), _licence(own[0].licence) if listed else Cell())
        lines.append(GridRow(name, own[0].dataset, "", (*head, *cells(line(own), name, listed))))
    together = {f"All {name}": own for name, own in domains.items()} if len(domains) > 1 else {}
    foot = [
        GridRow(name, "", "", (Cell(""), Cell(""), *cells(line(own))))
        for name, own in [*together.items(), ("All sources", rows)]
    ]
    repeated = any(row.repeat > 1 for row in rows if row.outcome == KEPT)
    counted = [
        f"Tokens are those of {name}, as it was packed." for name in {row.tokens_of: None for row in rows} if name
    ]
    notes = [*_without_source(rows), *_asked(sources), *counted, *([_REPEATED] if repeated else [])]
    return Grid(id_, caption, "Source", columns, (Group("", tuple(lines)),), tuple(foot), tuple(notes))


def _picks(whole: Line) -> list[tuple[Column, Callable[[Line], Cell]]]:
    """The columns of a mixture with what is in their cells. A filter that dropped nothing has none."""

    def left(filters: Sequence[str]) -> Callable[[Line], Cell]:
        return lambda one: _number(one.left(filters))

    def taken(one: Line) -> Cell:
        return Cell(count(one.kept), f"\u00d7{one.repeat}" if one.repeat > 1 else "", sort=one.kept)

    def text(one: Line) -> Cell:
        return _share(one.words, whole.words) if whole.tokens is None else _share(one.tokens or 0, whole.tokens)

    def dropped(one: Line) -> Cell:
        reasons = sorted(one.dropped().items(), key=lambda each: (-each[1], each[0]))
        return Cell(", ".join(f"{outcome} {count(rows)}" for outcome, rows in reasons))

    picks: list[tuple[Column, Callable[[Line], Cell]]] = []
    if whole.published is not None:
        picks.append((_STATED, lambda one: Cell(count(one.published), sort=one.published)))
    picks.append((Column("Upstream", "records"), lambda one: _number(one.upstream)))
    if whole.left(()) < whole.upstream:
        picks.append((Column("Read", "rows left"), left(())))
    filters: list[str] = []
    for outcome, column in _FILTERS.items():
        filters.append(outcome)
        if whole.outcomes.get(outcome):
            picks.append((column, left(tuple(filters))))
    picks.append((_TAKEN, taken))
    picks.append((Column("Rows", "%"), lambda one: _share(one.rows, whole.rows)))
    picks.append((Column("Words" if whole.tokens is None else "Tokens", "%"), text))
    picks.append((Column("Dropped", "rows", "text wrap"), dropped))
    return picks


def _without_source(rows: Sequence[Ledger]) -> list[str]:
    """What a publication's own numbers leave open: what it counts for a domain, and lists under no source."""
    said = []
    whole = sum(row.published or 0 for row in rows)
    for row in rows:
        if not row.dataset and row.published:
            listed = sum(each.published or 0 for each in rows if each.domain == row.domain and each.dataset)
            stated = listed + row.published
            said.append(
                f"The publication states {count(stated)} {row.domain} rows, but its {row.domain} sources sum to {count(listed)}: "
                f"{count(row.published)} rows, {percent(row.published / stated)}% of these and {percent(row.published / whole)}% "
                f"of all {count(whole)}, are without a source, and cannot be in this mixture."
            )
    return said


def _asked(sources: Mapping[str, Sequence[Ledger]]) -> list[str]:
    """What the sources' licences ask for, a line a condition."""
    found = asking((name, own[0].licence) for name, own in sources.items() if own[0].dataset)
    return [f"{MARKS[words]}: sources that {words}: {', '.join(names)}." for words, names in found.items()]


def _licence(licence: str) -> Cell:
    asked = conditions(licence)
    return Cell(licence or "unknown", ", ".join(MARKS[words] for words in asked), "; ".join(asked))


def _number(rows: int) -> Cell:
    return Cell(count(rows), sort=rows)


def _share(part: int, whole: int) -> Cell:
    return Cell(percent(part / whole), sort=part / whole) if whole else Cell()


def _by(rows: Sequence[Ledger], column: str) -> dict[str, list[Ledger]]:
    groups: dict[str, list[Ledger]] = {}
    for row in rows:
        groups.setdefault(getattr(row, column), []).append(row)
    return groups


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
