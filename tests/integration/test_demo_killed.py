"""A run of the demo that is killed again and again ends like an undisturbed one, with no manual unlock."""

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
from demo_run import take_trained
from runs import ROOT, command, contents, environment, run

pytestmark = pytest.mark.demo

KILLS = 20
# Trainings that the killed runs find in their store, where half of the demo's time goes: one supervised tuning and the
# preference stages are left, which are killed as well. Kills within a pretraining are tests/slurm/test_faults.py's.
TRAINED = ("base", "sft", "medical", "judge", "criteria-judge", "medical-dpo-safe")
# Every stage has its jobs with these models, and more of a kind show nothing new.
SCORED = ("sft", "dpo-2-on-policy", "medical-dpo-safe")
SEED = 20240314


def start(results: Path, experiment: Path) -> subprocess.Popen[bytes]:
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
        return [child for child in children if "--request" in child.cmdline()]
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


def begin_again(results: Path, demo: Path) -> None:
    """Nothing under ``results`` but a store with the longest trainings."""
    shutil.rmtree(results, ignore_errors=True)
    take_trained(demo, results / ".store", TRAINED)


@pytest.fixture
def undisturbed(demo: Path, experiment: str, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The demo with fewer models, and what it makes of the whole demo's store."""
    source = Path(experiment) if experiment.endswith(".yaml") else ROOT / "config/experiments/demo.yaml"
    document = yaml.safe_load(source.read_text())
    document["evaluate"]["models"] = list(SCORED)
    path = tmp_path / "fewer.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    shutil.copytree(demo / ".store", tmp_path / "undisturbed/.store", copy_function=os.link)
    run(tmp_path / "undisturbed", experiment=path)
    return path, contents(tmp_path / "undisturbed")


@pytest.mark.faults
def test_a_run_killed_at_random_moments_ends_like_an_undisturbed_one(
    demo: Path, undisturbed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    experiment, expected = undisturbed
    draw = random.Random(SEED)
    killed = {"worker": 0, "everything": 0, "snakemake": 0}
    results = tmp_path / "results"
    begin_again(results, demo)
    while sum(killed.values()) < KILLS:
        process = start(results, experiment)
        time.sleep(draw.uniform(3, 20))
        if process.poll() is None:
            killed[kill(process, draw)] += 1
            continue
        assert process.returncode == 0, (results / "output").read_text()[-3000:]
        assert contents(results) == expected
        begin_again(results, demo)
    run(results, experiment=experiment)
    assert contents(results) == expected
    left = [path for path in results.rglob(".*") if path.is_file() and path.name != ".lock"]
    assert not left
    assert min(killed.values()) >= 3, killed
