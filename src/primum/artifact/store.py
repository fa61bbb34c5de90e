"""The content-addressed store: a finished artifact is kept under its key, and taken from there instead of recomputed.

Layout: ``<store>/<first two hex digits>/<key>/`` holds ``data.parquet`` or the folder's files, and ``manifest.json``.
An entry is complete when its folder exists: it is filled under ``<store>/tmp`` and renamed into place.

A store may be shared by the users of a group, in a folder that the group may write to, and with its mark (setgid). What is
sensitive is its owner's alone there too: another user, who can neither read nor replace it, makes it again, in
``<key>.<user id>`` beside it. So it is with what is under way in ``<store>/work``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from primum.artifact.folder import MANIFEST
from primum.artifact.manifest import Manifest, load_manifest, measure, save_manifest
from primum.artifact.private import is_closed, is_own, private_file, private_folder, tighten
from primum.artifact.table import fsync
from primum.errors import PrimumError

_TABLE = "data.parquet"


class Store:
    """A store in the folder ``root``, shared by any number of processes and experiments."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entry(self, key: str) -> Path:
        """Where an artifact is, or goes: in a place of this user's own where another one keeps his for himself."""
        entry = self.root / key[:2] / key
        return entry.with_name(f"{key}.{os.geteuid()}") if is_closed(entry) else entry

    def work(self, key: str) -> Path:
        """Where a job that makes ``key`` has its journal and its checkpoints: a folder that another user has left is not his."""
        work = self.root / "work" / key
        return work if not work.exists() or is_own(work) else work.with_name(f"{key}.{os.geteuid()}")

    def new_folder(self, private: bool = False) -> Path:
        """A fresh folder to fill, named after this process so that :meth:`sweep` can tell when it was abandoned.

        A ``private`` one is closed to other users before anything is in it.
        """
        folder = self.folder("tmp") / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        if private:
            private_folder(folder)
        else:
            folder.mkdir(parents=True)
        return folder

    def folder(self, name: str) -> Path:
        """One of the store's own folders, there from now on; in a store of a group all of its users may write to it."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        self._share(folder, 0o070)
        if not is_own(folder):
            # Another user may have made it a moment ago, and be about to share it.
            _patiently(lambda: os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids))
        return folder

    def _share(self, path: Path, bits: int) -> None:
        """Let the group in, whatever the umask is, where it is let into the store."""
        shared = stat.S_ISGID | stat.S_IWGRP
        mode = path.stat().st_mode
        if self.root.stat().st_mode & shared == shared and mode & bits != bits and is_own(path):
            path.chmod(stat.S_IMODE(mode) | bits)

    def manifest(self, key: str) -> Manifest | None:
        """What the entry says of itself, its data unread; None where it is absent or damaged."""
        try:
            manifest = load_manifest(self.entry(key) / MANIFEST)
        except PrimumError:
            return None
        return manifest if manifest.key == key else None

    def find(self, key: str) -> Manifest | None:
        """The entry's manifest if the store has it whole; a damaged entry is removed and counts as absent.

        One that is being removed, or made anew, is no damaged one: what has come into its place meanwhile is looked at again.
        """
        entry = self.entry(key)
        while (before := _state(entry)) is not None:
            with suppress(PrimumError, FileNotFoundError):
                manifest = load_manifest(entry / MANIFEST)
                data = entry / _TABLE if manifest.kind == "table" else entry
                if manifest.key == key and measure(data, manifest.kind)[0] == manifest.content:
                    return manifest
            if _state(entry) == before:
                shutil.rmtree(entry, ignore_errors=True)
                return None
        return None

    def add(self, filled: Path, manifest: Manifest) -> Manifest:
        """Move ``filled`` (from :meth:`new_folder`) to its key and return the entry's manifest.

        An entry that is already there stays, and its manifest is returned: another process was first.
        """
        save_manifest(manifest, filled / MANIFEST)
        if manifest.sensitive:
            tighten(filled)
        for path in filled.rglob("*"):
            fsync(path)
        entry = self.entry(manifest.key)
        self.folder(entry.parent.name)
        try:
            filled.rename(entry)
        except OSError:
            existing = self.find(manifest.key)
            if existing is None:
                filled.rename(entry)
            else:
                shutil.rmtree(filled)
                return existing
        fsync(entry.parent)
        return manifest

    def replace(self, filled: Path, manifest: Manifest) -> Manifest:
        """As :meth:`add`, but what was there before gives way (``refresh``)."""
        shutil.rmtree(self.entry(manifest.key), ignore_errors=True)
        return self.add(filled, manifest)

    def mark(self, manifest: Manifest) -> None:
        """Make an entry that was made before there was a mark, or for an experiment that needed none, its owner's alone.

        It stays so. Somebody else's entry stays as it is.
        """
        entry = self.entry(manifest.key)
        if not manifest.sensitive:
            with suppress(PermissionError):
                save_manifest(replace(manifest, sensitive=True), entry / MANIFEST)
        tighten(entry)

    def take(self, manifest: Manifest, target: Path, private: bool = False) -> None:
        """Put the entry's data at ``target`` (a file, or a folder), by hard link where possible, else by copy.

        A folder is replaced file by file: what ``target`` holds beyond the entry's files is removed. What is ``private`` is this
        user's alone at ``target``.
        """
        entry = self.entry(manifest.key)
        if manifest.kind == "table":
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(entry / _TABLE, target, private)
            return
        if private:
            private_folder(target)
        else:
            target.mkdir(parents=True, exist_ok=True)
        for stale in target.rglob("*"):
            if stale.is_file() and stale.relative_to(target).as_posix() not in manifest.files:
                stale.unlink()
        for name in manifest.files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            _place(entry / name, target / name, private)

    @contextmanager
    def lock(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold ``key`` for this process: a worker that a killed run left behind finishes first, and its result is taken.

        ``waiting`` is called once when another process holds the key. The lock ends with the process, however it dies.
        """
        path = self.folder("locks") / key
        opened: list[IO[str]] = []

        def is_opened() -> bool:
            with suppress(PermissionError):
                opened.append(path.open("a"))
            return bool(opened)

        if not _patiently(is_opened):
            raise PrimumError(f"{path}: is another user's: share the store as docs/safety.md says")
        with opened[0] as file:
            self._share(path, 0o060)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def sweep(self) -> None:
        """Remove what killed processes of this machine left half-filled."""
        host = socket.gethostname()
        for folder in (self.root / "tmp").glob(f"{host}-*-*"):
            pid = folder.name.removeprefix(f"{host}-").split("-")[0]
            if pid.isdigit() and not _alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _patiently(works: Callable[[], bool]) -> bool:
    """Whether it works within a second."""
    for _ in range(20):
        if works():
            return True
        time.sleep(0.05)
    return False


def table_file(filled: Path) -> Path:
    """Where a table goes in a folder that is being filled."""
    return filled / _TABLE


def link_or_copy(source: Path, target: Path, private: bool = False) -> None:
    """Give ``source`` the second name ``target``, where the file system cannot by a copy. FileNotFoundError if it is gone.

    A ``private`` target is readable by its owner alone. Two names have one mode, hence of somebody else's file it is a copy.
    """
    try:
        if private and not is_own(source):
            raise PermissionError
        os.link(source, target)
    except OSError:
        if private:
            private_file(target)
        shutil.copyfile(source, target)
        fsync(target)
    if private:
        tighten(target)


def _place(source: Path, target: Path, private: bool) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        link_or_copy(source, temporary, private)
        # Snakemake compares modification times: an output must not look older than the inputs of the job that took it.
        os.utime(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _state(entry: Path) -> tuple[int, int] | None:
    """What differs between two folders in the same place, and changes when a file comes or goes; None where there is none."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
