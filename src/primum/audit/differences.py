"""What of a run must be made again, and why: for another question, or only because its code or its libraries changed.

An artifact can be adopted when one that is recorded, in the results folder or in the store, was asked the same and read the
same content, and differs in ``code`` and ``libraries`` alone. The answer follows the chain of jobs: what can be adopted counts as
if it were there, so that what reads it can be told as well.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import primum
from primum.artifact.canonical import digest
from primum.artifact.code import recorded_digests
from primum.artifact.folder import MANIFEST
from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest
from primum.artifact.store import Store
from primum.dag.dag import Job
from primum.dag.refresh import refreshed
from primum.dag.stage import Output
from primum.dag.state import RunState
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.reading import regular

_VERSIONS = ("code", "libraries")
_LONGEST = 40
NOT_THERE = "not there"
# What is a name, a number or a path, and no words of anybody.
_NAME = re.compile(r"[\w./:@+-]*")
_UNREADABLE = "what it reads must be made"


@dataclass(frozen=True, slots=True)
class Piece:
    """One artifact of a run, the output ``made`` of ``job``.

    ``here``: it is under today's ``key``, or the results folder has it. ``adoptable``: ``recorded`` differs from today's
    ``spec`` in code and libraries alone. ``new``: it must be made, for the ``reason`` given. ``asked``: by ``refresh``.
    ``before`` is what the results folder has in its place, ``read`` what it would read today, by role, where all of it is known.
    """

    job: Job
    made: Output
    verdict: Literal["here", "adoptable", "new", "asked"]
    reason: str = ""
    key: str = ""
    spec: Mapping[str, Any] | None = None
    recorded: Manifest | None = None
    before: Manifest | None = None
    read: Mapping[str, Sequence[Manifest]] | None = None

    @property
    def output(self) -> str:
        """Its manifest's path."""
        return self.made.path

    def is_asked(self, asked: str) -> bool:
        """Whether ``asked`` (``all``, or as ``refresh`` has it) names this artifact."""
        return asked == "all" or self.made.name in refreshed(self.job, asked)


def pieces(run: Workflow, state: RunState) -> list[Piece]:
    """Every artifact of the run, which is in that state, in the order of the DAG."""
    recorded = _Recorded(Store(Path(run.store)))
    # What is there, or would be if all that can be adopted were.
    known: dict[str, Manifest] = {}
    # Why the others are not.
    reasons: dict[str, str] = {}
    found: list[Piece] = []
    for each in state.jobs:
        job = each.job
        if each.state != "to run":
            known.update({path: state.known[path] for path in job.paths})
            found += [Piece(job, made, "here", key=state.known[made.path].key) for made in job.plan.outputs]
            continue
        again, spec = refreshed(job, run.refresh), json.loads(job.spec)
        for made, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            inputs = job.plan.inputs_of(made)
            piece, manifest = _piece(Piece(job, made, "new"), item_spec(spec, item), inputs, known, recorded)
            if manifest is not None:
                known[made.path] = manifest
            elif missing := next((path for paths in inputs.values() for path in paths if path in reasons), None):
                reasons[made.path] = reasons[missing]
                if piece.reason == _UNREADABLE:
                    piece = replace(piece, reason=f"it reads {missing}, which must be made ({reasons[missing]})")
            else:
                reasons[made.path] = piece.reason
            found.append(Piece(job, made, "asked") if made.name in again else piece)
    return found


def _piece(
    new: Piece,
    spec: Mapping[str, Any],
    inputs: Mapping[str, Sequence[str]],
    known: Mapping[str, Manifest],
    recorded: _Recorded,
) -> tuple[Piece, Manifest | None]:
    """The artifact, and the manifest that its readers may count on."""
    here, damage = _load(Path(new.output))
    new = replace(new, spec=spec, before=here)
    if any(path not in known for paths in inputs.values() for path in paths):
        own = first_difference(here.spec, spec) if here is not None else None
        return replace(new, reason=own or _UNREADABLE), None
    new = replace(new, read={role: [known[path] for path in paths] for role, paths in inputs.items()})
    contents = {role: [known[path].content for path in paths] for role, paths in inputs.items()}
    key = artifact_key(dict(spec), contents)
    if (manifest := recorded.store.manifest(key)) is not None:
        return replace(new, verdict="here", key=key), manifest
    same = [each for each in recorded.asked(spec) if each.inputs == contents]
    if here is not None and here.inputs == contents and first_difference(here.spec, spec) is None:
        if here.key == key:
            return replace(new, verdict="here", key=key), here
        same = [here, *(each for each in same if each.content == here.content)]
    if same:
        return replace(new, verdict="adoptable", key=key, recorded=same[0]), same[0]
    if here is None:
        return replace(new, reason=damage or "nothing like it was ever made"), None
    reason = first_difference(here.spec, spec) or first_difference(here.inputs, contents, "inputs")
    return replace(new, reason=reason or damage), None


