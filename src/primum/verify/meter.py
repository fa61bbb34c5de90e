"""How far the reading is, in bytes: a bar on a terminal, and elsewhere a line every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from primum import progress
from primum.verify.reading import Tick

_INTERVAL = 5.0


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
    said, done, begun, lock = progress.Progress("verify"), 0, time.monotonic(), threading.Lock()
    last = begun

    def tick(read: int) -> None:
        nonlocal done, last
        with lock:
            done += read
            now = time.monotonic()
            if now - last < _INTERVAL:
                return
            last = now
            rate = done / (now - begun)
            left = f", {(size - done) / rate:,.0f} s left" if rate and size > done else ""
            said.say(f"{decimal(done)} of {decimal(size)}, {rate / 1e9:.2f} GB/s{left}")

    return tick
