"""``primum mirror``: everything that an experiment will read, in one folder for a machine without network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from primum.artifact.folder import file_sha256
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.hub import client, git
from primum.hub.lock import GIT, UNKNOWN_REVISION, Listing, read_lock, title
from primum.hub.locked import write_listing
from primum.hub.mirror import mirrored, record_of, recorded
from primum.hub.refusals import Unreachable, gated
from primum.hub.source import Source
from primum.hub.transfer import Report, download, in_megabytes, missing
from primum.hub.web import download as download_file
from primum.hub.web import size as size_at
from primum.pins.wanted import File, wanted
from primum.progress import Progress

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE = 8  # sizes of files that are asked for


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository at its commit, with ``paths``: all that any entry reads of it. ``source`` is the first of these entries."""

    source: Source
    listing: Listing
    paths: tuple[str, ...]

    def lacking(self, folder: Path) -> list[str]:
        """Those of ``paths`` that a mirror does not have, or not in their size."""
        held = mirrored(folder, self.source)
        return [path for path in self.paths if _bytes(held / path) != self.listing.files[path].size]

    def size(self, paths: Iterable[str]) -> int:
        return sum(self.listing.files[path].size for path in paths)


def mirror(root: Path, name: str, folder: Path, models: bool) -> None:
    """Bring all that the experiment ``name`` reads into ``folder``; what is there and whole stays, and all of it is verified.

    Says the size first. Without ``models``, datasets alone. PrimumError before anything is fetched where entries have no
    revision, the disk has too little room, or the hub refuses one of them; at the end where files have no address and are not
    in the project.
    """
    progress = Progress("mirror")
    asked = wanted(load_experiment(name, root), root)
    sources = [source for source in asked.sources if models or source.kind != "model"]
    unpinned = dict.fromkeys(source.where for source in sources if source.revision == UNKNOWN_REVISION)
    if unpinned:
        raise PrimumError(
            f"{len(unpinned)} entries have no revision: run `primum pin {name}` first: {', '.join(unpinned)}"
        )
    repositories = _listed(root, folder, sources, progress)
    files = _distinct(asked.files)
    lacking = [file for file in files if file.sha256 is not None and not _is_whole(folder, file)]
    _check_room(folder, repositories, files, _sizes(root, lacking, progress), progress)
    _check_access(folder, repositories, progress)
    for repository in repositories:
        _bring(folder, repository, progress)
    for done, file in enumerate(lacking, 1):
        _bring_file(root, folder, file, progress)
        progress.update("files", done, len(lacking), done, "files")
    absent = [file.path for file in files if file.sha256 is None]
    if absent:
        raise PrimumError(
            f"{len(absent)} files have no address, and are not in the project: put them there, and run this again to add them: "
            f"{', '.join(absent)}"
        )
    print(f"{folder} has all that {name} reads{'' if models else ', but for models'}: --config mirror={folder}")


def _listed(root: Path, folder: Path, sources: Sequence[Source], progress: Progress) -> list[_Repository]:
    """The files of each repository: as the lock states them, else the mirror, else the hub or git."""
    lock = read_lock(root)
    groups: dict[tuple[str, str, str], list[Source]] = {}
    for source in sources:
        groups.setdefault((source.kind, source.hub, source.revision), []).append(source)

    def one(group: Sequence[Source]) -> _Repository:
        first = group[0]
        listing = lock.get((first.kind, first.hub))
        if listing is None or listing.commit != first.revision:
            if record_of(mirrored(folder, first)).is_file():
                listing = recorded(folder, first)
            elif first.kind == GIT:
                patterns = tuple(pattern for source in group for pattern in source.patterns)
                held = mirrored(folder, first)
                with _written(held):
                    listing = git.fetched(replace(first, patterns=patterns), held, progress)
            else:
                listing = client.ask(first.where, first.kind, first.hub, first.revision, progress.say).listing
        paths = {path for source in group for path in source.select(listing.files)}
        return _Repository(first, listing, tuple(sorted(paths)))

    return _each(list(groups.values()), one, progress)


def _each(items: Sequence[T], work: Callable[[T], R], progress: Progress) -> list[R]:
    """``work`` of every item. PrimumError at the end where some were refused, each told before; at once without a hub."""
    results, refused = [], 0
    for done, item in enumerate(items, 1):
        try:
            results.append(work(item))
        except Unreachable:
            raise
        except PrimumError as error:
            refused += 1
            progress.say(f"{error}")
        progress.update("repositories", done, len(items), done, "repositories")
    if refused:
        raise PrimumError(f"{refused} of {len(items)} repositories cannot be read: see above; no file was added")
    return results


