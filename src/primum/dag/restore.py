"""Before the first job: what the store has is put in its place, so that no job is started, or submitted, to fetch it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from primum.artifact.manifest import Manifest, data_path, save_manifest
from primum.artifact.private import tighten
from primum.artifact.publish import took
from primum.artifact.request import Asked
from primum.artifact.store import Store
from primum.dag.state import RunState
from primum.dag.workflow import Workflow
from primum.progress import Progress

# A job with more is left to run, so that it verifies what it takes on a node of the cluster, not where people log in.
_LARGEST = 1 << 30
_SILENT = 5.0  # seconds, after which it is said how far it is


def restore(run: Workflow, state: RunState) -> list[str]:
    """Publish what the store has, verified, in the order of the DAG, and say how much that was.

    Returns the manifests that are new. What turns out to be damaged is dropped from the store, and its job left to run.
    """
    store, progress = Store(Path(run.store)), Progress("store")
    jobs = [job for job in state.jobs if job.stored]
    taken: list[str] = []
    restamped = [
        _rewrite(Path(path), replace(state.known[path], job=job.job.spec)) for job in state.jobs for path in job.restamp
    ]
    began = time.monotonic()
    for done, job in enumerate(jobs, 1):
        found = _whole(store, [state.known[path] for path in job.stored])
        sensitive = {output.path: output.sensitive for output in job.job.plan.outputs}
        there = [
            took(store, manifest, job.job.spec, Asked(Path(path), sensitive=sensitive[path]))
            for path, manifest in zip(job.stored, found, strict=False)
        ]
        if there and all(there):
            # What a benchmark file measured is no longer here, and its time would count as an output's.
            Path(run.benchmark(job.job.stage.name, job.job.name)).unlink(missing_ok=True)
            taken += job.stored
        if time.monotonic() - began > _SILENT:
            progress.update("jobs that it has", done, len(jobs))
    if taken:
        progress.say(f"{len(taken)} artifacts taken from {store.root}, none of which is computed again")
    return [*restamped, *taken]


def mark(run: Workflow, state: RunState) -> None:
    """Close to other users what is sensitive and was made before it was marked, or opened since; and mark what is not yet."""
    store = Store(Path(run.store))
    for job in state.jobs:
        for output in job.job.plan.outputs:
            path = Path(output.path)
            # What is not up to date is made again, and what the store has is published with its mark.
            made = state.known.get(output.path) if output.path not in job.stored and path.exists() else None
            if made is not None and (made.sensitive is None or output.sensitive > made.sensitive):
                _rewrite(path, replace(made, sensitive=output.sensitive))
                entry = store.manifest(made.key) if output.sensitive else None
                if entry is not None:
                    store.mark(entry)
            if output.sensitive:
                tighten(data_path(path, job.job.stage.kind))


def _rewrite(path: Path, manifest: Manifest) -> str:
    """Name today's job, or the mark, in a manifest that is right otherwise; its time stays, since nothing that it says is new."""
    status = path.stat()
    save_manifest(manifest, path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return str(path)


def _whole(store: Store, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The entries of one job, verified; none when one is damaged or they are large."""
    size = sum(path.stat().st_size for each in manifests for path in store.entry(each.key).rglob("*"))
    found = [store.find(each.key) for each in manifests] if size <= _LARGEST else []
    whole = [each for each in found if each is not None]
    return whole if len(whole) == len(manifests) else []
