"""``primum diff``: what two runs, or two stores, have in common and in what they differ, the most important first.

The exit status is that of diff(1): 0 where nothing differs, 1 where something does, 2 where it cannot be told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.artifact.folder import MANIFEST
from primum.artifact.graph import is_store, read_graph
from primum.artifact.manifest import load_manifest
from primum.errors import PrimumError
from primum.trace.find import placed
from primum.trace.parting import Part, Parting, parting
from primum.trace.rows import Cell, TableDiff, results_folder, table_diffs
from primum.trace.told import cause_lines, filled, listed, several
from primum.trace.two import diff_artifacts

_SHOWN = 5


def diff(first: str, second: str, root: Path, tables: Sequence[str], as_json: bool) -> bool:
    """Print how two results folders (by path or experiment), two stores or two artifacts differ; return whether they do.

    Raises PrimumError where one is not there, or one is a store and the other is not.
    """
    one, other = placed(first), placed(second)
    if one is not None and other is not None:
        return diff_artifacts(one, other, root, as_json)
    if one is not None or other is not None:
        raise PrimumError(f"{first if one else second}: is an artifact, and the other is not: give two of a kind")
    folders = []
    for given in (first, second):
        folder = results_folder(given, root)
        if folder is None:
            raise PrimumError(f"{given}: no such folder, and no results of an experiment of that name in results/")
        folders.append(folder)
    stores = [is_store(folder) for folder in folders]
    if stores == [True, True]:
        found = _stores(folders[0], folders[1])
        lines = _told_stores(first, second, found)
        print(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(lines))
        return not found.same
    if any(stores):
        store = folders[stores.index(True)]
        raise PrimumError(f"{store}: is a store, and the other is a results folder: give two of a kind")
    graphs = [read_graph(folder) for folder in folders]
    run = RunDiff(first, second, table_diffs(graphs[0], graphs[1], tables), parting(graphs[0], graphs[1], root))
    print(json.dumps(run.as_json(), indent=1) if as_json else "\n".join(told(run)))
    if damaged := [wrong for graph in graphs for wrong in graph.unreadable.values()]:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise PrimumError(f"left out: {damaged[0]}{more}")
    return not run.same


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two runs, as they were given: their tables, and where they part."""

    first: str
    second: str
    tables: Sequence[TableDiff]
    parting: Parting

    @property
    def same(self) -> bool:
        return self.parting.same and all(table.same for table in self.tables)

    def as_json(self) -> dict[str, Any]:
        """Everything that is told, in full."""
        parts = [{**each.cause.as_json(), "own": each.own, "behind": each.behind} for each in self.parting.parts]
        return {
            "same": self.same,
            "tables": {
                each.table: {
                    "rows": each.rows,
                    "cells": [cell.as_json() for cell in each.cells],
                    "others": [cell.as_json() for cell in each.others],
                    "only": [list(map(list, each.only[0])), list(map(list, each.only[1]))],
                }
                for each in self.tables
            },
            "artifacts": {
                "equal": len(self.parting.equal),
                "differing": list(self.parting.differing),
                "made_otherwise": {
                    name: [cause.as_json() for cause in causes] for name, causes in self.parting.otherwise.items()
                },
                "only": list(map(list, self.parting.only)),
            },
            "parts": parts,
        }


# Words ----------------------------------------------------------------------------------------------------------------


def told(run: RunDiff) -> Iterator[str]:
    """What is printed, line by line: a summary, where the runs part, and the tables."""
    found = run.parting
    yield from filled(_summary(run))
    for part in found.parts:
        yield ""
        yield from _part(part)
    for table in run.tables:
        if not table.same:
            yield ""
            yield from _table(table)
    for names, whose in zip(found.only, (run.first, run.second), strict=True):
        if names:
            yield ""
            yield from filled(f"only in {whose}: {several(len(names), 'artifact')}: {listed(names)}")
    if found.otherwise:
        yield ""
        causes = list(dict.fromkeys(cause for each in found.otherwise.values() for cause in each))
        made = several(len(found.otherwise), "artifact")
        yield from filled(f"{made} of equal content made otherwise: {'; '.join(each.words for each in causes[:3])}")


def _summary(run: RunDiff) -> str:
    found, names = run.parting, f"{run.first} and {run.second}"
    if run.same:
        return f"{names} are equal: {several(len(found.equal), 'artifact')}, {several(len(run.tables), 'table')}"
    differing = [each for each in run.tables if each.cells]
    cells = [f"{len(each.cells)} of {each.rows} cells of {each.table}" for each in differing]
    said = f"{', '.join(cells)} differ" if cells else "no cell that both have differs"
    if found.parts:
        first = found.parts[0]
        cause = first.cause.change if first.cause.name in first.own else first.cause.words
        said += f"; they part at {listed(first.own[:3])}: {cause}"
        if len(found.parts) > 1:
            said += f" (and {len(found.parts) - 1} more)"
    only = [
        f"{several(len(mine), 'artifact')} only in {whose}"
        for mine, whose in zip(found.only, (run.first, run.second), strict=True)
        if mine
    ]
    return f"{names}: {'; '.join([said, *only])}"


