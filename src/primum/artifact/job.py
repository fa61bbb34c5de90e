"""One job: what it was asked for, what the store already has, and the publication of the rest.

A rule's spec is ``{"stage", "code", "libraries", "common", "items"}``, its items a list of (name, slice of the spec): each
becomes one artifact. The inputs of an item are manifests by role: those that all items read, and its own.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.artifact.canonical import canonical_json
from primum.artifact.folder import file_sha256
from primum.artifact.libraries import check_libraries
from primum.artifact.manifest import Artifact, Manifest, artifact_key, measure
from primum.artifact.private import private_file, private_folder, tighten
from primum.artifact.publish import publish, restore, took
from primum.artifact.request import Asked, Inputs, Request
from primum.artifact.store import table_file
from primum.artifact.table import write_table
from primum.artifact.work import failed_in
from primum.errors import PrimumError
from primum.progress import Progress


@dataclass(frozen=True, slots=True)
class Item:
    """One artifact to make: its slice of the spec, the artifacts it reads, and an undeclared folder for checkpoints."""

    name: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Sequence[Artifact]]
    key: str
    work: Path

    def one(self, role: str) -> Artifact:
        """The single artifact of a role."""
        artifacts = self.inputs.get(role, ())
        if len(artifacts) != 1:
            raise PrimumError(f"{self.name}: expected one artifact as {role!r}, got {len(artifacts)}")
        return artifacts[0]


@dataclass(frozen=True, slots=True)
class Devices:
    """What a training runs on: ``processes``, one a GPU, as many on each of ``nodes``, which share the model between them.

    ``activation_checkpointing`` computes activations again in the backward pass instead of keeping them, ``cpu_offload`` keeps
    weights and optimizer in the nodes' memory. None of it changes a result by more than the order of sums: it is in no spec.
    """

    nodes: int = 1
    processes: int = 1
    activation_checkpointing: bool = False
    cpu_offload: bool = False


ALONE = Devices()


@dataclass(frozen=True, slots=True)
class Result:
    """What a stage made of an item: a table or a folder, with its counts (content) and its cost (run).

    A table that is too large for the memory is given as its ``parts``, which are written one after another; an error among them
    leaves nothing behind.
    """

    item: Item
    table: pa.Table | None = None
    parts: Iterable[pa.Table] | None = None
    folder: Path | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage's ``run(job)`` gets: the common spec, the items that the store does not have, and a progress line."""

    stage: str
    common: Mapping[str, Any]
    items: Sequence[Item]
    progress: Progress
    devices: Devices = ALONE


Run = Callable[[Job], Iterator[Result]]


