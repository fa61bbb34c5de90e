"""How far the reading is, in bytes, and what is checked then: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from primum import progress
from primum.verify.reading import Tick

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Meter:
    """``tick`` is to be told of each number of bytes that was read, by any thread; ``tell`` of what is being done."""

    tick: Tick
    tell: Callable[[str], None]


@contextmanager
def metered(size: int) -> Iterator[Meter]:
    """A meter of ``size`` bytes in all. Nothing of it stays on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(size)
        return
    named = TextColumn("{task.description}")
    columns = (named, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=size)
        yield Meter(lambda read: bar.advance(task, read), lambda what: bar.update(task, description=what))


def _lines(size: int) -> Meter:
    said, lock, begun, done = progress.Progress("verify"), threading.Lock(), time.monotonic(), 0

    def tick(read: int) -> None:
        nonlocal done
        with lock:
            done += read
            rate = done / max(time.monotonic() - begun, 1e-9) / 1e9
            # In megabytes, which a run's terminal shows as the job's progress. The end is told by the summary.
            if done // _MEGABYTE < size // _MEGABYTE:
                said.update("reading", done // _MEGABYTE, size // _MEGABYTE, note=f"{rate:.2f} GB/s")

    return Meter(tick, lambda what: None if what == "reading" else said.say(what))
