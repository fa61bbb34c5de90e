"""What every job of a run would find: its artifacts up to date in the results folder, in the store, or not yet made.

The inputs of a job and its spec make its artifacts' keys, so the answer follows the chain of jobs: where all inputs of an
artifact are known its key is, and what the store has under it tells the keys of the jobs that read it. Behind an artifact
that must be made nothing is known, and everything counts as to be made, although some of it may turn out to be in the store.

An artifact that is lost, from the results and from the store, is missed only where something that reads it must be made. What was
made of it may be right all the same: its manifest names the keys of what it read, and the lost one's key is known.

Manifests are read and data is not: whether that is whole is looked at by the job that takes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.store import Store
from primum.dag.dag import Job, parquet
from primum.dag.refresh import refreshed
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
        return all(_has_data(self.job, path) for path in self.job.paths)

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
    paths of those that are there but are not what today's experiment, code and data make, ``wanted`` those of all that must
    be made for the tables and the report, and ``unread`` those of them that no job reads.
    """

    jobs: tuple[JobState, ...]
    known: Mapping[str, Manifest]
    stale: frozenset[str]
    wanted: frozenset[str]
    unread: frozenset[str]


def state_of(run: Workflow) -> RunState:
    """The state of every job of ``run``; what its ``refresh`` asks for is to be made, whatever there is."""
    store = Store(Path(run.store))
    known: dict[str, Manifest] = {}
    keys: dict[str, str] = {}  # of what is known, and of what is lost
    stale: set[str] = set()
    states = []
    for job in run.dag.jobs:
        again = refreshed(job, run.refresh)
        spec = json.loads(job.spec)
        missing, stored, restamp, here = [], [], [], []
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            path, inputs = output.path, job.plan.inputs_of(output)
            there = Path(path).exists()
            made = _load(Path(path)) if there else None
            asked, key = item_spec(spec, item), None
            if output.name not in again:
                key = _key(asked, inputs, known)
                if key is None and made is not None and made.spec == asked and _was_made_of(made, inputs, known, keys):
                    key = made.key
            # Known, or lost. What is there and is not right must be made, so that nobody may count on it.
            if key is not None and (not there or (made is not None and made.key == key)):
                keys[path] = key
            if made is not None and key is not None and made.key == key:
                known[path] = made
                if not _has_data(job, path) and store.manifest(key) is not None:
                    stored.append(path)  # which restores its table
                    continue
                here.append(path)
                if made.job != job.spec:
                    restamp.append(path)
                    stale.add(path)
                continue
            if there and (key is not None or output.name in again or made is None or made.job != job.spec):
                stale.add(path)
            if key is not None and (found := store.manifest(key)) is not None:
                known[path] = found
                stored.append(path)
            else:
                missing.append(path)
        if missing:  # the job will run, and take from the store what it has beside what it makes
            for path in here:
                found = store.manifest(known[path].key)
                if found is not None and found.content != known[path].content:
                    known[path] = found
                    stored.append(path)
        state: State = "to run" if missing else "stored" if stored else "up to date"
        states.append(JobState(job, state, tuple(missing), tuple(stored), tuple(restamp)))
    read = frozenset(path for state in states for path in state.job.plan.read)
    wanted = _wanted(states, read)
    return RunState(tuple(states), known, frozenset(stale), wanted, wanted - read)


def _has_data(job: Job, path: str) -> bool:
    """Whether a table is there beside its manifest; a folder's manifest lies in it."""
    return job.stage.kind == "folder" or Path(parquet(path)).exists()


def _wanted(states: Sequence[JobState], read: Set[str]) -> frozenset[str]:
    """What must be made: what nothing reads, and what is read by what must be made. A job makes all that it misses."""
    wanted: set[str] = set()
    found: set[str] = set()
    for state in reversed(states):
        missing = set(state.missing)
        if missing & wanted or missing - read:
            found |= missing
            for output in state.job.plan.outputs:
                if output.path in missing:
                    wanted.update(path for paths in state.job.plan.inputs_of(output).values() for path in paths)
    return frozenset(found)


def _key(spec: dict[str, Any], inputs: Mapping[str, Sequence[str]], known: Mapping[str, Manifest]) -> str | None:
    """The key of an artifact, None where an input of it is not known (see ``primum.artifact.job``)."""
    if not all(path in known for paths in inputs.values() for path in paths):
        return None
    return artifact_key(spec, {role: [known[path].content for path in paths] for role, paths in inputs.items()})


def _was_made_of(
    made: Manifest, inputs: Mapping[str, Sequence[str]], known: Mapping[str, Manifest], keys: Mapping[str, str]
) -> bool:
    """Whether an artifact read what has these keys today: the same content of what is known, whatever is lost."""
    recorded = made.run.get("input_keys")
    contents = {
        role: [known[path].content if path in known else None for path in paths] for role, paths in inputs.items()
    }
    same = made.inputs.keys() == contents.keys() and all(
        now is None or now == then
        for role, all_ in contents.items()
        for now, then in zip(all_, made.inputs[role], strict=False)
    )
    return same and recorded == {role: [keys.get(path) for path in paths] for role, paths in inputs.items()}


def _load(path: Path) -> Manifest | None:
    if not path.exists():
        return None
    try:
        return load_manifest(path)
    except PrimumError:
        return None
