"""Every manifest against itself, its place, the store's entry of its key, and the artifacts that it says it was made of."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.artifact.folder import MANIFEST, file_sha256
from primum.artifact.job import item_spec
from primum.artifact.manifest import Artifact, Manifest, artifact_key
from primum.artifact.results import EXPERIMENT, EXPERIMENT_SUM
from primum.verify.finding import RUN, Finding, Seen, Unchecked, some
from primum.verify.places import Place
from primum.verify.study import Study

# What must not differ between a manifest and that of the store's entry.
_FIXED = ("kind", "stage", "spec", "inputs", "counts", "files", "content")
_AWAY = "delete it and its manifest, and run snakemake again"


@dataclass(frozen=True)
class Known:
    """Content hashes by key, and all of them, of every results folder that is looked at."""

    by_key: Mapping[str, set[str]]
    contents: set[str]


def known_in(studies: Sequence[Study]) -> Known:
    """What the manifests of ``studies`` hold."""
    by_key = defaultdict[str, set[str]](set)
    for study in studies:
        for artifact in study.graph.artifacts:
            by_key[artifact.manifest.key].add(artifact.manifest.content)
    return Known(by_key, {content for contents in by_key.values() for content in contents})


def check_manifests(study: Study, known: Known) -> Iterator[Seen]:
    """Keys, the store, places and inputs of all artifacts of a results folder."""
    yield from study.seen
    yield from _check_experiment(study)
    for artifact in study.graph.artifacts:
        yield from _check_key(artifact)
        yield from _check_store(study, artifact)
    for artifact, place in study.placed():
        yield from _check_place(artifact, place)
    yield from _check_inputs(study, known)
    if study.places:
        others = len(study.graph.artifacts) - sum(1 for _ in study.placed())
        if others:
            yield Unchecked("artifacts: whether in their places", "the last run asked for no such thing", others)


def _check_experiment(study: Study) -> Iterator[Seen]:
    """What exports and comparisons take for the experiment that was run."""
    path, listed = study.results / EXPERIMENT, study.results / EXPERIMENT_SUM
    if not listed.exists():
        if path.is_file():
            yield Unchecked("experiment files", "no checksum of it was written down: run snakemake again")
    elif not listed.is_file():
        yield Finding(listed, "is no file", RUN)
    elif not path.is_file() or not listed.read_text("utf-8").startswith(file_sha256(path)):
        yield Finding(path, "is not what the last run wrote there", RUN)


def _check_key(artifact: Artifact) -> Iterator[Seen]:
    manifest = artifact.manifest
    if artifact_key(manifest.spec, manifest.inputs) != manifest.key:
        yield Finding(artifact.path, "its key is not that of its spec and inputs: the manifest was edited", _AWAY)
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> None:
        counts = Counter(name for name, _ in found)
        twice.extend(name for name in counts if counts[name] > 1)

    # Who reads it sees the first of two, and whoever parses it the last.
    json.loads(artifact.path.read_bytes(), object_pairs_hook=pairs)
    if twice:
        yield Finding(artifact.path, f"says {twice[0]!r} twice: the manifest was edited", _AWAY)


def _check_store(study: Study, artifact: Artifact) -> Iterator[Seen]:
    if study.store is None:
        yield Unchecked("artifacts against the store", "there is no store beside the results: give --store")
        return
    if artifact.manifest.key not in study.entries:
        yield Unchecked("artifacts against the store", "not in the store any more")
        return
    entry, stored = study.entries[artifact.manifest.key]
    differing = [] if stored is None else _differing(artifact.manifest, stored)
    if differing:
        yield Finding(
            artifact.path,
            f"differs in {' and '.join(differing)} from {entry / MANIFEST}, which has its key",
            "if the store is right, delete it here and run snakemake again; else delete the store's entry",
        )
    if stored is not None and artifact.manifest.sensitive and not stored.sensitive:
        yield Finding(entry / MANIFEST, "is of a sensitive artifact, and not marked so", RUN)


def _differing(manifest: Manifest, stored: Manifest) -> list[str]:
    found = [name for name in _FIXED if getattr(manifest, name) != getattr(stored, name)]
    # Who made it, of which commit, of what: the same where it is the same making, and not one under the same key.
    run, other = manifest.run, stored.run
    if run.get("finished") and run.get("finished") == other.get("finished"):
        differing = (name for name in run.keys() | other.keys() if run.get(name) != other.get(name))
        found += sorted(f"run.{name}" for name in differing if name != "taken_from_store")
    return found


# Places ---------------------------------------------------------------------------------------------------------------


def _check_place(artifact: Artifact, place: Place) -> Iterator[Seen]:
    """Whether it is what is asked for in its place, by the job that its manifest names and by its spec."""
    manifest = artifact.manifest
    if place.sensitive and manifest.sensitive is not True:
        yield Finding(artifact.data, "is sensitive, and not marked so", RUN)
    if manifest.stage != place.stage:
        yield Finding(
            artifact.data, f"was made by the stage {manifest.stage}, here belongs one of {place.stage}", _AWAY
        )
        return
    if place.spec is not None and place.spec == manifest.spec and place.job == manifest.job:
        return
    names = _names(manifest)
    if names and place.name not in names:
        yield Finding(artifact.data, f"is {some(names)} by its manifest, here belongs {place.name}", _AWAY)
        return
    if not names and manifest.job:
        yield Finding(artifact.data, "its spec is not one of its job's: the manifest was edited", _AWAY)
        return
    if place.spec is None:
        yield Unchecked("artifacts: whether of today's settings", "the requests of the last run are gone")
    elif any(place.spec[part] != manifest.spec.get(part) for part in ("code", "libraries")):
        yield Unchecked("artifacts: whether of today's settings", "the last run asked for other code")
    elif place.spec != manifest.spec:
        yield Finding(artifact.data, "is stale: the last run asked for other settings", RUN)


def _names(manifest: Manifest) -> list[str]:
    """What its job calls the artifact: several names where the job makes equal things."""
    try:
        job = json.loads(manifest.job or "{}")
        return [name for name, item in job.get("items", ()) if item_spec(job, item) == manifest.spec]
    except (ValueError, KeyError, TypeError):
        return []


# Inputs ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Other:
    """``reader`` was made of another content than lies at ``path`` now, which it reads in a ``role``."""

    reader: Artifact
    role: str
    path: str


def _check_inputs(study: Study, known: Known) -> Iterator[Seen]:
    others: dict[str, dict[str, _Other]] = defaultdict(dict)
    readers: dict[str, set[str]] = defaultdict(set)
    for artifact in study.graph.artifacts:
        name = study.graph.name(artifact)
        place = study.places.get(artifact.path.relative_to(study.results).as_posix())
        recorded = {role: contents for role, contents in artifact.manifest.inputs.items() if contents}
        if place is not None and place.inputs.keys() != recorded.keys() and not _is_same_code(place, artifact):
            yield Unchecked("artifacts: whether inputs are in their places", "made by other code")
            place = None
        expected = place.inputs if place is not None else {}
        for role in expected.keys() | recorded.keys() if place is not None else ():
            made_of, read = len(recorded.get(role, ())), len(expected.get(role, ()))
            if made_of != read:
                told = f"was made of {made_of} as {role!r}, here belongs what is made of {read}"
                yield Finding(artifact.data, told, _AWAY)
        for role, index, content, key in _recorded(artifact.manifest, recorded):
            paths = expected.get(role, ())
            path = paths[index] if len(paths) == len(recorded[role]) else ""
            there = study.by_path.get(path)
            if there is None:
                yield from _check_known(study, artifact, role, content, key, known)
                continue
            readers[path].add(name)
            if there.manifest.content != content:
                others[path][name] = _Other(artifact, role, path)
    for path, wrong in others.items():
        there = study.by_path[path]
        if len(wrong) > 1 and len(wrong) == len(readers[path]):
            made = f"is not what {len(wrong)} artifacts were made of ({some(sorted(wrong))})"
            yield Finding(there.data, made, "put back what was there, or run snakemake again")
            continue
        for each in wrong.values():
            text = f"is stale or misplaced: it was made of another {each.role} than {study.graph.name(there)} is now"
            yield Finding(each.reader.data, text, _AWAY)


def _is_same_code(place: Place, artifact: Artifact) -> bool:
    return place.spec is not None and place.spec.get("code") == artifact.manifest.spec.get("code")


def _recorded(manifest: Manifest, inputs: Mapping[str, list[str]]) -> Iterator[tuple[str, int, str, str]]:
    """(role, index, content, key) of each input; the key is "" where the manifest has none."""
    keys = manifest.run.get("input_keys") or {}
    for role, contents in inputs.items():
        own = keys.get(role) or ()
        for index, content in enumerate(contents):
            yield role, index, content, own[index] if index < len(own) else ""


def _check_known(study: Study, artifact: Artifact, role: str, content: str, key: str, known: Known) -> Iterator[Seen]:
    """An input whose place is not known or empty: in any of the results, or in the store."""
    if content in known.contents:
        return
    if key in known.by_key:
        yield Finding(artifact.data, f"is stale: what it was made of as {role!r} has other content now", RUN)
        return
    stored = study.store.manifest(key) if study.store is not None and key else None
    if stored is None:
        what = f"an input as {role!r} ({content[:12]}) is missing, here and in the store"
        yield Finding(artifact.data, what, "restore it, or run snakemake again")
    elif stored.content != content:
        text = f"is stale: the store's entry of its input as {role!r} ({key[:12]}) has other content"
        yield Finding(artifact.data, text, RUN)
    else:
        yield Unchecked("inputs: whether the data is whole", "in the store alone")
