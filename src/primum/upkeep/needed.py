"""What of a store the experiments need: what is in their folders, what their last run asked for, and all that it was made of.

A folder may have lost much of it: then the store itself says what lay there, and of what that was made.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.artifact.folder import MANIFEST
from primum.artifact.graph import manifest_paths
from primum.artifact.history import check_run
from primum.artifact.invocation import request_paths
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.request import Asked, Request, load_request
from primum.artifact.results import CLAIM, EXPERIMENT, REQUESTS
from primum.artifact.store import Store
from primum.errors import PrimumError
from primum.reading import regular


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
    name = folder.name if folder.name not in ("", "..") else folder.resolve().name
    return not name.startswith(".") and any((folder / each).exists() for each in (EXPERIMENT, REQUESTS, CLAIM))


def need_of(results: Path, store: Store) -> Need:
    """What an experiment's folder needs of ``store``. PrimumError naming a manifest or a request that cannot be read."""
    running = _is_running(results)
    keys: set[str] = set()
    for path in manifest_paths(results):
        try:
            manifest = check_run(load_manifest(path), path)
        except PrimumError:
            if not path.exists():  # its job makes it again
                continue
            raise
        keys.add(manifest.key)
        keys.update(_read_by(manifest))
    asked: set[str] = set()
    specs: set[str] = set()
    for spec, key in _requested(results, store):
        specs.add(spec)
        asked.update([key] if key else [])
    return Need(results, _all_behind(keys | asked, store), frozenset(asked), running, frozenset(specs))


def _read_by(manifest: Manifest) -> Iterator[str]:
    for keys in (manifest.run.get("input_keys") or {}).values():
        yield from filter(None, keys)


def _all_behind(keys: set[str], store: Store) -> frozenset[str]:
    """``keys``, and those of all that they were made of, as far as the store knows."""
    found, waiting = set(keys), list(keys)
    while waiting:
        key = waiting.pop()
        manifest = store.manifest(key)
        if manifest is not None:
            check_run(manifest, store.entry(key) / MANIFEST)
        for read in _read_by(manifest) if manifest is not None else ():
            if read not in found:
                found.add(read)
                waiting.append(read)
    return frozenset(found)


def _requested(results: Path, store: Store) -> Iterator[tuple[str, str | None]]:
    """(digest of the spec, key) of each artifact that the last run asked for.

    There is no key where something that it reads is neither there nor in ``store``.
    """
    requests = [load_request(path) for path in request_paths(results)]
    folder = _named([output.path for request in requests for output in request.outputs], results)
    items = [(request, item, output) for request in requests for item, output in _items(request)]
    made = {each[2].path: each for each in items}
    contents: dict[Path, str | None] = {}

    def content(path: Path) -> str | None:
        if path not in contents:
            try:
                contents[path] = load_manifest(results / path.relative_to(folder)).content
            except (PrimumError, ValueError):
                contents[path] = None  # also while it is looked for: nothing is made of itself
                key = asked_key(*made[path])[1] if path in made else None
                manifest = store.manifest(key) if key else None
                contents[path] = manifest.content if manifest is not None else None
        return contents[path]

    def asked_key(request: Request, spec: dict[str, Any], output: Asked) -> tuple[str, str | None]:
        read = {role: [content(path) for path in paths] for role, paths in {**request.inputs, **output.inputs}.items()}
        known = {role: [each for each in found if each is not None] for role, found in read.items()}
        return digest(spec), artifact_key(spec, known) if known == read else None

    return (asked_key(*each) for each in items)


def _items(request: Request) -> Iterator[tuple[dict[str, Any], Asked]]:
    """The spec of each artifact that a request asks for, and what it says of it besides."""
    spec = json.loads(request.spec)
    for (_, item), output in zip(spec["items"], request.outputs, strict=True):
        yield item_spec(spec, item), output


def _named(paths: Sequence[Path], results: Path) -> Path:
    """The folder ``results`` as a run named it, from the folder that it ran in: it is around all of its artifacts."""
    around = Path(os.path.commonpath(paths)) if paths else results
    return next((each for each in (around, *around.parents) if each.name == results.resolve().name), results)


def _is_running(results: Path) -> bool:
    """Whether a run has claimed the folder: it holds a lock on this file as long as it lives."""
    try:
        with regular(results / CLAIM).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or not to be read: then nobody can tell
        return True
    return False
