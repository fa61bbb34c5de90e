"""Before the first job: what the store has is put in its place, so that no job is started, or submitted, to fetch it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from primum.artifact.job import publish
from primum.artifact.manifest import Manifest
from primum.artifact.store import Store
from primum.dag.state import state_of
from primum.dag.workflow import Workflow
from primum.progress import Progress

# A job with more is left to run, so that it verifies what it takes on a node of the cluster, not where people log in.
_LARGEST = 1 << 30
_SILENT = 5.0  # seconds, after which it is said how far it is


def restore(run: Workflow) -> list[str]:
    """Publish the outputs of every job that the store has them all of, verified, in the order of the DAG; say how many.

    Returns the manifests put in place. What turns out to be damaged is dropped from the store, and its job left to run.
    """
    store, progress = Store(Path(run.store)), Progress("store")
    state = state_of(run)
    outputs = {(stage, name): paths for stage, name, paths in run.jobs()}
    stored = [job for job in state.jobs if job.state == "stored"]
    taken: list[str] = []
    began = time.monotonic()
    for done, job in enumerate(stored, 1):
        paths = outputs[job.stage, job.name]
        found = _whole(store, [state.known[path] for path in paths])
        for path, manifest in zip(paths, found, strict=False):
            publish(store, manifest, run.plan.spec(job.stage, job.name), Path(path), taken=True)
        if found:
            # What a benchmark file measured is no longer here, and its time would count as an output's.
            Path(run.layout.benchmark(job.stage, job.name)).unlink(missing_ok=True)
            taken += paths
        if time.monotonic() - began > _SILENT:
            progress.update("jobs that it has", done, len(stored))
    if taken:
        progress.say(f"{len(taken)} artifacts taken from {store.root}, none of which is computed again")
    return taken


def _whole(store: Store, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The entries of one job, verified; none when one is damaged or they are large."""
    size = sum(path.stat().st_size for each in manifests for path in store.entry(each.key).rglob("*"))
    found = [store.find(each.key) for each in manifests] if size <= _LARGEST else []
    whole = [each for each in found if each is not None]
    return whole if len(whole) == len(manifests) else []
