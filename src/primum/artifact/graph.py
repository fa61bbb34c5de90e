"""What a results folder holds, and which artifact was made of which: by its manifests alone, without the experiment's file.

A manifest names its inputs by content and by key. Where several artifacts have one key (the same question to the same data under
two names) the first by path stands for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from primum.artifact.folder import MANIFEST
from primum.artifact.history import check_run
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.results import BENCHMARKS, EXPERIMENT, LOGS, REQUESTS, STORE, VERIFICATION, was_run
from primum.artifact.store import Store
from primum.errors import PrimumError

_KEY = re.compile(r"[0-9a-f]{64}")
# What a run writes beside its artifacts, at the top of a results folder.
_OTHERS = frozenset({REQUESTS, LOGS, BENCHMARKS, EXPERIMENT, VERIFICATION})


@dataclass(frozen=True, slots=True)
class Input:
    """One input of an artifact: its ``role``, content hash and key; ``artifact`` is None where these results have it no more.

    ``key`` is "" in a manifest that was written before keys were recorded. ``stored`` is what the store still says of a lost one.
    """

    role: str
    content: str
    key: str
    artifact: Artifact | None
    stored: Manifest | None = None


def is_of_artifacts(name: str) -> bool:
    """Whether artifacts lie under such a name at the top of a results folder."""
    return name not in _OTHERS and not name.startswith(".")


def manifest_paths(results: Path) -> Iterator[Path]:
    """The manifests of all artifacts in an experiment's folder, in the order of their paths. A folder artifact is one of them.

    Raises PrimumError when there is no such folder.
    """
    if not results.is_dir():
        raise PrimumError(f"{results}: no such results folder: give the path of one, such as results/demo")
    for entry in sorted(os.scandir(results), key=lambda entry: entry.name):
        if is_of_artifacts(entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
            elif entry.name.endswith(".json"):
                yield Path(entry.path)


def _below(folder: Path) -> Iterator[Path]:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    if any(entry.name == MANIFEST for entry in entries):
        yield folder / MANIFEST
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        elif entry.name.endswith(".json"):
            yield Path(entry.path)


@dataclass(frozen=True)
class Graph:
    """The artifacts of a results folder in the order of their paths, and the manifests that cannot be read, with what is wrong.

    ``store`` is asked about inputs that the folder has no more.
    """

    results: Path
    artifacts: Sequence[Artifact]
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    store: Store | None = None

    def check_readable(self) -> None:
        """PrimumError naming a manifest that cannot be read: what was made of this graph is without it."""
        if self.unreadable:
            more = f" (and {len(self.unreadable) - 1} more)" if len(self.unreadable) > 1 else ""
            raise PrimumError(f"left out: {next(iter(self.unreadable.values()))}{more}")

    @cached_property
    def by_key(self) -> dict[str, list[Artifact]]:
        """Artifacts by key, the first by path first."""
        found: dict[str, list[Artifact]] = {}
        for artifact in self.artifacts:
            found.setdefault(artifact.manifest.key, []).append(artifact)
        return found

    @cached_property
    def by_content(self) -> dict[str, list[Artifact]]:
        """Artifacts by content hash, the first by path first."""
        found: dict[str, list[Artifact]] = {}
        for artifact in self.artifacts:
            found.setdefault(artifact.manifest.content, []).append(artifact)
        return found

    def name(self, artifact: Artifact) -> str:
        """Its path in the results folder without ``.json`` or ``/manifest.json``: ``scores/sft/medqa``."""
        path = artifact.path.relative_to(self.results)
        return (path.parent if artifact.manifest.kind == "folder" else path.with_suffix("")).as_posix()

    def inputs(self, artifact: Artifact) -> list[Input]:
        """What ``artifact`` was made of, in the order of its manifest."""
        keys = artifact.manifest.run.get("input_keys") or {}
        return [
            self._input(role, content, (keys.get(role) or [""] * len(contents))[index])
            for role, contents in artifact.manifest.inputs.items()
            for index, content in enumerate(contents)
        ]

    def _input(self, role: str, content: str, key: str) -> Input:
        same = [each for each in self.by_key.get(key, ()) if each.manifest.content == content]
        # Another artifact of this content: what was read is here, whatever it was made for.
        found = next(iter(same or self.by_content.get(content, [])), None)
        stored = self.store.manifest(key) if found is None and key and self.store is not None else None
        return Input(role, content, key, found, stored)

    def readers(self, artifact: Artifact) -> list[Artifact]:
        """The artifacts that were made of ``artifact``, or of another of its content, in the order of their paths."""
        return self._readers.get(artifact.manifest.content, [])

    @cached_property
    def _readers(self) -> dict[str, list[Artifact]]:
        found: dict[str, dict[Path, Artifact]] = {}
        for artifact in self.artifacts:
            for contents in artifact.manifest.inputs.values():
                for content in contents:
                    found.setdefault(content, {})[artifact.path] = artifact
        return {content: list(readers.values()) for content, readers in found.items()}


def check_columns(artifact: Artifact, there: Sequence[str], needed: Iterable[str]) -> None:
    """PrimumError naming a column that the table of ``artifact`` lacks: another version of primum made it."""
    missing = [name for name in needed if name not in there]
    if missing:
        what = f"has no column {missing[0]!r}: another version of primum made it"
        raise PrimumError(f"{artifact.path}: {what}: run the stage {artifact.manifest.stage} again")


def beside(results: Path) -> Path:
    """The folder around a results folder, also where that is named ``.`` or ``..``."""
    return results.parent if results.name not in ("", "..") else results.resolve().parent


def is_key(name: str) -> bool:
    """Whether it can be the name of an entry in a store."""
    return _KEY.fullmatch(name) is not None


def is_store(folder: Path) -> bool:
    """Whether a folder has entries of a store."""
    return any(is_key(path.name) for path in folder.glob("[0-9a-f][0-9a-f]/*"))


def _check_is_one(results: Path) -> None:
    """PrimumError where a folder that is not known as a run's holds such folders, lies in one, or is a store.

    Read as a run's, its artifacts would lack all that lies elsewhere.
    """
    below = next((found for pattern in ("*", "*/*") for found in results.glob(f"{pattern}/{EXPERIMENT}")), None)
    if below is not None:
        raise PrimumError(f"{results}: holds the results of experiments: name one, such as {below.parent}")
    around = next((each for each in results.absolute().parents if was_run(each)), None)
    if around is not None:
        around = around if results.is_absolute() else Path(os.path.relpath(around))
        raise PrimumError(f"{results}: is a part of the results in {around}: give that folder")
    if is_store(results):
        raise PrimumError(f"{results}: is a store, which no experiment's results are in: give a results folder")


def read_graph(results: Path, store: Path | None = None) -> Graph:
    """The graph of an experiment's folder, such as ``results/demo``. Its store is ``store``, by default that beside the folder.

    Raises PrimumError when the folder is not there, has no manifest at all (of nothing, all is well), or holds such folders.
    A manifest that is damaged is listed, and is no error.
    """
    if not (results / EXPERIMENT).exists():
        _check_is_one(results)
    artifacts, unreadable = [], {}
    for path in manifest_paths(results):
        try:
            artifact = Artifact.open(path)
            check_run(artifact.manifest, path)
            if artifact.manifest.kind != ("folder" if path.name == MANIFEST else "table"):
                raise PrimumError(f"{path}: is the manifest of a {artifact.manifest.kind}: delete it and run again")
            artifacts.append(artifact)
        except PrimumError as error:
            unreadable[path] = str(error)
    if not artifacts and not unreadable:
        raise PrimumError(f"{results}: has no artifact: it is no results folder, or nothing was made yet")
    root = store or Path(os.environ.get("PRIMUM_STORE") or beside(results) / STORE)
    return Graph(results, artifacts, unreadable, Store(root) if root.is_dir() else None)
