"""Which cells of the tables of two runs differ, by how much against their intervals, and how many items flipped behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.cells import NAMED

# The number that a row of a table is read for, and the ends of its interval, if it has one.
MAIN: dict[str, tuple[str, str, str]] = {
    "benchmarks": ("accuracy", "ci_low", "ci_high"),
    "preferences": ("accuracy", "ci_low", "ci_high"),
    "comparisons": ("difference", "ci_low", "ci_high"),
    "safety": ("mean", "ci_low", "ci_high"),
    "rubrics": ("score", "ci_low", "ci_high"),
    "judges": ("alpha", "alpha_low", "alpha_high"),
    "confusion": ("count", "", ""),
    "training": ("loss", "", ""),
    "curation": ("rows", "", ""),
    "audits": ("count", "", ""),
    "pairs": ("count", "", ""),
    "axes": ("number", "", ""),
}
# The artifact with a row's items, the column that is compared, and the one that has the row's part of them.
_ITEMS = {
    "benchmarks": ("scores/{model}/{benchmark}", "correct", "subject"),
    "preferences": ("scores/{model}/{benchmark}", "correct", "subject"),
    "safety": ("verdicts/{judge}/{model}/{prompts}", "score", "category"),
}
_PARTS = ("subject", "category", "tag")  # columns that are empty in the row of a whole
_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Flips:
    """Of ``items`` that both runs have, how many are ``higher`` (right, and not before) or ``lower`` in the second."""

    items: int
    higher: int
    lower: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A row that both tables have and that differs: its number in each, the first's interval, the other columns that differ.

    ``inside`` says whether the second number lies within the interval of the first; None without one.
    """

    names: Mapping[str, Any]
    column: str
    old: float | None
    new: float | None
    low: float | None
    high: float | None
    others: Sequence[str]
    flips: Flips | None = None

    @property
    def difference(self) -> float | None:
        return None if self.old is None or self.new is None else self.new - self.old

    @property
    def inside(self) -> bool | None:
        if self.low is None or self.high is None or self.new is None:
            return None
        return self.low <= self.new <= self.high

    @property
    def weight(self) -> tuple[bool, bool, float, float]:
        """The larger, the more it matters: a whole before its parts, outside the interval before inside, by its half width."""
        away = abs(self.difference) if self.difference is not None else 0.0 if self.old == self.new else float("inf")
        wide = (self.high - self.low) / 2 if self.low is not None and self.high is not None else 0.0
        whole = not any(self.names.get(part) for part in _PARTS)
        return whole, self.inside is False, away / wide if wide else 0.0, away

    def as_json(self) -> dict[str, Any]:
        """Its fields, with the difference and whether it lies inside."""
        return {**asdict(self), "difference": self.difference, "inside": self.inside}


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Two tables: how many rows both have, ``cells`` of those whose number differs, ``others`` that differ elsewhere alone.

    ``only`` are the names of the rows that one of the two has.
    """

    table: str
    rows: int
    cells: Sequence[Cell]
    others: Sequence[Cell]
    only: tuple[Sequence[_Key], Sequence[_Key]]

    @property
    def same(self) -> bool:
        return not self.cells and not self.others and not any(self.only)


def table_diffs(one: Graph, other: Graph, asked: Sequence[str] = ()) -> list[TableDiff]:
    """Each of the tables ``asked`` for, all where none is, that both runs have. Their content hashes are verified.

    Raises PrimumError for a table that there is not, or that one of the two does not have although it is asked for.
    """
    for table in asked:
        if table not in NAMED:
            raise PrimumError(f"--tables {table}: no such table; there are: {', '.join(NAMED)}")
    graphs = (one, other)
    named = [{graph.name(each): each for each in graph.artifacts} for graph in graphs]
    found = []
    for table in asked or NAMED:
        pair = [names.get(f"tables/{table}") for names in named]
        for graph, artifact in zip(graphs, pair, strict=True):
            if artifact is None and asked:
                raise PrimumError(f"{graph.results}: has no table {table}: run `snakemake tables` first")
        if pair[0] is not None and pair[1] is not None:
            found.append(_table(table, pair[0], pair[1], named))
    return found


def _table(table: str, one: Artifact, other: Artifact, named: Sequence[Mapping[str, Artifact]]) -> TableDiff:
    if one.manifest.content == other.manifest.content:
        return TableDiff(table, one.row_count(), (), (), ((), ()))
    before, now = (dict(_keyed(table, each.table().to_pylist())) for each in (one, other))
    both = [key for key in before if key in now]
    items = _Items(table, named)
    cells, others = [], []
    for key in both:
        cell = _cell(table, before[key], now[key])
        if cell is None:
            continue
        if cell.old != cell.new:
            cells.append(_with_flips(cell, items.flips(cell.names)))
        else:
            others.append(cell)
    cells.sort(key=lambda cell: cell.weight, reverse=True)
    only = [key for key in before if key not in now], [key for key in now if key not in before]
    return TableDiff(table, len(both), cells, others, only)


def _keyed(table: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[_Key, Mapping[str, Any]]]:
    """Rows by what names them; of several alike (an average of two groups), by their number too."""
    seen: dict[_Key, int] = {}
    for row in rows:
        key = tuple(row.get(name) for name in NAMED[table])
        seen[key] = seen.get(key, 0) + 1
        yield (key if seen[key] == 1 else (*key, seen[key])), row


def _cell(table: str, was: Mapping[str, Any], has: Mapping[str, Any]) -> Cell | None:
    # Ids count rows, and say nothing of one.
    skipped = {"id", *NAMED[table]}
    differing = [
        name for name in dict.fromkeys([*was, *has]) if name not in skipped and not _equal(was.get(name), has.get(name))
    ]
    if not differing:
        return None
    column, low, high = MAIN[table]
    names = {name: was.get(name) for name in NAMED[table]}
    others = [name for name in differing if name != column]
    return Cell(names, column, was.get(column), has.get(column), was.get(low), was.get(high), others)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other or repr(one) == repr(other) == "nan")


def _with_flips(cell: Cell, flips: Flips | None) -> Cell:
    return Cell(cell.names, cell.column, cell.old, cell.new, cell.low, cell.high, cell.others, flips)


class _Items:
    """The items behind the rows of a table, in both runs; each artifact is read once."""

    def __init__(self, table: str, named: Sequence[Mapping[str, Artifact]]) -> None:
        self._table, self._named = table, named
        self._read: dict[str, list[dict[str, tuple[Any, str]]] | None] = {}

    def flips(self, names: Mapping[str, Any]) -> Flips | None:
        """None where a row has no items of its own, or where the two runs have not the same ones."""
        if self._table not in _ITEMS:
            return None
        template, column, part = _ITEMS[self._table]
        name = template.format(**names)
        if name not in self._read:
            self._read[name] = self._both(name, column, part)
        both = self._read[name]
        if both is None or both[0].keys() != both[1].keys():
            return None
        wanted = names.get(part) or ""
        pairs = [(both[0][key], both[1][key]) for key in both[0]]
        values = [(was[0], has[0]) for was, has in pairs if not wanted or was[1] == wanted]
        scored = [(was, has) for was, has in values if was is not None and has is not None]
        return Flips(len(scored), sum(has > was for was, has in scored), sum(has < was for was, has in scored))

    def _both(self, name: str, column: str, part: str) -> list[dict[str, tuple[Any, str]]] | None:
        artifacts = [names.get(name) for names in self._named]
        found = []
        for artifact in artifacts:
            if artifact is None:
                return None
            table = artifact.table(["id", column, part])
            found.append({row["id"]: (row[column], row[part]) for row in table.to_pylist()})
        return found


def results_folder(given: str, root: Path) -> Path | None:
    """A folder of results, given by its path or an experiment's name; None where there is none."""
    for path in (Path(given), root / "results" / given):
        if path.is_dir():
            return path
    return None