def _part(part: Part) -> Iterator[str]:
    yield from cause_lines(part.cause, "")
    behind = f", and {len(part.behind)} behind" if part.behind else ""
    yield from filled(f"other content in {listed(part.own)}{behind}", "  ")


def _table(table: TableDiff) -> Iterator[str]:
    yield f"{table.table}: {len(table.cells)} of {table.rows} cells differ"
    for cell in table.cells[:_SHOWN]:
        yield from filled(_cell(cell), "  ")
    if len(table.cells) > _SHOWN:
        yield f"  and {len(table.cells) - _SHOWN} more: --json has all"
    if table.others:
        columns = list(dict.fromkeys(name for cell in table.others for name in cell.others))
        yield from filled(f"{several(len(table.others), 'row')} in other columns alone: {listed(columns)}", "  ")
    for keys, whose in zip(table.only, ("first", "second"), strict=True):
        if keys:
            rows = [f"{count} of {name}" for name, count in Counter(str(key[0]) for key in keys).most_common()]
            yield from filled(f"rows only in the {whose}: {listed(rows)}", "  ")


def _cell(cell: Cell) -> str:
    name = " ".join(str(each) for each in cell.names.values() if each not in (None, ""))
    said = f"{name}: {_number(cell.old)} -> {_number(cell.new)}"
    if cell.difference is not None:
        said += f" ({cell.difference:+.4g})"
    if cell.inside is not None:
        where = "inside" if cell.inside else "outside the interval"
        said += f", {where} {_number(cell.low)} to {_number(cell.high)}"
    if cell.flips is not None:
        said += f"; of {cell.flips.items} items {cell.flips.higher} up, {cell.flips.lower} down"
    return said


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


# Stores ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoreDiff:
    """Keys of two stores by stage: that one has, and that both have with other content. ``damaged`` manifests are left out."""

    both: int
    only: tuple[dict[str, str], dict[str, str]]
    differing: dict[str, str]
    damaged: int

    @property
    def same(self) -> bool:
        return not self.differing and not any(self.only)

    def as_json(self) -> dict[str, Any]:
        """Key -> stage of what one has alone, and of what differs."""
        return {
            "same": self.same,
            "both": self.both,
            "only": list(self.only),
            "differing": self.differing,
            "damaged": self.damaged,
        }


def _stores(one: Path, other: Path) -> StoreDiff:
    damaged, found = 0, []
    for store in (one, other):
        entries = {}
        for path in sorted(store.glob(f"??/*/{MANIFEST}")):
            try:
                entries[path.parent.name] = load_manifest(path)
            except PrimumError:
                damaged += 1
        found.append(entries)
    mine, theirs = found
    only = tuple(
        {key: each.stage for key, each in a.items() if key not in b} for a, b in ((mine, theirs), (theirs, mine))
    )
    both = mine.keys() & theirs.keys()
    differing = {key: mine[key].stage for key in mine if key in both and mine[key].content != theirs[key].content}
    return StoreDiff(len(both), (only[0], only[1]), differing, damaged)


def _told_stores(first: str, second: str, found: StoreDiff) -> Iterator[str]:
    if found.same:
        yield f"{first} and {second} are equal: {found.both} keys"
    else:
        said = [f"{len(found.differing)} of {found.both} keys that both have differ in content"]
        said += [
            f"{len(keys)} only in {whose}" for keys, whose in zip(found.only, (first, second), strict=True) if keys
        ]
        yield from filled(f"{first} and {second}: {'; '.join(said)}")
    if found.differing:
        yield from filled("same question, other content: not deterministic, or edited", "  ")
        for key, stage in list(found.differing.items())[:_SHOWN]:
            yield f"    {stage} {key[:12]}"
        if len(found.differing) > _SHOWN:
            yield f"    and {len(found.differing) - _SHOWN} more: --json has all"
    for keys, whose in zip(found.only, (first, second), strict=True):
        if keys:
            counts = Counter(keys.values()).most_common()
            yield from filled(f"only in {whose}: {', '.join(f'{n} {stage}' for stage, n in counts)}", "  ")
    if found.damaged:
        yield f"  {several(found.damaged, 'damaged manifest')} left out"
