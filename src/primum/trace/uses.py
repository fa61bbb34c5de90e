"""``primum uses``: every artifact and every number that an artifact or a raw file reaches, the nearest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from primum.artifact.graph import Graph, check_columns, read_graph
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.project import results_folder
from primum.tables.cells import NAMED, behind
from primum.trace.find import find_artifacts, located
from primum.trace.show import show
from primum.trace.tree import Line
from primum.trace.words import plural

# Of what --json prints, as in primum.trace.explain.
FORM = 1
_NAMED = 3  # so many values of a column are named, more are counted
_FEW = 6
_TABLES = "tables"


@dataclass(frozen=True, slots=True)
class Reached:
    """An artifact that is ``distance`` steps away, by the stages ``way``."""

    name: str
    stage: str
    distance: int
    way: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cells:
    """``rows`` of a ``table`` that are equally far away on the same way; ``names`` are their values by column.

    ``change`` says that it is their change against the model that they started from that is reached, and not the value itself.
    """

    table: str
    rows: int
    names: Mapping[str, Sequence[str]]
    distance: int
    way: tuple[str, ...]
    change: bool


@dataclass(frozen=True)
class Reach:
    """What ``starts`` reach: ``artifacts`` and ``cells``, the nearest first."""

    starts: Sequence[str]
    artifacts: Sequence[Reached]
    cells: Sequence[Cells]
    damaged: Mapping[str, str]


def reach(graph: Graph, starts: Sequence[Artifact]) -> Reach:
    """What ``starts`` reach, by the manifests of what was made of them, and of what was made of that."""
    found = _reached(graph, starts)
    cells: list[Cells] = []
    damaged = {path.as_posix(): why for path, why in graph.unreadable.items()}
    for table in NAMED:
        try:
            cells += _cells(graph, table, found)
        except PrimumError as error:  # its rows cannot be read
            damaged[f"{_TABLES}/{table}"] = str(error)
    nearest = sorted(
        (each for each in found.values() if each.distance), key=lambda each: (each.distance, each.way, each.name)
    )
    return Reach([graph.name(each) for each in starts], nearest, sorted(cells, key=lambda each: each.distance), damaged)


def _reached(graph: Graph, starts: Sequence[Artifact]) -> dict[str, Reached]:
    found = {(name := graph.name(each)): Reached(name, each.manifest.stage, 0, ()) for each in starts}
    level = list(starts)
    while level:
        following = []
        for artifact in level:
            before = found[graph.name(artifact)]
            for reader in graph.readers(artifact):
                name, stage = graph.name(reader), reader.manifest.stage
                if name not in found:
                    found[name] = Reached(name, stage, before.distance + 1, (*before.way, stage))
                    following.append(reader)
        level = following
    return found


def _cells(graph: Graph, table: str, found: Mapping[str, Reached]) -> Iterator[Cells]:
    """The rows of a table that something in ``found`` was read for. The table's own manifest names what all tables read."""
    artifact = next((each for each in graph.artifacts if graph.name(each) == f"{_TABLES}/{table}"), None)
    if artifact is None:
        return
    common = artifact.manifest.spec["common"]
    by_role: dict[str, list[Reached | None]] = {}
    for read in graph.inputs(artifact):
        name = graph.name(read.artifact) if read.artifact is not None else ""
        by_role.setdefault(read.role, []).append(found.get(name))
    if not any(each for reads in by_role.values() for each in reads):
        return
    groups: dict[tuple[int, tuple[str, ...], bool], list[Mapping[str, Any]]] = {}
    known: dict[tuple[Any, ...], tuple[Reached | None, bool]] = {}
    rows_of = artifact.table()
    check_columns(artifact, rows_of.column_names, NAMED[table])
    for row in rows_of.to_pylist():
        # All rows that differ in their subject, category or step alone were made of the same.
        key = tuple(row.get(column) for column in _DECIDING)
        if key not in known:
            own = _first(by_role, behind(table, {**row, "start": ""}, common))
            known[key] = (own, False) if own else (_first(by_role, behind(table, row, common)), True)
        nearest, change = known[key]
        if nearest is not None:
            groups.setdefault((nearest.distance + 1, (*nearest.way, _TABLES), change), []).append(row)
    for (distance, way, change), rows in groups.items():
        names = {
            column: list(dict.fromkeys("" if row[column] is None else str(row[column]) for row in rows))
            for column in NAMED[table]
        }
        yield Cells(table, len(rows), names, distance, way, change)


