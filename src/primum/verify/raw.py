"""Raw files and models from outside against what they were pinned to: checksums in the spec, the lock, the project's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from primum.artifact.manifest import Artifact
from primum.curate import fetch, snapshot
from primum.errors import PrimumError
from primum.hub.files import is_whole
from primum.hub.lock import Lock, read_lock
from primum.verify.finding import Finding, Seen, Unchecked
from primum.verify.reading import Reading, read_all
from primum.verify.study import Study

_AWAY = "delete the folder and run snakemake again"
# The experiment may put one of its own in its place.
_OWN = "chat_template.jinja"


def check_raw(study: Study) -> Iterator[Seen]:
    """Every folder of raw files, and every model that was brought from outside."""
    try:
        lock = read_lock(study.root) if study.root is not None else {}
    except PrimumError as error:
        lock = {}
        yield Unchecked("raw files against the lock", str(error))
    if study.root is None:
        yield Unchecked("raw files against the project's", "the project is not at hand")
    sources: dict[Path, Reading] = {}
    for artifact in study.graph.artifacts:
        spec = artifact.manifest.spec.get("item", {})
        try:
            if artifact.manifest.stage == "fetch":
                yield from _check_files(artifact, spec, study.root, sources)
                yield from _check_locked(artifact, fetch.repositories(artifact.name, spec), lock)
            elif artifact.manifest.stage == "snapshot":
                yield from _check_locked(artifact, snapshot.repositories(artifact.name, spec), lock)
        except (LookupError, TypeError):
            yield Finding(artifact.path, f"its spec is none of the stage {artifact.manifest.stage}", _AWAY)


def _check_files(
    artifact: Artifact, spec: Mapping[str, Any], root: Path | None, sources: dict[Path, Reading]
) -> Iterator[Seen]:
    for file in fetch.single_files(spec):
        there = artifact.manifest.files.get(file["path"])
        if file["sha256"] is not None and there != file["sha256"]:
            yield Finding(artifact.data / file["path"], "is not the file that its spec pins", _AWAY)
        if root is None or file["url"] is not None or not (source := root / file["path"]).is_file():
            continue
        if source not in sources:
            sources[source] = next(iter(read_all([(source, False)], 1, lambda _: None).by_inode.values()))
        if sources[source].content != there:
            text = f"is not the file that {artifact.data} was made of"
            yield Finding(source, text, "restore it, or run snakemake again")


def _check_locked(artifact: Artifact, repositories: list[Any], lock: Lock) -> Iterator[Seen]:
    for source in repositories:
        listing = lock.get((source.kind, source.hub))
        if listing is None or listing.commit != source.revision:
            yield Unchecked("repositories against the lock", "the lock does not have their commit: primum pin")
            continue
        for name, sha256 in artifact.manifest.files.items():
            file = listing.files.get(name)
            if file is None or name == _OWN:
                continue
            algorithm, _, checksum = file.checksum.partition(":")
            path = artifact.data / name
            same = sha256 == checksum if algorithm == "sha256" else path.is_file() and is_whole(path, file)
            if not same:
                yield Finding(path, f"is not the file of {source.at} that the lock has", _AWAY)
