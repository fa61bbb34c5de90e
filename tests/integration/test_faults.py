"""Killing the demo again and again: after rerunning, every content hash is the uninterrupted run's, with no manual unlock."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from runs import ROOT, command, contents, environment, run

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("demo")]

KILLS = 20
SEED = 20240314


def start(results: Path, experiment: str) -> subprocess.Popen[bytes]:
    with (results / "output").open("ab") as output:
        return subprocess.Popen(
            command(results, experiment=experiment),
            cwd=ROOT,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The stages that are running under a Snakemake process."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "--spec" in child.cmdline()]
    except psutil.NoSuchProcess:
        return []


def kill(process: subprocess.Popen[bytes], draw: random.Random) -> str:
    """SIGKILL a worker, Snakemake alone (its workers live on), or Snakemake and its workers; says whom."""
    whom = draw.choice(["worker", "snakemake", "everything"])
    running = workers(process)
    if whom == "worker" and running:
        draw.choice(running).kill()
        process.wait(timeout=900)  # Snakemake stops by itself when a job fails, after the jobs beside it
        return whom
    if whom == "snakemake":
        process.kill()
    else:
        whom = "everything"
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return whom


def test_a_run_killed_at_random_moments_ends_like_an_undisturbed_one(
    demo: Path, experiment: str, tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    killed = {"worker": 0, "everything": 0, "snakemake": 0}
    results = tmp_path / "results"
    results.mkdir()
    while sum(killed.values()) < KILLS:
        process = start(results, experiment)
        time.sleep(draw.uniform(3, 25))
        if process.poll() is None:
            killed[kill(process, draw)] += 1
            continue
        assert process.returncode == 0, (results / "output").read_text()[-3000:]
        # It got through: compare, and begin again with nothing.
        assert contents(results) == contents(demo)
        shutil.rmtree(results)
        results.mkdir()
    run(results, experiment=experiment)
    assert contents(results) == contents(demo)
    left = [path for path in results.rglob(".*") if path.is_file() and path.name != ".lock"]
    assert not left
    assert min(killed.values()) >= 3, killed
