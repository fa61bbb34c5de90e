"""What every job of a run would find: its artifacts up to date in the results folder, in the store, or not yet made.

The inputs of a job and its spec make its artifacts' keys, so the answer follows the chain of jobs: where all inputs of an
artifact are known its key is, and what the store has under it tells the keys of the jobs that read it. Behind an artifact
that must be made nothing is known, and everything counts as to be made, although some of it may turn out to be in the store.
So does what is missing although what was made of it is there, which Snakemake leaves alone as long as its spec is the same.

Manifests are read and data is not: whether that is whole is looked at by the job that takes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from primum.artifact.folder import MANIFEST
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.store import Store
from primum.dag.dag import Job, parquet
from primum.dag.refresh import refreshed
from primum.dag.stage import Output
from primum.dag.workflow import Workflow
from primum.errors import PrimumError

State = Literal["up to date", "stored", "to run"]


@dataclass(frozen=True, slots=True)
class JobState:
    """``missing`` are the manifests that the job must make itself, ``stored`` those that it would take from the store.

    ``restamp`` are those in place that are right, but name another job: one that made other artifacts beside them.
    """

    job: Job
    state: State
    missing: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    restamp: tuple[str, ...] = ()

    @property
    def current(self) -> bool:
        """Whether there is nothing to do, not even to bring back a table that was lost beside its manifest."""
        if self.state != "up to date" or self.restamp:
            return False
        return self.job.stage.kind == "folder" or all(Path(parquet(path)).exists() for path in self.job.paths)

    @property
    def stage(self) -> str:
        return self.job.stage.name

    @property
    def target(self) -> str:
        return self.job.stage.target

    @property
    def name(self) -> str:
        return self.job.name


@dataclass(frozen=True, slots=True)
class RunState:
    """Every job, in an order in which they can run.

    ``known`` are the manifests (by their path in the results folder) of all that is there or in the store, ``stale`` the
    paths of those that are there but are not what today's experiment, code and data make.
    """

    jobs: tuple[JobState, ...]
    known: Mapping[str, Manifest]
    stale: frozenset[str]


def state_of(run: Workflow) -> RunState:
    """The state of every job of ``run``; what its ``refresh`` asks for is to be made, whatever there is."""
    store = Store(Path(run.store))
    known: dict[str, Manifest] = {}
    stale: set[str] = set()
    states = []
    for job in run.dag.jobs:
        again = refreshed(job, run.refresh)
        spec = json.loads(job.spec)
        missing, stored, restamp = [], [], []
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            path = output.path
            key = None if output.name in again else _key(job, output, item_spec(spec, item), known)
            there = Path(path).exists()
            made = _load(Path(path)) if there else None
            if made is not None and key is not None and made.key == key:
                known[path] = made
                if made.job != job.spec:
                    restamp.append(path)
                    stale.add(path)
                continue
            # Where the key is not known, what is behind something that must be made, Snakemake sees that by itself.
            if there and (key is not None or output.name in again or made is None or made.job != job.spec):
                stale.add(path)
            if key is not None and (found := _stored(store, key)) is not None:
                known[path] = found
                stored.append(path)
            else:
                missing.append(path)
        state: State = "to run" if missing else "stored" if stored else "up to date"
        states.append(JobState(job, state, tuple(missing), tuple(stored), tuple(restamp)))
    return RunState(tuple(states), known, frozenset(stale))


def _key(job: Job, output: Output, spec: dict[str, Any], known: Mapping[str, Manifest]) -> str | None:
    """The key of an artifact, None where an input of it is not known (see ``primum.artifact.job``)."""
    inputs = {role: paths for role, paths in {**job.plan.inputs, **output.inputs}.items() if paths}
    if not all(path in known for paths in inputs.values() for path in paths):
        return None
    return artifact_key(spec, {role: [known[path].content for path in paths] for role, paths in inputs.items()})


def _stored(store: Store, key: str) -> Manifest | None:
    manifest = _load(store.entry(key) / MANIFEST)
    return manifest if manifest and manifest.key == key else None


def _load(path: Path) -> Manifest | None:
    if not path.exists():
        return None
    try:
        return load_manifest(path)
    except PrimumError:
        return None
