"""The steps from an artifact down to the raw files: what ``primum explain`` prints, in every form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from primum.artifact.folder import MANIFEST
from primum.artifact.graph import Graph, Input
from primum.artifact.manifest import Artifact
from primum.artifact.results import experiment_of
from primum.trace.sentences import did
from primum.trace.words import counted, settings

# Parts of ``run`` that are told elsewhere, or are too long to tell.
_NOT_TOLD = frozenset({"modules", "input_keys", "adopted"})


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file that was brought here; ``source`` is its address or repository, with ``revision``; "" where there is none."""

    path: str
    sha256: str
    source: str = ""
    revision: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """An input of a step. ``step`` is its name among the steps, "" where nothing is known but ``content`` and ``key``.

    ``state``: ``here``, ``store`` (the store alone has it), or ``missing``.
    ``why`` says what a cell reads it for, if not for its value.
    """

    role: str
    step: str
    content: str
    key: str
    state: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One artifact: what was done (``did``, a sentence), with which ``settings``, and what it was made of.

    ``run`` is when, where, by whom, how long and at what cost. ``deeper`` says that its inputs were left out (``--depth``).
    """

    name: str
    stage: str
    did: str
    settings: Mapping[str, str]
    counts: Mapping[str, Any]
    key: str
    content: str
    sensitive: bool | None
    code: str
    libraries: Mapping[str, str]
    run: Mapping[str, Any]
    adopted: Sequence[Mapping[str, Any]]
    files: Sequence[RawFile]
    inputs: Sequence[Read] = ()
    deeper: bool = False


@dataclass(frozen=True)
class Unfolded:
    """``steps`` by name, as they are read from the ``root`` down: each before what it was made of. ``damaged`` are manifests."""

    root: Read
    steps: Mapping[str, Step]
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> list[tuple[str, RawFile]]:
        """(step, file) of all raw files."""
        return [(name, file) for name, step in self.steps.items() for file in step.files]


def unfold(
    graph: Graph, root: Artifact, chosen: Sequence[tuple[Input, str]] | None = None, depth: int | None = None
) -> Unfolded:
    """The steps of ``root`` and of all that it was made of, ``depth`` levels deep.

    Of the inputs of ``root`` those alone that are ``chosen``, where some are, each with its ``why``.
    """
    licences = _licences(graph.results)
    named: dict[str, Artifact] = {}
    top = _read(graph, Input("asked", root.manifest.content, root.manifest.key, root), "", named)
    steps: dict[str, Step] = {}
    level, waiting = 0, [top.step]
    # Level by level, so that ``depth`` counts the shortest way to a step.
    while waiting:
        following: list[str] = []
        for name in waiting:
            found = [(each, "") for each in graph.inputs(named[name])] if level or chosen is None else list(chosen)
            beyond = depth is not None and level >= depth
            inputs = [] if beyond else [_read(graph, each, why, named) for each, why in found]
            steps[name] = _step(graph, name, named[name], inputs, bool(found) and beyond, licences)
            following += [read.step for read in inputs if read.step]
        level, waiting = level + 1, [name for name in dict.fromkeys(following) if name not in steps]
    damaged = {path.as_posix(): why for path, why in graph.unreadable.items()}
    return Unfolded(top, {name: steps[name] for name in _in_order(top, steps)}, damaged)


def _in_order(top: Read, steps: Mapping[str, Step]) -> list[str]:
    order: dict[str, None] = {}
    waiting = [top.step]
    while waiting:
        name = waiting.pop()
        if name not in order:
            order[name] = None
            waiting += [read.step for read in reversed(steps[name].inputs) if read.step]
    return list(order)


def _read(graph: Graph, asked: Input, why: str, named: dict[str, Artifact]) -> Read:
    artifact, state = asked.artifact, "here"
    if artifact is None and asked.stored is not None and graph.store is not None:
        artifact, state = Artifact(graph.store.entry(asked.key) / MANIFEST, asked.stored), "store"
    if artifact is None:
        return Read(asked.role, "", asked.content, asked.key, "missing", why)
    name = graph.name(artifact) if state == "here" else f"store/{asked.key[:12]}"
    named.setdefault(name, artifact)
    return Read(asked.role, name, asked.content, asked.key, state, why)


def _step(
    graph: Graph, name: str, artifact: Artifact, inputs: Sequence[Read], deeper: bool, licences: Mapping[str, str]
) -> Step:
    manifest = artifact.manifest
    names: dict[str, list[str]] = {}
    for each in graph.inputs(artifact):
        names.setdefault(each.role, []).append(each.artifact.name if each.artifact is not None else each.key[:12])
    said = did(manifest.stage, manifest.spec, manifest.counts, names)
    return Step(
        name=name,
        stage=manifest.stage,
        did=said.sentence,
        settings=settings(said),
        counts=counted(said),
        key=manifest.key,
        content=manifest.content,
        sensitive=manifest.sensitive,
        code=str(manifest.spec.get("code", "")),
        libraries=dict(manifest.spec.get("libraries") or {}),
        run={
            key: value
            for key, value in manifest.run.items()
            if key not in _NOT_TOLD and value not in (None, "", {}, [])
        },
        adopted=list(manifest.run.get("adopted", ())),
        files=_files(artifact, licences) if not manifest.inputs and manifest.kind == "folder" else [],
        inputs=inputs,
        deeper=deeper,
    )


def _files(artifact: Artifact, licences: Mapping[str, str]) -> list[RawFile]:
    """The files of a folder that was made of nothing: what was brought here, and from where."""
    item = artifact.manifest.spec.get("item") or {}
    entries = [entry for entry in item.get("files", ()) if isinstance(entry, dict)]
    files = []
    for path, sha256 in sorted(artifact.manifest.files.items()):
        # Of a repository an entry names files by a pattern.
        fits = (each for each in entries if path == each.get("path") or fnmatchcase(path, str(each.get("path"))))
        entry = next(fits, {})
        at = entry if entry.get("hub") or entry.get("git") else item
        source = entry.get("url") or at.get("hub") or at.get("git") or ""
        revision = "" if entry.get("url") else at.get("revision") or ""
        files.append(
            RawFile(path, sha256, source, revision, licences.get(f"{artifact.manifest.stage}/{artifact.name}", ""))
        )
    return files


def _licences(results: Path) -> dict[str, str]:
    """What the experiment said of the licences of its datasets and models when it ran; nothing where it is not here."""
    try:
        experiment = experiment_of(results)
        kinds = {"fetch": experiment["datasets"], "snapshot": experiment["models"]}
        return {
            f"{stage}/{name}": str(entry.get("license") or "")
            for stage, entries in kinds.items()
            for name, entry in entries.items()
        }
    except (KeyError, AttributeError, TypeError):
        return {}
