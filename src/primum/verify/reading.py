"""Every file read once, whatever its names: tables as their rows, with each page's checksum, and all others as bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from primum.artifact.folder import MANIFEST
from primum.artifact.table import ContentHash, slices
from primum.errors import PrimumError

_CHUNK = 1 << 22
_FOOTER = b"primum."
Inode = tuple[int, int]
Tick = Callable[[int], None]
_WRONG = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)
# What reading data can end in that somebody, or a disk, has changed.
BROKEN = (PrimumError, OSError, MemoryError, pa.ArrowException, *_WRONG)


@dataclass(frozen=True, slots=True)
class Reading:
    """The ``content`` hash of a table's rows, or the sha256 of another file; ``error`` says why there is none.

    Of a table also the ``sha256`` of the file, its ``rows``, how many have each value of a column ``status``, and what its footer
    says for primum.
    """

    content: str = ""
    error: str = ""
    sha256: str = ""
    rows: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    footer: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Readings:
    """What was read, by path; hard links of one file share a reading. ``size`` is in bytes, each file counted once."""

    inodes: Mapping[Path, Inode]
    by_inode: Mapping[Inode, Reading]
    size: int

    def of(self, path: Path) -> Reading | None:
        """None where no such file was found."""
        inode = self.inodes.get(path)
        return None if inode is None else self.by_inode[inode]


def wanted(data: Path, kind: str) -> list[tuple[Path, bool]]:
    """(path, whether it is a table) of the files of an artifact that are there: all of a folder's but links and manifest."""
    if kind == "table":
        return [(data, True)] if data.is_file() and not data.is_symlink() else []
    found = (path for path in sorted(data.rglob("*")) if path.is_file() and not path.is_symlink())
    return [(path, False) for path in found if path != data / MANIFEST]


def total(files: Iterable[tuple[Path, bool]]) -> int:
    """The bytes of ``files``, hard links counted once."""
    stats = [path.stat() for path, _ in files]
    return sum({(each.st_dev, each.st_ino): each.st_size for each in stats}.values())


def read_all(files: Iterable[tuple[Path, bool]], jobs: int, tick: Tick) -> Readings:
    """Read each of ``files`` (:func:`wanted`), ``jobs`` at a time, the largest first; ``tick`` is told of bytes read.

    Hashing and reading leave Python's lock, so that threads do.
    """
    inodes: dict[Path, Inode] = {}
    todo: dict[Inode, tuple[int, Path, bool]] = {}
    for path, is_table in files:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # it went away meanwhile: it is missing
        inodes[path] = inode = (status.st_dev, status.st_ino)
        todo.setdefault(inode, (status.st_size, path, is_table))
    order = sorted(todo, key=lambda inode: -todo[inode][0])
    stopped = threading.Event()

    def counted(read: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        tick(read)

    with ThreadPoolExecutor(jobs) as threads:
        try:
            found = threads.map(lambda inode: _read(*todo[inode], counted), order)
            by_inode = dict(zip(order, found, strict=True))
        except BaseException:
            # Ctrl-C does not wait until a large file is read to its end.
            stopped.set()
            threads.shutdown(cancel_futures=True)
            raise
    return Readings(inodes, by_inode, sum(size for size, _, _ in todo.values()))


class _StoppedError(Exception):
    """The reading was given up."""


def _read(size: int, path: Path, is_table: bool, tick: Tick) -> Reading:
    if not os.access(path, os.R_OK):
        return Reading(error="cannot be read: it is somebody else's alone")
    try:
        return _read_table(path, size, tick) if is_table else Reading(_sha256(path, tick))
    except BROKEN as error:
        if is_table:
            return Reading(error="is damaged: it is no Parquet file, or the checksum of a page does not fit")
        return Reading(error=f"cannot be read ({type(error).__name__})")


def _sha256(path: Path, tick: Tick) -> str:
    state, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(buffer):
            state.update(buffer[:read])
            tick(read)
    return state.hexdigest()


def _read_table(path: Path, size: int, tick: Tick) -> Reading:
    state, statuses, rows = ContentHash(), Counter[str](), 0
    # Told of no bytes, which count when they are read as rows; but it may be stopped.
    metadata, sha256 = pq.read_metadata(path), _sha256(path, lambda _: tick(0))
    for part in slices(path):
        state.update(part)
        rows += part.num_rows
        if "status" in part.column_names and part.schema.field("status").type == pa.string():
            counted = pc.value_counts(part.column("status")).to_pylist()
            statuses.update({str(each["values"]): each["counts"] for each in counted})
        tick(size * part.num_rows // max(metadata.num_rows, 1))
    told = {
        key.removeprefix(_FOOTER).decode(): value.decode("utf-8", "replace")
        for key, value in (metadata.metadata or {}).items()
        if key.startswith(_FOOTER)
    }
    return Reading(state.hexdigest(), sha256=sha256, rows=rows, statuses=statuses, footer=told)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
