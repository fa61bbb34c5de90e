"""A function of many batches, in several processes, its results in the order of the batches."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from primum.errors import PrimumError

A = TypeVar("A")
B = TypeVar("B")
_held: list[Callable[[Any], Any]] = []  # of a process, what it does


def processes() -> int:
    """How many a job may use: Snakemake tells a job its threads by this variable; without it, one."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else 1


def to_ipc(rows: pa.Table) -> bytes:
    """Rows as they are sent to a process: pickled as it is, a slice takes the whole table that it is a part of with it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    sent: bytes = sink.getvalue().to_pybytes()
    return sent


def from_ipc(sent: bytes) -> pa.Table:
    """The inverse of :func:`to_ipc`."""
    return pa.ipc.open_stream(sent).read_all()


def in_order(function: Callable[[A], B], batches: Iterable[A], count: int, folder: Path) -> Iterator[B]:
    """``function`` of each batch, by ``count`` processes, in the order of ``batches``; at most four a process are under way.

    The function and what it holds are read by each process once, from a file in ``folder``. An error of a batch is raised here.
    """
    if count == 1:
        yield from map(function, batches)
        return
    # As an argument of the processes it would be written to one after the other, each when the one before has begun.
    held = folder / "function.pickle"
    with held.open("wb") as file:
        pickle.dump(function, file, pickle.HIGHEST_PROTOCOL)
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin, (held,))
    under_way: deque[Future[B]] = deque()
    try:
        for batch in batches:
            under_way.append(pool.submit(_call, batch))
            if len(under_way) >= 4 * count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise PrimumError("a process of the job was killed: give it more memory (mem_mb) or fewer threads") from None
    finally:
        pool.shutdown(cancel_futures=True)
        held.unlink(missing_ok=True)


def _begin(held: Path) -> None:
    with held.open("rb") as file:
        _held.append(pickle.load(file))  # noqa: S301  (the job's own, of a moment ago)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the job's to answer
    # A killed job says nothing to its processes: they would wait for ever.
    threading.Thread(target=_end_with_the_job, daemon=True).start()


def _end_with_the_job() -> None:
    job = multiprocessing.parent_process()
    if job is not None:
        job.join()
        os._exit(1)


def _call(batch: Any) -> Any:
    return _held[0](batch)