def execute(
    request: Request,
    load: Callable[[], Run],
    progress: Progress,
    modules: Callable[[], Mapping[str, str]] = dict,
    environment: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Make every output of ``request``: from the store where it can, else by ``load()``'s function.

    ``load`` is called only when something is to be computed, so that a job the store can satisfy imports nothing heavy.
    ``modules`` tells the digest of each module of the code, for the manifest; it is asked when something is computed, and
    ``environment``, which tells who makes it and on what, when a result is there.
    Each artifact is published as soon as it is done. Raises PrimumError when a stage leaves an item out.
    """
    spec = json.loads(request.spec)
    pending = _take(request, _items(spec, request), progress)
    if not pending:
        return
    check_libraries(spec["libraries"])
    with ExitStack() as locks:
        # In key order, so that two jobs that share items cannot wait for each other; once a key, or a job with two equal
        # items would wait for itself.
        for _, item in sorted({item.key: item for item, _ in pending.values()}.items()):
            locks.enter_context(request.store.lock(item.key, _waiting(item.name, progress)))
        pending = _take(request, list(pending.values()), progress)
        if pending:
            _compute(request, spec, pending, load, progress, modules(), environment)


def _waiting(name: str, progress: Progress) -> Callable[[], None]:
    def say() -> None:
        progress.say(f"{name}: waiting for its maker")

    return say


def _take(request: Request, items: Sequence[tuple[Item, Asked]], progress: Progress) -> dict[str, tuple[Item, Asked]]:
    """Publish what the store has; return the rest by name."""
    pending = {}
    for item, asked in items:
        found = None if item.name in request.refresh else request.store.find(item.key)
        if found is None or not took(request.store, found, request.spec, asked):
            pending[item.name] = (item, asked)
        else:
            progress.say(f"{item.name}: taken from the store ({item.key[:12]})")
    return pending


def _compute(
    request: Request,
    spec: Mapping[str, Any],
    pending: dict[str, tuple[Item, Asked]],
    load: Callable[[], Run],
    progress: Progress,
    modules: Mapping[str, str],
    environment: Callable[[], Mapping[str, Any]],
) -> None:
    # Equal items (the same question to the same data under two names) are made once, and published under each name.
    items = {item.key: item for item, _ in reversed(pending.values())}
    common = spec["common"]
    if request.batch:
        common = {**common, "engine": {**common["engine"], "batch": True}}
    job = Job(spec["stage"], common, list(reversed(items.values())), progress)
    request.store.folder("work")
    for item in job.items:
        # Journals, checkpoints and what is sorted on the disk: nobody else is to read, or to put there what is then loaded.
        private_folder(item.work)
    started = time.time()
    try:
        for result in load()(job):
            item = result.item
            refreshed = item.name in request.refresh
            before = request.store.find(item.key) if refreshed else None
            failed = failed_in(item.work)
            run = {
                **environment(),
                "modules": dict(modules),
                "seconds": round(time.time() - started, 3),
                **({"failed": failed} if failed else {}),
            }
            names = [name for name, (each, _) in pending.items() if each.key == item.key]
            manifest = _store(request, spec, result, run, any(pending[name][1].sensitive for name in names))
            for name in names:
                publish(request.store, manifest, request.spec, pending.pop(name)[1], taken=False)
            if failed:
                progress.say(f"{item.name}: {failed:,} requests failed: --config refresh=failed asks for them alone")
            else:
                shutil.rmtree(item.work, ignore_errors=True)
            if refreshed:
                verdict = "new" if before is None else "the same" if before.content == manifest.content else "DIFFERENT"
                progress.say(f"{item.name}: refreshed, content is {verdict} ({manifest.content[:12]})")
            started = time.time()
    finally:
        for item in job.items:
            with suppress(OSError):  # is there and in use, or gone
                item.work.rmdir()
    if pending:
        raise PrimumError(f"{spec['stage']}: made nothing for {', '.join(pending)}")


def _items(spec: Mapping[str, Any], request: Request) -> list[tuple[Item, Asked]]:
    if len(spec["items"]) != len(request.outputs):
        raise PrimumError(f"{spec['stage']}: {len(spec['items'])} items but {len(request.outputs)} outputs")
    opened: dict[Path, Artifact] = {}

    def artifact(path: Path) -> Artifact:
        if path not in opened:
            opened[path] = Artifact.open(path)
            restore(request.store, opened[path])
        return opened[path]

    def artifacts(inputs: Inputs) -> dict[str, list[Artifact]]:
        return {role: [artifact(path) for path in paths] for role, paths in inputs.items()}

    shared = artifacts(request.inputs)
    items = []
    for (name, item), output in zip(spec["items"], request.outputs, strict=True):
        inputs = {**shared, **artifacts(output.inputs)}
        key = artifact_key(
            item_spec(spec, item), {role: [a.manifest.content for a in read] for role, read in inputs.items()}
        )
        items.append((Item(name, item, inputs, key, request.store.work(key)), output))
    return items


def item_spec(spec: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """What one artifact depends on: everything in the spec but the other items, and not its own name."""
    shared = {key: spec[key] for key in ("stage", "code", "libraries", "common")}
    return {**shared, "item": item}


def _store(
    request: Request, spec: Mapping[str, Any], result: Result, run: Mapping[str, Any], sensitive: bool
) -> Manifest:
    item = result.item
    filled = request.store.new_folder(private=sensitive)
    try:
        files: dict[str, str] = {}
        written = {}
        rows = result.parts if result.table is None else result.table
        if rows is not None:
            # The spec's own hash is in the file, so that a Parquet file alone can be traced.
            footer = {"spec": canonical_json(item_spec(spec, item.spec)), "key": item.key, "schema_version": "1"}
            if sensitive:
                private_file(table_file(filled))
            content = write_table(rows, table_file(filled), footer)
            # The rows' hash and the pages' checksums leave out how a page begins, and the footer.
            written = {"sha256": file_sha256(table_file(filled))}
        elif result.folder is not None:
            filled.rmdir()
            if sensitive:
                tighten(result.folder)
            shutil.move(result.folder, filled)
            content, files = measure(filled, "folder")
        else:
            raise PrimumError(f"{item.name}: the stage returned neither a table nor a folder")
        manifest = Manifest(
            kind=request.kind,
            stage=spec["stage"],
            spec=item_spec(spec, item.spec),
            inputs={role: [a.manifest.content for a in files_] for role, files_ in item.inputs.items()},
            key=item.key,
            content=content,
            counts=dict(result.counts),
            files=files,
            sensitive=sensitive,
            run={
                **run,
                **written,
                "cost": dict(result.cost),
                # The keys of what was read: so much is known of an input even when it is lost.
                "input_keys": {role: [a.manifest.key for a in files_] for role, files_ in item.inputs.items()},
            },
        )
        return (
            request.store.replace(filled, manifest)
            if item.name in request.refresh
            else request.store.add(filled, manifest)
        )
    except OSError as error:
        raise PrimumError(f"{item.name}: cannot be written to {request.store.root}: {error.strerror}") from None
    finally:
        shutil.rmtree(filled, ignore_errors=True)