def _distinct(files: Iterable[File]) -> list[File]:
    """Each path once. PrimumError where two datasets mean different files by one path."""
    found: dict[str, File] = {}
    for file in files:
        known = found.setdefault(file.path, file)
        if known.sha256 != file.sha256:
            raise PrimumError(
                f"{file.where}: {file.path} is another file than that of {known.where}: give it another path"
            )
    return list(found.values())


def _sizes(root: Path, files: Sequence[File], progress: Progress) -> list[int | None]:
    """The bytes of files that are to be brought, None where their servers do not say."""

    def one(file: File) -> int | None:
        return _bytes(root / file.path) if file.url is None else size_at(file.url, progress.say)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(one, files))


def _check_room(
    folder: Path,
    repositories: Sequence[_Repository],
    files: Sequence[File],
    sizes: Sequence[int | None],
    progress: Progress,
) -> None:
    """Say how much there is, and to fetch. PrimumError where the disk has too little room."""
    total = sum(repository.size(repository.paths) for repository in repositories)
    new = sum(repository.size(repository.lacking(folder)) for repository in repositories)
    fetched = new + sum(size or 0 for size in sizes)
    unsaid = sum(size is None for size in sizes)
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    progress.say(
        f"{len(repositories)} repositories with {sum(len(each.paths) for each in repositories):,} files, {_gb(total)}, and "
        f"{len(files)} other files; {_gb(total - new)} of it are there, to be verified"
    )
    progress.say(
        f"to fetch: {_gb(fetched)}{f', and {unsaid} files whose size is not stated' if unsaid else ''}; "
        f"free in {existing}: {_gb(free)}"
    )
    if fetched > free:
        raise PrimumError(
            f"{folder}: {_gb(fetched)} are to be fetched, {_gb(free)} are free: make room, or leave models out (--datasets-only)"
        )


def _check_access(folder: Path, repositories: Sequence[_Repository], progress: Progress) -> None:
    """PrimumError where a repository that is not whole yet is gone, or may not be read: before anything is fetched."""

    def one(repository: _Repository) -> None:
        source = repository.source
        if source.kind == GIT:
            if not git.is_fetched(source, mirrored(folder, source)):
                git.newest(source.where, source.hub, progress)
            return
        client.check_there(source.where, source.kind, source.hub, source.revision, progress.say)
        if repository.listing.gated and not client.may_read(source.where, source.kind, source.hub, progress.say):
            raise PrimumError(f"{source.where}: {source.hub}: {gated(source.kind, source.hub)}")

    _each([each for each in repositories if each.lacking(folder)], one, progress)


def _bring(folder: Path, repository: _Repository, progress: Progress) -> None:
    source, listing = repository.source, repository.listing
    held = mirrored(folder, source)

    def reported(what: str, paths: Iterable[str]) -> Report:
        return in_megabytes(progress, f"{title(source.kind, source.hub)} {what}", repository.size(paths))

    with _written(held):
        write_listing(record_of(held), listing)
        lacking = missing(listing, repository.paths, held, reported("verified", repository.paths))
        if source.kind == GIT:
            if lacking:
                git.fetched(source, held, progress)
            git.unpack(source, listing, lacking, held, reported("written", lacking))
        elif lacking:
            download(source, listing, lacking, held, reported("fetched", lacking))


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Raise what the disk says within as PrimumError that names ``folder``."""
    try:
        yield
    except OSError as error:
        raise PrimumError(f"{folder}: cannot be written: {error.strerror}") from None


def _bring_file(root: Path, folder: Path, file: File, progress: Progress) -> None:
    """Bring a file outside of repositories to its path: whole, or not at all."""
    target = folder / file.path
    part = target.with_name(f".part-{target.name}")  # which ends as the file does: a packed one is kept packed
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.url is None:
            shutil.copyfile(root / file.path, part)
        else:
            download_file(file.url, part, progress.say)
        if file_sha256(part) != file.sha256:
            raise PrimumError(
                f"{file.where}: {file.path} is not what its checksum says: it is damaged, or not the pinned version"
            )
        part.replace(target)
    except OSError as error:
        raise PrimumError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _is_whole(folder: Path, file: File) -> bool:
    path = folder / file.path
    return path.is_file() and file_sha256(path) == file.sha256


def _bytes(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
