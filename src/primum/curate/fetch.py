"""Stage fetch: a dataset's raw files, downloaded or taken from a mirror folder, with the same checksum check.

The only stage, with ``snapshot``, that touches the network. A mirror (``--config mirror=FOLDER``) holds the files under the
paths that the catalog gives; with one, nothing is downloaded, which is how a cluster without internet works.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_exponential

from primum.artifact.folder import file_sha256
from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.progress import Progress

MIRROR_VARIABLE = "PRIMUM_MIRROR"
_CHUNK = 1 << 20
_IN_MIRROR = "check the mirror folder"


def run(job: Job) -> Iterator[Result]:
    """One folder artifact a dataset: its files under the catalog's paths."""
    for item in job.items:
        folder = item.work / "raw"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            if item.spec["hub"] is not None:
                _from_hub(item, folder)
            else:
                _from_files(item, folder, job.progress)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        yield Result(item, folder=folder, counts={"files": sum(path.is_file() for path in folder.rglob("*"))})


def _from_files(item: Item, folder: Path, progress: Progress) -> None:
    files: Sequence[Mapping[str, Any]] = item.spec["files"]
    mirror = os.environ.get(MIRROR_VARIABLE)
    for done, file in enumerate(files, 1):
        target = folder / file["path"]
        if file["url"] is None and file["sha256"] is None:
            raise PrimumError(
                f"datasets.{item.name}: {file['path']} is not here and has no pinned address: put it there by hand"
            )
        if file["url"] is None:
            _copy(Path(file["path"]), target, item.name, "it belongs to the project, check it out again")
        elif mirror:
            _copy(Path(mirror) / file["path"], target, item.name, _IN_MIRROR)
        else:
            download(file["url"], target)
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
        file = source.open("rb")
    except OSError as error:
        raise PrimumError(f"{name}: {source} cannot be read ({type(error).__name__}): {remedy}") from None
    with file, target.open("wb") as copy:  # an error from here on is the disk's, not the source's
        shutil.copyfileobj(file, copy)


def _passing(error: BaseException) -> bool:
    """Whether another attempt may help: a lost connection, or a server that is busy."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


@retry(
    retry=retry_if_exception(_passing),
    stop=stop_after_attempt(4),
    wait=wait_exponential(max=30),
    reraise=True,
)
def _stream(url: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with httpx.stream("GET", url, follow_redirects=True, timeout=60) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for chunk in answer.iter_bytes(_CHUNK):
            file.write(chunk)


def download(url: str, target: Path) -> None:
    """Download ``url`` to ``target``, retrying what may pass. PrimumError naming the address and the mirror option."""
    try:
        _stream(url, target)
    except httpx.HTTPStatusError as error:
        raise PrimumError(f"{url}: HTTP {error.response.status_code}: check the address in the catalog") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrimumError(
            f"{url}: {type(error).__name__}: no network here? give a folder with the files as --config mirror=FOLDER"
        ) from None


def _from_hub(item: Item, folder: Path) -> None:
    from primum.curate.snapshot import hub_snapshot

    mirror = os.environ.get(MIRROR_VARIABLE)
    patterns = [file["path"] for file in item.spec["files"]]
    if mirror:
        mirrored = Path(mirror) / item.spec["hub"]
        found = sorted({path for pattern in patterns for path in mirrored.glob(pattern) if path.is_file()})
        if not found:
            raise PrimumError(f"{item.name}: {mirrored} has no file that matches {', '.join(patterns)}")
        for path in found:
            _copy(path, folder / path.relative_to(mirrored), item.name, _IN_MIRROR)
        return
    hub_snapshot(f"datasets.{item.name}", item.spec["hub"], item.spec["revision"], folder, "dataset", patterns)
