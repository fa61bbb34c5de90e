"""What every job of a run would find: its artifacts up to date in the results folder, in the store, or not yet made.

The inputs of a job and its spec make its artifacts' keys, so the answer follows the chain of jobs: where all inputs of an
artifact are known its key is, and what the store has under it tells the keys of the jobs that read it. Behind an artifact
that must be made nothing is known, and everything counts as to be made, although some of it may turn out to be in the store.
So does what is missing although what was made of it is there, which Snakemake leaves alone as long as its spec is the same.

Manifests are read and data is not: whether that is whole is looked at by the job that takes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from primum.artifact.folder import MANIFEST
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.store import Store
from primum.dag.inputs import inputs_of
from primum.dag.refresh import is_refreshed
from primum.dag.stages import STAGES
from primum.dag.workflow import Workflow
from primum.errors import PrimumError

State = Literal["up to date", "stored", "to run"]


@dataclass(frozen=True, slots=True)
class JobState:
    """One job, as ``Workflow.jobs`` names it; ``missing`` are the manifests that it must make itself."""

    stage: str
    name: str
    state: State
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunState:
    """Every job, and the manifests (by their path in the results folder) of all that is there or in the store."""

    jobs: tuple[JobState, ...]
    known: Mapping[str, Manifest]


def state_of(run: Workflow) -> RunState:
    """The state of every job of ``run``; what its ``refresh`` asks for is to be made, whatever there is."""
    store = Store(Path(run.store))
    known: dict[str, Manifest] = {}
    fresh: set[str] = set()
    states = []
    for stage, name, outputs in run.jobs():
        inputs = inputs_of(run, stage, name)
        spec = run.plan.spec(stage, name)
        refreshed = is_refreshed(stage, [Path(output) for output in outputs], run.refresh)
        keys = [None] * len(outputs) if refreshed else _keys(stage, json.loads(spec), inputs, known)
        made = [_made(Path(output), key, spec) for output, key in zip(outputs, keys, strict=True)]
        # When an input was made or taken anew Snakemake starts the job again, and only the store saves its work.
        if all(made) and all(path in fresh for paths in inputs.values() for path in paths):
            fresh.update(outputs)
            found = made
        else:
            found = [_stored(store, key) for key in keys]
        known.update({output: manifest for output, manifest in zip(outputs, found, strict=True) if manifest})
        missing = tuple(output for output in outputs if output not in known)
        state: State = "to run" if missing else "up to date" if outputs[0] in fresh else "stored"
        states.append(JobState(stage, name, state, missing))
    return RunState(tuple(states), known)


def _keys(
    stage: str, spec: Mapping[str, Any], inputs: Mapping[str, Sequence[str]], known: Mapping[str, Manifest]
) -> list[str | None]:
    """The key of each item of a job, None where an input of the item is not known (see ``primum.artifact.job``)."""
    keys: list[str | None] = []
    for index, (_, item) in enumerate(spec["items"]):
        per_item = STAGES[stage].per_item
        own = {role: [paths[index]] if role in per_item else list(paths) for role, paths in inputs.items()}
        if all(path in known for paths in own.values() for path in paths):
            contents = {role: [known[path].content for path in paths] for role, paths in own.items()}
            keys.append(artifact_key(item_spec(spec, item), contents))
        else:
            keys.append(None)
    return keys


def _made(path: Path, key: str | None, spec: str) -> Manifest | None:
    """The artifact in the results folder, if it is of this key and made for this spec.

    Its manifest alone, as in the rules: a table that is lost beside it comes back from the store when it is read.
    """
    manifest = _load(path) if key else None
    return manifest if manifest and manifest.key == key and manifest.job == spec else None


def _stored(store: Store, key: str | None) -> Manifest | None:
    manifest = _load(store.entry(key) / MANIFEST) if key else None
    return manifest if manifest and manifest.key == key else None


def _load(path: Path) -> Manifest | None:
    if not path.exists():
        return None
    try:
        return load_manifest(path)
    except PrimumError:
        return None
