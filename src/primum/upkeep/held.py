"""What a store holds: entries, folders of work that is under way or was given up, and what killed processes left behind.

A file that has several names, in the store or in results, is there once on the disk.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from primum.artifact.canonical import digest
from primum.artifact.folder import MANIFEST
from primum.artifact.manifest import load_manifest
from primum.artifact.private import is_closed
from primum.errors import PrimumError
from primum.progress import Progress

Kind = Literal["entry", "damaged", "closed", "work", "tmp"]
_ENTRY = re.compile(r"[0-9a-f]{64}(?:\.[0-9]+)?")
_SHARD = re.compile(r"[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class File:
    """A file by its ``inode`` (device, number), which all its names share; ``names`` is how many there are anywhere."""

    inode: tuple[int, int]
    size: int
    names: int


@dataclass(frozen=True, slots=True)
class Held:
    """Something in a store: an ``entry``, whole by its manifest or ``damaged``, one that another user keeps ``closed``,
    ``work`` (journals, checkpoints, tracebacks) and ``tmp`` (half filled).

    ``key`` is "" where it has none, ``spec`` the digest of what it was asked for. ``used`` is when it was made, or last taken by
    hard link (seconds since 1970). ``owner`` is a user id. A closed one has no ``files``: nobody else can see them.
    """

    kind: Kind
    path: Path
    key: str
    owner: int
    used: float
    files: tuple[File, ...] = ()
    stage: str = ""
    spec: str = ""
    sensitive: bool = False

    @property
    def size(self) -> int:
        """Bytes, a file that it has twice once."""
        return sum({file.inode: file.size for file in self.files}.values())


@dataclass(frozen=True)
class Holdings:
    """All that a store holds, in the order of its paths."""

    root: Path
    held: Sequence[Held]
    links: Mapping[tuple[int, int], int] = field(default_factory=dict)  # names of each file in this store

    def size(self, held: Iterable[Held] | None = None) -> int:
        """Bytes of some of it, or of all: each file once."""
        files = {file.inode: file.size for each in (self.held if held is None else held) for file in each.files}
        return sum(files.values())

    def shared(self, held: Iterable[Held] | None = None) -> int:
        """Bytes of those files that have a name outside the store, too, as in results."""
        files = {file.inode: file for each in (self.held if held is None else held) for file in each.files}
        return sum(file.size for file in files.values() if file.names > self.links[file.inode])

    def freed(self, held: Iterable[Held]) -> int:
        """Bytes that come free when these go: of files that no other entry and no result has."""
        gone: dict[tuple[int, int], int] = {}
        files: dict[tuple[int, int], File] = {}
        for each in held:
            for file in each.files:
                gone[file.inode] = gone.get(file.inode, 0) + 1
                files[file.inode] = file
        return sum(file.size for inode, file in files.items() if gone[inode] >= file.names)


def read_store(root: Path, progress: Progress | None = None) -> Holdings:
    """What the store in ``root`` holds. PrimumError when there is none. What goes meanwhile is left out."""
    if not root.is_dir():
        raise PrimumError(f"{root}: no such store: give --store, or set PRIMUM_STORE")
    paths = [*_entries(root), *_children(root / "work"), *_children(root / "tmp")]
    found: list[Held] = []
    for number, path in enumerate(paths, 1):
        held = look_at(path)
        if held is not None:
            found.append(held)
        if progress is not None and number % 100 == 0:
            progress.update("entries", number, len(paths) + 1)
    links: dict[tuple[int, int], int] = {}
    for each in found:
        for file in each.files:
            links[file.inode] = links.get(file.inode, 0) + 1
    return Holdings(root, found, links)


def look_at(path: Path) -> Held | None:
    """What lies at ``path`` in a store; None when it is gone."""
    try:
        status = path.lstat()
        place = path.parent.name
        if place == "tmp":
            return Held("tmp", path, "", status.st_uid, *_files(path))
        key = path.name.partition(".")[0]
        if place == "work":
            return Held("work", path, key if _ENTRY.fullmatch(path.name) else "", status.st_uid, *_files(path))
        if is_closed(path):
            return Held("closed", path, key, status.st_uid, status.st_mtime)
        used, files = _files(path)
        try:
            manifest = load_manifest(path / MANIFEST)
        except PrimumError:
            return Held("damaged", path, key, status.st_uid, used, files)
        spec, sensitive = digest(manifest.spec), manifest.sensitive is True
        return Held("entry", path, key, status.st_uid, used, files, manifest.stage, spec, sensitive)
    except FileNotFoundError:
        return None


def user(number: int) -> str:
    """A user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _entries(root: Path) -> Iterator[Path]:
    for shard in _children(root):
        if _SHARD.fullmatch(shard.name):
            yield from (path for path in _children(shard) if _ENTRY.fullmatch(path.name))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _files(path: Path) -> tuple[float, tuple[File, ...]]:
    """When any part of it was last written, or given another name, and its files."""
    status = path.lstat()
    if not path.is_dir():
        return status.st_mtime, (File((status.st_dev, status.st_ino), status.st_size, status.st_nlink),)
    newest, files = status.st_mtime, []
    for folder, _, names in os.walk(path):
        for name in ("", *names):
            try:
                status = os.lstat(Path(folder, name) if name else folder)
            except FileNotFoundError:
                continue
            newest = max(newest, status.st_mtime)
            if name:
                files.append(File((status.st_dev, status.st_ino), status.st_size, status.st_nlink))
    return newest, tuple(files)
