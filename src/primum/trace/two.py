"""``primum diff`` of two artifacts: in which rows or files they differ, and what made them so. No value of a row is printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, read_graph
from primum.artifact.manifest import Artifact
from primum.artifact.results import experiment_of
from primum.errors import PrimumError
from primum.trace.causes import Cause, Causes, made
from primum.trace.find import find_artifact
from primum.trace.ran import finder
from primum.trace.settings import Settings
from primum.trace.told import cause_lines, filled, listed, several

Place = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class ArtifactDiff:
    """Two artifacts: how many ``parts`` (rows or files) both have, in how many they differ, and how many only one has.

    ``columns`` counts the rows that differ by column; ``causes`` are the differences of their makings.
    """

    same: bool
    kind: str
    parts: int
    differing: int
    columns: Mapping[str, int]
    only: tuple[int, int]
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """Its fields, as they are printed by ``--json``."""
        fields = {name: getattr(self, name) for name in ("same", "kind", "parts", "differing", "columns", "only")}
        return {**fields, "causes": [each.as_json() for each in self.causes]}


def diff_artifacts(first: Place, second: Place, root: Path, as_json: bool) -> bool:
    """Print how the artifacts at two places (results folder, name) differ; return whether their content does.

    PrimumError where one is not there, is damaged, or they are a table and a folder.
    """
    graphs = [read_graph(folder) for folder, _ in (first, second)]
    one, other = find_artifact(graphs[0], first[1]), find_artifact(graphs[1], second[1])
    if one.manifest.kind != other.manifest.kind:
        raise PrimumError(f"{one.data} and {other.data}: a table and a folder have nothing in common to compare")
    found = _compared(one, other, _causes(graphs, one, other, root))
    lines = _told(f"{one.data} and {other.data}", found)
    print(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(lines))
    return not found.same


def _causes(graphs: Sequence[Graph], one: Artifact, other: Artifact, root: Path) -> tuple[Cause, ...]:
    find = finder(*graphs)
    causes = Causes(root, lambda: Settings(experiment_of(graphs[1].results), root), find, today=False)
    return causes.between(graphs[1].name(other), made(one.manifest, find), made(other.manifest, find))


def _compared(one: Artifact, other: Artifact, causes: tuple[Cause, ...]) -> ArtifactDiff:
    before, now = _parts(one), _parts(other)
    both, columns, differing = before.keys() & now.keys(), Counter[str](), 0
    for name in both:
        was, has = before[name], now[name]
        columns.update(key for key in {**was, **has} if was.get(key) != has.get(key))
        differing += was != has
    kind, counts = ("row", columns) if one.manifest.kind == "table" else ("file", Counter[str]())
    same = one.manifest.content == other.manifest.content
    only = (len(before) - len(both), len(now) - len(both))
    return ArtifactDiff(same, kind, len(both), differing, dict(counts.most_common()), only, causes)


def _parts(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """The rows of a table by id, all of it read, so that damage is an error and no difference; the files of a folder."""
    if artifact.manifest.kind == "folder":
        return {name: {"sha256": sha256} for name, sha256 in artifact.manifest.files.items()}
    return {row["id"]: row for row in artifact.table().to_pylist()}


def _told(names: str, found: ArtifactDiff) -> Iterator[str]:
    if found.same:
        yield from filled(f"{names} are equal: {several(found.parts, found.kind)}")
    else:
        said = [f"{found.differing:,} of {several(found.parts, found.kind)} that both have differ"]
        said += [f"{n:,} only in the {which}" for n, which in zip(found.only, ("first", "second"), strict=True) if n]
        yield from filled(f"{names}: {'; '.join(said)}")
        if found.columns:
            yield from filled(f"in {listed(f'{name} ({n:,})' for name, n in found.columns.items())}", "  ")
    if found.causes:
        yield "They were made otherwise:"
    for cause in found.causes:
        yield from cause_lines(cause, "  ")
