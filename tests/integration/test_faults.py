"""Killing a run again and again: after rerunning, every content hash is the uninterrupted run's, with no manual unlock."""

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
import yaml
from runs import ROOT, command, contents, environment, run

pytestmark = pytest.mark.faults

KILLS = 20
SEED = 20240314


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with all its stages, sources and models, but few training steps: what is tested is not what it learns."""
    content = yaml.safe_load((ROOT / "config/experiments/demo.yaml").read_text())
    for model in content["models"].values():
        optimization = dict(model["optimization"])
        optimization.pop("epochs", None)
        model["optimization"] = {**optimization, "steps": 6, "checkpoint_steps": 2}
    content["sampling"]["max_tokens"] = 4
    content["evaluate"]["models"] = ["sft", "dpo-3", "medical-safe"]
    path = tmp_path_factory.mktemp("quick") / "quick.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def uninterrupted(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The content hashes of a run that nothing disturbed."""
    results = tmp_path_factory.mktemp("uninterrupted")
    run(results, experiment=quick)
    return contents(results)


def start(results: Path, quick: Path) -> subprocess.Popen[bytes]:
    with (results / "output").open("ab") as output:
        return subprocess.Popen(
            command(results, experiment=quick),
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


def kill(process: subprocess.Popen[bytes], whom: str, draw: random.Random) -> bool:
    """SIGKILL a worker, Snakemake alone (its workers live on), or Snakemake and its workers; False if it had ended."""
    if process.poll() is not None:
        return False
    if whom == "worker":
        running = workers(process)
        if not running:
            return False
        draw.choice(running).kill()
        process.wait(timeout=120)  # Snakemake stops by itself when a job fails
        return True
    if whom == "everything":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return True


def test_a_run_killed_at_random_moments_ends_like_an_undisturbed_one(
    quick: Path, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    killed = {"worker": 0, "everything": 0, "snakemake": 0}
    results = tmp_path / "results"
    results.mkdir()
    while sum(killed.values()) < KILLS:
        process = start(results, quick)
        time.sleep(draw.uniform(3, 14))
        whom = draw.choice(list(killed))
        if kill(process, whom, draw):
            killed[whom] += 1
        elif process.poll() == 0:
            # It got through: compare, and begin again with nothing.
            assert contents(results) == uninterrupted
            shutil.rmtree(results)
            results.mkdir()
        else:
            process.wait(timeout=600)
    run(results, experiment=quick)
    assert contents(results) == uninterrupted
    left = [path for path in results.rglob(".*") if path.is_file() and path.name != ".lock"]
    assert not left
    assert min(killed.values()) >= 3, killed