class _Recorded:
    """The manifests of a store, by what was asked: one look through it, and only if somebody wants to know."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._loaded: dict[Path, Manifest | None] = {}

    def asked(self, spec: Mapping[str, Any]) -> list[Manifest]:
        """Those that differ from ``spec`` in code and libraries alone, the newest first."""
        found = (self._load(path) for _, path in sorted(self._paths.get(_question(spec), ()), reverse=True))
        return [manifest for manifest in found if manifest is not None]

    def _load(self, path: Path) -> Manifest | None:
        if path not in self._loaded:
            self._loaded[path] = _load(path)[0]
        return self._loaded[path]

    @cached_property
    def _paths(self) -> dict[str, list[tuple[str, Path]]]:
        paths: dict[str, list[tuple[str, Path]]] = {}
        for path in self.store.root.glob(f"??/*/{MANIFEST}"):
            try:
                record = json.loads(regular(path).read_text(encoding="utf-8"))
                question, finished = _question(record["spec"]), str(record["run"].get("finished", ""))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # damaged, or another process has just removed it
            paths.setdefault(question, []).append((finished, path))
        return paths


def _question(spec: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in spec.items() if name not in _VERSIONS})


def _load(path: Path) -> tuple[Manifest | None, str]:
    """A manifest, or what is wrong with it; neither where there is none."""
    if not path.exists():
        return None, ""
    try:
        return load_manifest(path), ""
    except PrimumError as error:
        return None, str(error)


@dataclass(frozen=True, slots=True)
class Change:
    """One place where two specs differ, and what each says there, in words; such as ``common.seed``, ``17``, ``18``."""

    path: tuple[str, ...]
    old: str
    new: str

    @property
    def words(self) -> str:
        return f"{self.old} -> {self.new}"

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.words}"


def first_difference(old: Any, new: Any, *where: str) -> str | None:
    """The first of :func:`changes` in words, such as ``common.seed: 17 -> 18``; None where there is none."""
    first = next(changes(old, new, *where), None)
    return None if first is None else str(first)


def changes(old: Any, new: Any, *where: str) -> Iterator[Change]:
    """Every place where two specs differ, in the order of their names; code and libraries do not count.

    Texts are not shown: prompts and policies are among them.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(name for name in {*old, *new} if where or name not in _VERSIONS):
            if name in old and name in new:
                yield from changes(old[name], new[name], *where, name)
            else:
                yield Change((*where, name), _there(name in old), _there(name in new))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from changes(*pair, *where, str(index))
    # 1 and 1.0, and True, are written differently.
    elif digest(old) != digest(new):
        yield Change(where, _spoken(old), _spoken(new))


def _there(is_there: bool) -> str:
    return "there" if is_there else NOT_THERE


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        if len(value) == 64 and value.isalnum():  # a sha256
            return json.dumps(value[:12])
        if len(value) > _LONGEST or not _NAME.fullmatch(value):
            return f"({len(value)} characters, sha256 {hashlib.sha256(value.encode()).hexdigest()[:8]})"
    shown = json.dumps(value)
    if isinstance(value, Mapping) or (
        isinstance(value, list) and (len(shown) > _LONGEST or not all(map(_is_plain, value)))
    ):
        return f"({len(value)} {'entry' if len(value) == 1 else 'entries'})"
    return shown


def _is_plain(value: Any) -> bool:
    return _NAME.fullmatch(value) is not None if isinstance(value, str) else isinstance(value, int | float | None)


def versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Library -> ``old -> new`` of those that two specs name in different versions."""
    before, now = old["libraries"], new["libraries"]
    return {
        name: f"{before.get(name, 'none')} -> {now.get(name, 'none')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    }


def todays_modules(job: Job, spec: Mapping[str, Any]) -> dict[str, str]:
    """Module -> digest of the code that ``job`` would run; empty where it is not what ``spec`` was planned with."""
    return recorded_digests(job.stage.module, Path(primum.__file__).parents[1], spec["code"])


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str] | None:
    """The modules that differ in their digests, are new, or are gone; None where one of the two is not known."""
    if not before or not now:
        return None
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def adoptable_jobs(found: Sequence[Piece]) -> Iterator[tuple[str, str]]:
    """(stage, name) of the jobs of which nothing is left to make once what can be adopted is."""
    jobs: dict[tuple[str, str], set[str]] = {}
    for piece in found:
        jobs.setdefault((piece.job.stage.name, piece.job.name), set()).add(piece.verdict)
    return (job for job, verdicts in jobs.items() if "adoptable" in verdicts and verdicts <= {"adoptable", "here"})
