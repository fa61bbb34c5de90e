"""``primum why --ran``: why the artifacts that are here were made, although the store had something like them already.

An artifact has no name in the store. It is taken to be in the place of an earlier one of the same stage that no results folder
beside has any more, and that read in each role what it reads, or what that took the place of; of several in the place of the one
that differs least.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from primum.artifact.folder import MANIFEST
from primum.artifact.graph import Graph, manifest_paths, read_graph
from primum.artifact.manifest import Artifact, Manifest, load_manifest
from primum.artifact.results import experiment_of, was_run
from primum.audit.differences import changes
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.reading import regular
from primum.trace.causes import Cause, Causes, made
from primum.trace.settings import Settings


@dataclass(frozen=True, slots=True)
class Ran:
    """An artifact, the one that it took the place of, if there is one, and what differs between the two."""

    name: str
    manifest: Manifest
    previous: Manifest | None
    causes: tuple[Cause, ...] = ()


def find_ran(results: Path, store: Path, root: Path, asked: str) -> list[Ran]:
    """Of each artifact of an experiment's folder that ``asked`` (all, a stage, stage:name, a name) names, why it was made again.

    Raises PrimumError where there is no such folder, or nothing in it is called so.
    """
    graph = read_graph(results, store)
    chosen = [each for each in graph.artifacts if _is_asked(graph, each, asked)]
    if not chosen:
        raise PrimumError(
            f"why --ran {asked}: {results} has nothing of it; give all, a stage, stage:name or an artifact"
        )
    find = finder(graph)
    content = experiment_of(results)
    causes = Causes(root, lambda: Settings(content, root), find, today=False)
    earlier = _Earlier(graph)
    found = []
    for artifact in chosen:
        name, manifest = graph.name(artifact), artifact.manifest
        previous = earlier.of(artifact)
        differing = () if previous is None else causes.between(name, made(previous, find), made(manifest, find))
        found.append(Ran(name, manifest, previous, differing))
    return found


def as_json(found: Sequence[Ran]) -> list[dict[str, Any]]:
    """Each artifact with its key, that of the one before it (null where there was none), and what differs."""
    return [
        {
            "artifact": each.name,
            "key": each.manifest.key,
            "finished": each.manifest.run.get("finished"),
            "previous": each.previous.key if each.previous else None,
            "previous_finished": each.previous.run.get("finished") if each.previous else None,
            "causes": [cause.as_json() for cause in each.causes],
        }
        for each in found
    ]


def _is_asked(graph: Graph, artifact: Artifact, asked: str) -> bool:
    wanted, _, name = asked.partition(":")
    stage = artifact.manifest.stage
    named = graph.name(artifact)
    target = STAGES[stage].target if stage in STAGES else stage
    return asked in ("all", named) or (wanted in (stage, target) and (not name or f"/{name}/" in f"/{named}/"))


def finder(*graphs: Graph) -> Callable[[str, str], tuple[str, Manifest | None]]:
    """Find an artifact by key and content: its name and manifest in the first of ``graphs`` that has it, else in their stores."""

    @cache
    def find(key: str, content: str) -> tuple[str, Manifest | None]:
        for graph in graphs:
            for each in graph.by_key.get(key, ()):
                if each.manifest.content == content:
                    return graph.name(each), each.manifest
        stored = (graph.store.manifest(key) for graph in graphs if key and graph.store is not None)
        return "", next((each for each in stored if each is not None and each.content == content), None)

    return find


class _Earlier:
    """What the store has of earlier runs, and whose place it was."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._found: dict[Path, Manifest | None] = {}
        self._by_kind: dict[Any, list[Manifest]] = {}
        if graph.store is None:
            return
        held = {key for folder in _beside(graph.results) for key in _keys(folder)}
        for path in sorted(graph.store.root.glob(f"??/*/{MANIFEST}")):
            # The folder is called after the key, and perhaps after a user.
            if path.parent.name.partition(".")[0] not in held:
                try:
                    manifest = load_manifest(path)
                except PrimumError:
                    continue  # damaged, or another process has just removed it
                self._by_kind.setdefault(_kind(manifest), []).append(manifest)

    def of(self, artifact: Artifact) -> Manifest | None:
        """The one that differs least in settings, of those the newest; None where nothing like it was made before."""
        if artifact.path not in self._found:
            self._found[artifact.path] = self._find(artifact)
        return self._found[artifact.path]

    def _find(self, artifact: Artifact) -> Manifest | None:
        manifest = artifact.manifest
        finished = _finished(manifest)
        candidates = [each for each in self._by_kind.get(_kind(manifest), ()) if _finished(each) <= finished]
        if not candidates:
            return None
        # What it reads, and what that took the place of.
        allowed: dict[str, set[str]] = {}
        for each in self._graph.inputs(artifact):
            before = self.of(each.artifact) if each.artifact is not None else None
            allowed.setdefault(each.role, set()).update({each.content, before.content if before else each.content})
        alike = [each for each in candidates if _read_alike(each, allowed)]
        newest = sorted(alike, key=_finished, reverse=True)
        return min(newest, key=lambda each: _distance(each, manifest, allowed), default=None)


def _finished(manifest: Manifest) -> str:
    return str(manifest.run.get("finished", ""))


def _read_alike(old: Manifest, allowed: Mapping[str, set[str]]) -> bool:
    """Whether it read something of the same in every role."""
    return old.inputs.keys() == allowed.keys() and all(allowed[role] & set(old.inputs[role]) for role in allowed)


def _distance(old: Manifest, new: Manifest, allowed: Mapping[str, set[str]]) -> int:
    strange = sum(content not in allowed[role] for role, contents in old.inputs.items() for content in contents)
    return strange + sum(1 for _ in changes(old.spec, new.spec))


def _kind(manifest: Manifest) -> Any:
    """Stage, and which artifact of it, as far as a spec says so: the dataset, the table, the files or model fetched."""
    item: Mapping[str, Any] = manifest.spec.get("item") or {}
    files = tuple(str(file.get("path")) for file in item.get("files") or ())
    named = tuple(str(item.get(key)) for key in ("output", "table", "dataset", "mixture", "hub", "endpoint", "draw"))
    return manifest.stage, manifest.kind, files, named


def _beside(results: Path) -> list[Path]:
    others = (path for path in sorted(results.parent.iterdir()) if was_run(path))
    return list(dict.fromkeys([results, *others]))


def _keys(folder: Path) -> Iterator[str]:
    for path in manifest_paths(folder):
        try:
            yield str(json.loads(regular(path).read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # what is damaged holds nothing


def by_cause(found: Sequence[Ran]) -> dict[Cause, list[Ran]]:
    """The artifacts by their first causes."""
    groups: dict[Cause, list[Ran]] = {}
    for each in found:
        for root in dict.fromkeys(root for cause in each.causes for root in cause.roots):
            groups.setdefault(root, []).append(each)
    return groups
