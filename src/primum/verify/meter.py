"""How far the reading is, in bytes: a bar on a terminal, and elsewhere a line every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from primum import progress
from primum.verify.reading import Tick

_MEGABYTE = 1_000_000


@contextmanager
def metered(size: int) -> Iterator[Tick]:
    """Give what is to be told of each number of bytes that was read, of ``size`` in all; any thread may call it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(size)
        return
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=size)
        yield lambda read: bar.advance(task, read)


def _lines(size: int) -> Tick:
    said, lock, begun, done = progress.Progress("verify"), threading.Lock(), time.monotonic(), 0

    def tick(read: int) -> None:
        nonlocal done
        with lock:
            done += read
            rate = done / max(time.monotonic() - begun, 1e-9) / 1e9
            # In megabytes, which a run's terminal shows as the job's progress. The end is told by the summary.
            if done // _MEGABYTE < size // _MEGABYTE:
                said.update("reading", done // _MEGABYTE, size // _MEGABYTE, note=f"{rate:.2f} GB/s")

    return tick
