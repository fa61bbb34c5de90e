"""``primum why``: why the jobs of an experiment would run now, down to the setting, function, library or file that changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from primum.artifact.graph import manifest_paths
from primum.artifact.manifest import Manifest, load_manifest
from primum.artifact.store import Store
from primum.audit.differences import Piece, adoptable_jobs, pieces, todays_modules
from primum.dag.dag import Job
from primum.dag.refresh import refreshed
from primum.dag.state import state_of
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.trace.causes import Cause, Causes, Making, Read, made
from primum.trace.settings import Settings

_NEVER = "nothing like it was made before"


@dataclass(frozen=True, slots=True)
class Needed:
    """An artifact that must be made, ``name`` in the results: for ``causes`` of its own, or ``after`` others that it reads."""

    job: Job
    path: str
    name: str
    causes: tuple[Cause, ...]
    after: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    """One first cause: the artifacts that it changes itself, and those that are made again behind them, in the DAG's order.

    ``names`` are all that one line gives a setting to.
    """

    cause: Cause
    names: dict[str, None] = field(default_factory=dict)
    own: list[Needed] = field(default_factory=list)
    behind: list[Needed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Why:
    """Everything that must be made, in the order of the DAG, and by what causes it."""

    run: Workflow
    needed: Sequence[Needed]
    groups: Sequence[Group]
    adoptable: int

    @property
    def waiting(self) -> list[Job]:
        """The jobs that would run."""
        return list(dict.fromkeys(each.job for each in self.needed))


def find_why(run: Workflow, root: Path, experiment: str) -> Why:
    """Why each job of ``experiment`` (a name or a path) that would run now does. Manifests and code are read, data is not."""
    state = state_of(run)
    missing = {path for each in state.jobs for path in each.missing}
    if not missing:
        return Why(run, [], [], 0)
    found = pieces(run, state)
    store = Store(Path(run.store))
    names = {manifest.key: _name(run, path) for path, manifest in state.known.items()}
    here = cache(lambda: {key: _name(run, str(path)) for path, key in _keys_in(Path(run.dag.results))})

    @cache
    def find(key: str, content: str) -> tuple[str, Manifest | None]:
        return names.get(key) or here().get(key, ""), store.manifest(key) if key else None

    causes = Causes(root, lambda: Settings.of(experiment, root), find)
    modules: dict[str, dict[str, str]] = {}
    needed = []
    for piece in found:
        if piece.output in missing:
            stage = piece.job.stage.name
            if stage not in modules:
                modules[stage] = todays_modules(piece.job, json.loads(piece.job.spec))
            needed.append(_needed(run, piece, causes, modules[stage], missing))
    return Why(run, needed, _groups(needed), len(list(adoptable_jobs(found))))


def _keys_in(results: Path) -> Iterator[tuple[Path, str]]:
    """The manifests that a folder has, planned or not, with their keys."""
    for path in manifest_paths(results) if results.is_dir() else ():
        with suppress(PrimumError):  # what is damaged is told where it is needed
            yield path, load_manifest(path).key


def _name(run: Workflow, path: str) -> str:
    """``models/sft`` of ``results/demo/models/sft/manifest.json``."""
    return path.removeprefix(f"{run.dag.results}/").removesuffix(".json").removesuffix("/manifest")


def _needed(run: Workflow, piece: Piece, causes: Causes, modules: Mapping[str, str], missing: set[str]) -> Needed:
    name = _name(run, piece.output)
    paths = piece.job.plan.inputs_of(piece.made)
    after = tuple(path for role in paths.values() for path in role if path in missing)
    before = piece.recorded or piece.before
    own: tuple[Cause, ...] = ()
    if before is not None and piece.spec is not None:
        own = causes.between(name, made(before, causes.find), _today(run, piece, modules, paths))
    elif piece.verdict == "new":
        damaged = ": damaged" in piece.reason or "or damaged" in piece.reason
        own = (Cause("damaged", name, "its manifest is damaged") if damaged else Cause("missing", "", _NEVER),)
    if not own and not after:
        own = (Cause("other", name, piece.reason or "is not here, and not in the store"),)
    return Needed(piece.job, piece.output, name, own, after)


def _today(run: Workflow, piece: Piece, modules: Mapping[str, str], paths: Mapping[str, Sequence[str]]) -> Making:
    """The making that is planned. What it would read is known where none of it must be made first."""
    reads = None
    if piece.read is not None:
        reads = [
            Read(role, manifest.content, _name(run, path), manifest)
            for role, manifests in piece.read.items()
            for path, manifest in zip(paths[role], manifests, strict=True)
        ]
    return Making(piece.spec or {}, modules, reads=reads)


def _groups(needed: Sequence[Needed]) -> list[Group]:
    """By first cause, in the order in which the DAG meets them; a cause of many artifacts is one group."""
    groups: dict[Any, Group] = {}
    roots: dict[str, dict[Any, None]] = {}
    for each in needed:
        own = {_identity(root): root for cause in each.causes for root in cause.roots}
        behind = {key for path in each.after for key in roots.get(path, ())}
        for key, root in own.items():
            group = groups.setdefault(key, Group(root))
            group.own.append(each)
            group.names[root.name] = None
        for key in behind - own.keys():
            groups[key].behind.append(each)
        roots[each.path] = dict.fromkeys([*own, *behind])
    return list(groups.values())


def _identity(cause: Cause) -> tuple[str, ...]:
    """The same for the same line of an experiment: an anchor or a grid gives a setting to many models."""
    if cause.kind == "setting" and cause.place:
        return cause.kind, cause.place, cause.name.rpartition(".")[2], cause.change
    return cause.kind, cause.place if cause.kind == "code" else "", cause.name, cause.change


def asked_paths(run: Workflow, job: Job, asked: str) -> list[str]:
    """The artifacts of a job that ``asked`` names: ``all``, as ``refresh`` has it, or one by its name in the results."""
    named = refreshed(job, asked)
    outputs = job.plan.outputs
    return [each.path for each in outputs if asked in ("all", _name(run, each.path)) or each.name in named]


def as_json(found: Why, asked: str = "all") -> dict[str, Any]:
    """``causes``, and what must be made of the jobs ``asked`` for, each with the numbers of its own and of others' causes."""
    artifacts = [
        {
            "job": f"{each.job.stage.name}:{each.job.name}",
            "artifact": each.name,
            "own": [n for n, group in enumerate(found.groups) if each in group.own],
            "behind": [n for n, group in enumerate(found.groups) if each in group.behind],
        }
        for each in found.needed
        if each.path in asked_paths(found.run, each.job, asked)
    ]
    causes = [{**group.cause.as_json(), "names": list(group.names)} for group in found.groups]
    return {
        "experiment": found.run.experiment.name,
        "jobs": len(found.run.dag.jobs),
        "would_run": len(found.waiting),
        "adoptable": found.adoptable,
        "causes": causes,
        "artifacts": artifacts,
    }
