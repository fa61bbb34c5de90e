"""A cell of a table: the row that people ask for, its number in words, and the artifacts that it was made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from primum.artifact.graph import Graph, Input, check_columns
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.cells import LISTS, NAMED, behind
from primum.trace.find import find_artifacts, nearest
from primum.trace.words import number

_LISTED = 5


@dataclass(frozen=True, slots=True)
class _Headline:
    """The column that is a row's number, the ends of its interval and its count; ``scale`` 100 prints it as percent."""

    value: str
    low: str = ""
    high: str = ""
    n: str = ""
    scale: int = 1


_HEADLINES = {
    "benchmarks": _Headline("accuracy", "ci_low", "ci_high", "n", 100),
    "preferences": _Headline("accuracy", "ci_low", "ci_high", "n", 100),
    "comparisons": _Headline("difference", "ci_low", "ci_high", "n", 100),
    "safety": _Headline("mean", "ci_low", "ci_high", "scored"),
    "rubrics": _Headline("score", "ci_low", "ci_high", "scored", 100),
    "judges": _Headline("alpha", "alpha_low", "alpha_high", "n"),
    "confusion": _Headline("count"),
    "training": _Headline("loss"),
    "curation": _Headline("rows"),
    "audits": _Headline("count", n="of"),
    "pairs": _Headline("count"),
    "axes": _Headline("value"),
}


@dataclass(frozen=True)
class Cell:
    """A row of ``table``: its ``names`` by column, its ``number`` in words, and all other columns that have a value."""

    table: str
    names: Mapping[str, Any]
    number: str
    row: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The cell as people name it: ``benchmarks: model sft, benchmark medqa``."""
        named = [f"{name} {_plain(value)}" for name, value in self.names.items() if value != ""]
        return f"{self.table}: {', '.join(named)}"

    @property
    def others(self) -> dict[str, str]:
        """The other columns of the row with a value, as they are printed."""
        shown = _HEADLINES[self.table]
        told = {"id", shown.value, shown.low, shown.high, shown.n, *self.names}
        return {key: _plain(value) for key, value in self.row.items() if key not in told and value not in ("", None)}


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return number(value)
    return str(value) if str(value).isprintable() else repr(value)


def find_cell(graph: Graph, table: str, where: Mapping[str, str]) -> tuple[Artifact, Cell]:
    """The table's artifact, and the one row of it that ``where`` (column -> value) means.

    A name that is not asked for is the whole where the table has that: ``""``, such as all subjects. PrimumError for a table that
    is not there, a column that it has not, and no row or several of them.
    """
    name = f"tables/{table}"
    damaged = any(path.is_relative_to(graph.results / "tables") for path in graph.unreadable)
    if not damaged and name not in map(graph.name, graph.artifacts):
        raise PrimumError(f"{graph.results / name}: no such table here: `snakemake tables` makes it")
    artifact = find_artifacts(graph, name)[0]
    read = artifact.table()
    columns, rows = read.column_names, read.to_pylist()
    shown = _HEADLINES[table]
    check_columns(artifact, columns, [*NAMED[table], *filter(None, (shown.value, shown.low, shown.high, shown.n))])
    if not rows:
        raise PrimumError(f"{table}: has no rows")
    for column in where:
        if column not in columns:
            names = ", ".join(NAMED[table])
            raise PrimumError(f"{table}: has no column '{column}'; its rows are named by {names}")
    found = rows
    for column, value in where.items():
        kept = [row for row in found if _is(row[column], value)]
        if not kept:
            there = list(dict.fromkeys("''" if row[column] == "" else _plain(row[column]) for row in found))
            before = f" of {_described(where, list(where)[: list(where).index(column)])}" if found is not rows else ""
            raise PrimumError(f"{table}: no row{before} has {column} '{value}'; {nearest(value, there)}")
        found = kept
    for column in NAMED[table]:
        whole = [row for row in found if row[column] == ""]
        if column not in where and whole:
            found = whole
    if len(found) != 1:
        _refuse(table, found)
    row = found[0]
    return artifact, Cell(table, {column: row[column] for column in NAMED[table]}, _number(table, row), row)


def _is(value: Any, asked: str) -> bool:
    return str(value) == asked or (value is None and asked in ("", "none")) or (asked == "''" and value == "")


def _described(where: Mapping[str, str], columns: Sequence[str]) -> str:
    return ", ".join(f"{column} {where[column]}" for column in columns)


def _refuse(table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    differing = [column for column in NAMED[table] if len({row[column] for row in rows}) > 1]
    shown = [", ".join(f"{column} {_plain(row[column])}" for column in differing) for row in rows[:_LISTED]]
    more = f"; and {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
    options = " or ".join(f"--where {column}=VALUE" for column in differing)
    raise PrimumError(
        f"{table}: {len(rows)} rows are meant: {'; '.join(shown)}{more}. Give {options or 'another --where'}"
    )


def _number(table: str, row: Mapping[str, Any]) -> str:
    shown = _HEADLINES[table]

    def plain(column: str) -> str:
        value = row[column]
        return f"{shown.scale * value:.1f}" if shown.scale != 1 else _plain(value)

    if row[shown.value] is None:
        text = f"{shown.value} was not measured"
    else:
        text = f"{shown.value} {plain(shown.value)}" + ("%" if shown.scale == 100 else "")
        if shown.low and row[shown.low] is not None and row[shown.high] is not None:
            level = row.get("level") if table == "comparisons" else None
            text += f" ({number(100 * (level or 0.95))}% interval {plain(shown.low)} to {plain(shown.high)})"
    return text + (f", {shown.n} {_plain(row[shown.n])}" if shown.n else "")


def inputs_of(graph: Graph, artifact: Artifact, cell: Cell) -> list[tuple[Input, str]]:
    """The inputs of a table's artifact that a cell was made of, each with why it is read, "" for the value itself."""
    common = artifact.manifest.spec["common"]
    by_role: dict[str, list[Input]] = {}
    for read in graph.inputs(artifact):
        by_role.setdefault(read.role, []).append(read)
    own = set(behind(cell.table, {**cell.row, "start": ""}, common))
    found = []
    for role, index in behind(cell.table, cell.row, common):
        read = by_role[role][index]
        if read.artifact is None:  # its name in the tables' spec says at least which one is lost
            entry = common[LISTS[role]][index]
            read = replace(read, role=f"{role} {entry if isinstance(entry, str) else '/'.join(entry)}")
        found.append((read, "" if (role, index) in own else "for the change"))
    return found
