"""Files of a repository into a folder, from the hub or from a mirror; each is compared with what the hub states of it.

A file that is in the folder already is not brought again: whoever calls has looked at it (:func:`missing`).
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.utils import silent_tqdm

from primum.errors import PrimumError
from primum.hub.files import is_whole
from primum.hub.lock import Listing
from primum.hub.mirror import mirrored
from primum.hub.refusals import refusals
from primum.hub.source import Source
from primum.progress import Progress
from primum.reading import regular

Report = Callable[[int], None]  # is told the bytes that were brought, again and again
_AT_ONCE = 4
_MB = 1_000_000


def in_megabytes(progress: Progress, name: str, total: int) -> Report:
    """A report of ``total`` bytes as progress of ``name``, in whole MB; the last one, which may be none, when all is done."""
    size = total // _MB + 1

    def report(done: int) -> None:
        progress.update(name, size if done >= total else done // _MB, size, done / _MB, "MB")

    return report


def missing(listing: Listing, paths: Sequence[str], folder: Path, report: Report) -> list[str]:
    """Those of ``paths`` that ``folder`` does not have as the hub states them; damaged ones are removed."""
    lacking, done = [], [0]

    def read(amount: int) -> None:
        done[0] += amount
        report(done[0])

    for path in paths:
        if not is_whole(folder / path, listing.files[path], read):
            (folder / path).unlink(missing_ok=True)
            lacking.append(path)
    return lacking


def copy(mirror: Path, source: Source, listing: Listing, paths: Sequence[str], folder: Path, report: Report) -> None:
    """Copy ``paths`` from a mirror to ``folder``. PrimumError for one that is missing or not what the hub states."""
    held, copied = mirrored(mirror, source), 0
    for path in paths:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = regular(held / path).open("rb")
        except OSError as error:
            raise PrimumError(
                f"{source.where}: {held / path} cannot be read ({type(error).__name__}): run `primum mirror` again"
            ) from None
        with file, target.open("wb") as written:  # an error from here on is the disk's, not the source's
            shutil.copyfileobj(file, written)
        if not is_whole(target, listing.files[path]):
            raise PrimumError(f"{source.where}: {held / path} is damaged: run `primum mirror` again")
        copied += listing.files[path].size
        report(copied)


class _Stopped(Exception):
    """Another file failed, or the process was told to stop."""


def download(source: Source, listing: Listing, paths: Sequence[str], folder: Path, report: Report) -> None:
    """Download ``paths`` to ``folder``, several at once; one that is whole is there, and nothing half-written.

    PrimumError naming the entry, and the remedy. OSError when the disk does not take a file.
    """
    stopped, lock, count = threading.Event(), threading.Lock(), [0]

    def counted(amount: int) -> None:
        if stopped.is_set():
            raise _Stopped
        with lock:
            count[0] += amount

    def one(path: str) -> None:
        hf_hub_download(
            listing.hub,
            path,
            repo_type=listing.kind,
            revision=listing.commit,
            local_dir=folder,
            tqdm_class=_counter(counted),
        )
        if not is_whole(folder / path, listing.files[path]):
            (folder / path).unlink()
            raise PrimumError(f"{source.where}: {source.at}: {path} is not what the hub states of it: run again")

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        with refusals(source.where, source.kind, source.hub, source.revision):
            waiting = {pool.submit(one, path) for path in paths}
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_EXCEPTION)
                for each in done:
                    each.result()
                report(count[0])
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes


def _counter(counted: Callable[[int], None]) -> type:
    """What the client takes for a progress bar: it tells ``counted`` the bytes of every piece, and shows nothing."""

    class Counter(silent_tqdm):  # type: ignore[misc]
        def update(self, amount: float | None = 1) -> None:
            counted(int(amount or 0))

        def close(self) -> None: ...

        def update_transfer(self, amount: float | None = 1) -> None: ...

        def set_postfix_str(self, *_: object, **__: object) -> None: ...

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None: ...

    return Counter
