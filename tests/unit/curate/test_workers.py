"""A function of batches in several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from primum.curate.workers import in_order, processes
from primum.errors import PrimumError


def slow_first(batch: int) -> int:
    time.sleep(0.3 if batch == 0 else 0)
    return 10 * batch


def killed(batch: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return batch


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_batches(count: int, tmp_path: Path) -> None:
    assert list(in_order(slow_first, iter(range(20)), count, tmp_path)) == [10 * i for i in range(20)]


def test_batches_are_not_all_read_at_once(tmp_path: Path) -> None:
    read: list[int] = []

    def batches() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    results = in_order(slow_first, batches(), 2, tmp_path)
    next(results)
    assert len(read) == 8, "four a process"
    results.close()  # type: ignore[attr-defined]


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="killed: give it more memory"):
        list(in_order(killed, [1, 2], 2, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("told", "count"), [("4", 4), ("1", 1), ("", 1), ("0", 1), ("many", 1)])
def test_snakemake_tells_how_many(monkeypatch: pytest.MonkeyPatch, told: str, count: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert processes() == count


_JOB = """
import os, sys, time
from pathlib import Path
from primum.curate.workers import in_order

def work(batch):
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    list(in_order(work, [1, 2], 2, Path(sys.argv[1])))
"""


def test_the_processes_of_a_killed_job_end(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(_JOB, encoding="utf-8")
    job = subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None
    workers = [int(job.stdout.readline()) for _ in range(2)]
    job.kill()
    job.wait()
    deadline = time.monotonic() + 60
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline, "they wait for ever"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