# The columns that ``behind`` looks at.
_DECIDING = (
    *("model", "other", "benchmark", "group", "start", "prompts", "judge", "against", "mixture", "tokens_of"),
    "preferences",
)


def _first(by_role: Mapping[str, Sequence[Reached | None]], wanted: Sequence[tuple[str, int]]) -> Reached | None:
    """The nearest of the inputs at ``wanted`` that is reached."""
    reached = [each for role, index in wanted if (each := by_role[role][index]) is not None]
    return min(reached, key=lambda each: each.distance, default=None)


def described(cells: Cells) -> str:
    """``10 models x medqa``: a column's values while they are few, else how many there are."""
    parts = []
    for column, values in cells.names.items():
        named = [value for value in values if value]
        if named:
            short = len(named) <= _NAMED
            parts.append(", ".join(named) if short else f"{plural(len(named), column, _PLURALS.get(column, ''))}")
    what = " x ".join(parts) or "the whole"
    return f"{'the change of ' if cells.change else ''}{what}"


_PLURALS = {
    "benchmark": "benchmarks",
    "category": "categories",
    "prompts": "prompt sets",
    "preferences": "preference sets",
    "axis": "axes",
    "against": "ways to be compared",
    "other": "other models",
}


def lines(reached: Reach) -> Iterator[Line]:
    """What is reached, as it is printed."""
    starts = ", ".join(reached.starts[:_NAMED]) + (" and more" if len(reached.starts) > _NAMED else "")
    numbers = sum(each.rows for each in reached.cells)
    yield Line("", starts, "head")
    totals = f"reaches {plural(len(reached.artifacts), 'artifact')} and {plural(numbers, 'row')} of tables"
    yield Line("  ", totals if reached.artifacts else "reaches nothing: nothing here was made of it")
    for path, why in reached.damaged.items():
        yield Line(
            "  ", f"damaged, and left out: {why}" if path in why else f"damaged, and left out: {path}: {why}", "bad"
        )
    if reached.cells:
        yield Line("", "")
        yield Line("", "Numbers, the nearest first:", "head")
    for way in dict.fromkeys((each.distance, each.way) for each in reached.cells):
        yield Line("  ", f"{plural(way[0], 'step')}, by {' > '.join(way[1])}")
        for cells in reached.cells:
            if (cells.distance, cells.way) == way:
                yield Line("    ", f"{cells.table}: {described(cells)} ({plural(cells.rows, 'row')})")
    if reached.artifacts:
        yield Line("", "")
        yield Line("", "Artifacts, the nearest first:", "head")
    for distance, stage in dict.fromkeys((each.distance, each.stage) for each in reached.artifacts):
        names = [each.name for each in reached.artifacts if (each.distance, each.stage) == (distance, stage)]
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        yield Line("  ", f"{plural(distance, 'step')}, {stage}: ", "", ", ".join(names[:_FEW]) + more)


def uses(experiment: str | None, what: str, as_json: bool) -> None:
    """Print what an artifact or a raw file reaches, in the results that it lies in, or else those of the demo."""
    place = located(what) if experiment is None else None
    results, what = place if place is not None else (results_folder(experiment or "demo"), what)
    graph = read_graph(results)
    reached = reach(graph, find_artifacts(graph, what))
    if as_json:
        print(json.dumps({"form": FORM, "results": graph.results.as_posix(), **asdict(reached)}, indent=1))
    else:
        show(lines(reached))
