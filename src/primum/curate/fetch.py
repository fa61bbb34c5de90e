"""Stage fetch: a dataset's raw files, downloaded or taken from a mirror folder, with the same checksum check.

The only stage, with ``snapshot``, that touches the network. With a mirror (:mod:`primum.hub.mirror`), which ``primum mirror``
makes and ``--config mirror=FOLDER`` gives, nothing is downloaded: that is how a cluster without internet works.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from primum.artifact.folder import file_sha256
from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.hub.bring import bring
from primum.hub.lock import GIT
from primum.hub.mirror import mirror_folder
from primum.hub.source import Source
from primum.hub.web import download
from primum.progress import Progress
from primum.reading import regular


def run(job: Job) -> Iterator[Result]:
    """One folder artifact a dataset: its files under the catalog's paths."""
    for item in job.items:
        folder = item.work / "raw"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            sources = repositories(item.name, item.spec)
            brought = [path for source in sources for path in bring(source, folder, item.name, job.progress)]
            if len(set(brought)) < len(brought):
                raise PrimumError(f"datasets.{item.name}: two of its repositories have files of one name: name others")
            _from_files(item, folder, job.progress)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        yield Result(item, folder=folder, counts={"files": sum(path.is_file() for path in folder.rglob("*"))})


def repositories(name: str, spec: Mapping[str, Any]) -> list[Source]:
    """The repositories that the dataset ``name`` is read from, by its spec: its own, and those that its files name."""
    patterns: dict[tuple[str, str, str], list[str]] = {}
    for file in spec["files"]:
        repository = _repository(file) or _repository(spec)
        if repository is not None:
            patterns.setdefault(repository, []).append(file["path"])
    return [Source(f"datasets.{name}", *repository, tuple(paths)) for repository, paths in patterns.items()]


def _repository(entry: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Kind, id or address, and revision of the repository that a dataset or a file names, if it does."""
    for key, kind in (("hub", "dataset"), ("git", GIT)):
        if entry.get(key) is not None:
            return kind, entry[key], entry["revision"]
    return None


def single_files(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The files of a dataset that are in no repository, by its spec."""
    return [file for file in spec["files"] if _repository(file) is None and _repository(spec) is None]


def _from_files(item: Item, folder: Path, progress: Progress) -> None:
    files = single_files(item.spec)
    mirror = mirror_folder()
    for done, file in enumerate(files, 1):
        target = folder / file["path"]
        if file["url"] is None and file["sha256"] is None:
            raise PrimumError(
                f"datasets.{item.name}: {file['path']} is not here and has no pinned address: put it there by hand"
            )
        if file["url"] is None and Path(file["path"]).is_file():
            _copy(Path(file["path"]), target, item.name, "it belongs to the project, check it out again")
        elif mirror:
            _copy(mirror / file["path"], target, item.name, "run `primum mirror` again")
        elif file["url"] is None:
            raise PrimumError(f"{item.name}: {file['path']} is not here: it belongs to the project, check it out again")
        else:
            download(file["url"], target, progress.say)
        found = file_sha256(target)
        if found != file["sha256"]:
            raise PrimumError(
                f"{item.name}: {file['path']} has sha256 {found[:12]}, expected {file['sha256'][:12]}: "
                "it is damaged, or not the pinned version"
            )
        progress.update(item.name, done, len(files), done, "files")


def _copy(source: Path, target: Path, name: str, remedy: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = regular(source).open("rb")
    except OSError as error:
        raise PrimumError(f"{name}: {source} cannot be read ({type(error).__name__}): {remedy}") from None
    with file, target.open("wb") as copy:  # an error from here on is the disk's, not the source's
        shutil.copyfileobj(file, copy)
