"""One results folder as it is checked: its artifacts, what the last run asked for in each place, its store and project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from primum.artifact.folder import MANIFEST
from primum.artifact.graph import Graph, is_key, is_store, read_graph
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.store import Store
from primum.errors import PrimumError
from primum.project import project_root
from primum.verify.finding import Seen
from primum.verify.places import Place, places_of


@dataclass(frozen=True)
class Study:
    """``places`` has what lies where, by the manifest's path in ``graph.results``; ``root`` is the project, if it is at hand."""

    graph: Graph
    places: Mapping[str, Place]
    root: Path | None
    seen: tuple[Seen, ...] = field(default=())

    @property
    def results(self) -> Path:
        return self.graph.results

    @property
    def store(self) -> Store | None:
        return self.graph.store

    @cached_property
    def by_path(self) -> dict[str, Artifact]:
        """Artifacts by their manifest's path in the results folder."""
        return {artifact.path.relative_to(self.results).as_posix(): artifact for artifact in self.graph.artifacts}

    def placed(self) -> Iterator[tuple[Artifact, Place]]:
        """Every artifact whose place is known."""
        for path, artifact in self.by_path.items():
            if path in self.places:
                yield artifact, self.places[path]

    @cached_property
    def missing(self) -> list[str]:
        """The artifacts that the experiment asks for and whose manifests are not here, not even damaged, by their paths."""
        damaged = {path.relative_to(self.results).as_posix() for path in self.graph.unreadable}
        lacking = sorted(set(self.places) - set(self.by_path) - damaged)
        return [str(self.results / path.removesuffix(f"/{MANIFEST}").removesuffix(".json")) for path in lacking]

    def inputs(self, artifact: Artifact) -> dict[str, list[Artifact]]:
        """What ``artifact`` was made of, by role: from its inputs' places, where they hold what it read.

        PrimumError naming the first input that is not here.
        """
        place = self.places.get(artifact.path.relative_to(self.results).as_posix())
        found: dict[str, list[Artifact]] = {}
        for role, contents in artifact.manifest.inputs.items():
            paths = place.inputs.get(role, ()) if place else ()
            known = (
                [self.by_path.get(path) for path in paths] if len(paths) == len(contents) else [None] * len(contents)
            )
            found[role] = [
                _there(each if each is not None and each.manifest.content == content else self._of(content, role))
                for each, content in zip(known, contents, strict=True)
            ]
        return found

    def _of(self, content: str, role: str) -> Artifact:
        same = self.graph.by_content.get(content)
        if not same:
            raise PrimumError(f"an input as {role!r} is not here")
        return same[0]

    @cached_property
    def entries(self) -> dict[str, tuple[Path, Manifest | None]]:
        """The store's entry of every key here that it has: where, and its manifest; None where that is damaged."""
        if self.store is None:
            return {}
        keys = {artifact.manifest.key for artifact in self.graph.artifacts}
        paths = {key: self.store.entry(key) for key in keys if is_key(key)}  # a damaged one must lead nowhere else
        return {key: (path, self.store.manifest(key)) for key, path in paths.items() if path.is_dir()}


def _there(artifact: Artifact) -> Artifact:
    """The artifact, if there is data to be read: what lies in its place may be of another kind, and even wait to be written."""
    data = artifact.data
    if not (data.is_file() if artifact.manifest.kind == "table" else data.is_dir()):
        raise PrimumError(f"{data} is missing")
    return artifact


def open_study(results: Path, store: Path | None) -> Study:
    """Read the manifests of ``results``. PrimumError when there is no such folder, or no such store."""
    if store is not None and not is_store(store):
        raise PrimumError(f"{store}: no such store, or an empty one: give its folder, or leave --store out")
    try:
        root: Path | None = project_root(results)
    except PrimumError:
        root = None
    graph = read_graph(results, store)
    places, seen = places_of(results, root)
    return Study(graph, places, root, tuple(seen))
