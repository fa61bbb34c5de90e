"""What of a store the experiments need: what is in their folders, what that was made of, and what their last run asked for."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from primum.artifact.canonical import digest
from primum.artifact.graph import manifest_paths
from primum.artifact.invocation import request_paths
from primum.artifact.job import item_spec
from primum.artifact.manifest import artifact_key, load_manifest
from primum.artifact.request import load_request
from primum.errors import PrimumError


@dataclass(frozen=True, slots=True)
class Need:
    """What one experiment's folder ``results`` needs: ``keys``, and ``asked``, those that its last run asked for.

    While it is ``running`` it may come to need whatever has one of the ``specs`` (digests) that it asks for, whatever it read.
    """

    results: Path
    keys: frozenset[str]
    asked: frozenset[str]
    running: bool
    specs: frozenset[str]

    def needs(self, key: str, spec: str = "") -> bool:
        """Whether it needs what has this key and spec."""
        return key in self.keys or key in self.asked or (self.running and spec in self.specs)


def experiments(given: Sequence[Path]) -> list[Path]:
    """The experiments' folders: each of ``given`` is one, or a folder of some, such as ``results``.

    Raises PrimumError for a folder that is neither: without it, all would seem to be needed by nobody.
    """
    found: list[Path] = []
    for folder in given:
        if not folder.is_dir():
            raise PrimumError(f"{folder}: no such folder of results: give --results")
        children = [folder] if is_experiment(folder) else [each for each in sorted(folder.iterdir()) if each.is_dir()]
        inside = [each for each in children if is_experiment(each)]
        if not inside:
            raise PrimumError(f"{folder}: holds no experiment's results: give the folders that need the store")
        found += inside
    return list({each.resolve(): each for each in found}.values())


def is_experiment(folder: Path) -> bool:
    """Whether a run has had this folder."""
    return not folder.name.startswith(".") and any(
        (folder / name).exists() for name in ("experiment.json", "requests", ".lock")
    )


def need_of(results: Path) -> Need:
    """What an experiment's folder needs. PrimumError naming a manifest or a request that cannot be read."""
    running = _is_running(results)
    keys: set[str] = set()
    for path in manifest_paths(results):
        try:
            manifest = load_manifest(path)
        except PrimumError:
            if not path.exists():  # its job makes it again
                continue
            raise
        keys.add(manifest.key)
        for read in (manifest.run.get("input_keys") or {}).values():
            keys.update(read)
    asked: set[str] = set()
    specs: set[str] = set()
    for spec, key in _requested(results):
        specs.add(spec)
        asked.update([key] if key else [])
    return Need(results, frozenset(keys), frozenset(asked), running, frozenset(specs))


def _requested(results: Path) -> Iterator[tuple[str, str | None]]:
    """(digest of the spec, key) of each artifact that the last run asked for; no key where what it reads is not there."""
    requests = [load_request(path) for path in request_paths(results)]
    folder = _named([output.path for request in requests for output in request.outputs], results)
    contents: dict[Path, str | None] = {}

    def content(path: Path) -> str | None:
        if path not in contents:
            try:
                contents[path] = load_manifest(results / path.relative_to(folder)).content
            except (PrimumError, ValueError):
                contents[path] = None
        return contents[path]

    for request in requests:
        spec = json.loads(request.spec)
        for (_, item), output in zip(spec["items"], request.outputs, strict=True):
            asked, inputs = item_spec(spec, item), {**request.inputs, **output.inputs}
            read = {role: [content(path) for path in paths] for role, paths in inputs.items()}
            known = {role: [each for each in found if each is not None] for role, found in read.items()}
            yield digest(asked), artifact_key(asked, known) if known == read else None


def _named(paths: Sequence[Path], results: Path) -> Path:
    """The folder ``results`` as a run named it, from the folder that it ran in: it is around all of its artifacts."""
    around = Path(os.path.commonpath(paths)) if paths else results
    return next((each for each in (around, *around.parents) if each.name == results.resolve().name), results)


def _is_running(results: Path) -> bool:
    """Whether a run has claimed the folder: it holds a lock on this file as long as it lives."""
    try:
        with (results / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or not to be read: then nobody can tell
        return True
    return False
