"""What a cluster does to jobs: limits, cancellation, preemption, lost nodes, lost memory, a lost Snakemake. Each ends as the
docs/cluster.md says, and a training that was interrupted ends in the weights, to the bit, of one that was not.

Every test trains the same model, on data that the store already has, in a folder of results of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from cluster import Cluster
from configuration import GPUS
from daemons import began, wait_for
from launch import Run, site
from project import DEMO, copy_project, environment
from runs import contents
from tiny import TINY, write

from primum.artifact.manifest import load_manifest

PRETRAIN, SFT = "rule_pretrain_model_wildcards_base", "rule_sft_model_wildcards_sft"
SCORE = "rule_score_benchmarks_wildcards_sft"
STEPS = 1000
MEMORY = 450  # MB: Snakemake twice and a training need more, and less than twice as much


def document(name: str, **resources: Any) -> dict[str, Any]:
    """The tiny experiment with a pretraining of ten seconds and more; a checkpoint every 50 of its steps."""
    made: dict[str, Any] = json.loads(json.dumps(TINY | {"name": name}))
    made["models"]["base"]["optimization"] |= {"steps": STEPS, "checkpoint_steps": 50}
    made["resources"] = {"pretrain": {"mem_mb": 3000, "minutes": 10}} | resources
    return made


def of_the_demo(name: str, sft: dict[str, int]) -> dict[str, Any]:
    """The tiny experiment with the demo's model."""
    made: dict[str, Any] = json.loads(json.dumps(TINY | {"name": name, "resources": {"sft": sft}}))
    made["models"]["base"]["architecture"] = yaml.safe_load(DEMO)["models"]["base"]["architecture"]
    return made


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with these experiments, and in ``whole`` what a local, undisturbed run made of the first."""
    project = copy_project(tmp_path_factory.mktemp("faults") / "project")
    site(project)
    write(project, document("plain"))
    write(project, document("hungry", pretrain={"mem_mb": MEMORY, "minutes": 10}))
    for name, nodes in (("alone", 1), ("spread", 2)):
        write(project, of_the_demo(name, {"mem_mb": 3000, "minutes": 10, "gpus": nodes, "nodes": nodes}))
    local(project, "score", "plain", "whole")
    return project


def local(project: Path, target: str, experiment: str, results: str | None = None) -> None:
    """Run a target on this machine, as one process."""
    config = ["--config", f"experiment={experiment}", f"results={results or experiment}"]
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1", *config]
    done = subprocess.run(command, cwd=project, env=environment(project), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def idle(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with nothing to do and both nodes up, before and after."""
    yield cluster
    cluster.scancel("--user=root")
    for number in (1, 2):
        cluster.start_node(number)
    wait_for("the queue is empty", lambda: not cluster.squeue(), 120)


def started(
    idle: Cluster,
    project: Path,
    results: str,
    experiment: str = "plain",
    target: str = "pretrain",
    whole: str = "whole",
) -> Run:
    """A run whose store has everything that ``whole`` has but what its target's own stage makes."""
    store = project / results / ".store"
    shutil.copytree(project / whole / ".store", store)
    for manifest in store.glob("*/*/manifest.json"):
        if load_manifest(manifest).stage == target:
            shutil.rmtree(manifest.parent)
    return Run(idle, project, results, experiment, target)


def assert_undisturbed(run: Run) -> None:
    """Every artifact that the run made is what the local, undisturbed run made."""
    whole = contents(run.project / "whole")
    made = {
        name.replace(f"{run.experiment}/", "plain/", 1): content
        for name, content in contents(run.project / run.results).items()
    }
    assert "plain/models/base/manifest.json" in made
    assert made == {name: whole[name] for name in made}


def assert_went_on(run: Run, first: int) -> None:
    """The training saved a checkpoint when it was told to stop, and the next attempt went on from that very step."""
    said = run.slurm_log(PRETRAIN, first)
    stopped = re.search(rf"stopped by SIGTERM after step (\d+) of {STEPS}: its checkpoint is saved, run again", said)
    assert stopped, said[-3000:]
    assert f"resuming from checkpoint-{stopped[1]}\n" in run.log("pretrain", "base")


def states(run: Run, comment: str = PRETRAIN) -> list[str]:
    return [job["State"].split()[0] for job in run.jobs(comment)]


def test_a_time_limit_leaves_a_checkpoint_and_the_next_attempt_goes_on_from_it(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "limited")
    with run.running() as process:
        job = run.submitted(PRETRAIN)
        with halfway(run, job):  # Slurm looks at limits every 30 s
            idle.scontrol("update", f"JobId={job}", "EndTime=now+15seconds")
        run.finish(process)
    assert_went_on(run, job)
    first, second = run.jobs(PRETRAIN)
    assert first["State"] in ("FAILED", "TIMEOUT")  # by its own exit, or, on a busy machine, by Slurm's
    assert second["State"] == "COMPLETED"
    assert second["Timelimit"] == "00:20:00"
    assert_undisturbed(run)


def test_a_limit_without_a_checkpoint_fails_clearly(idle: Cluster, project: Path) -> None:
    """A job that hangs: scoring keeps no checkpoint."""
    run = started(idle, project, "hung", target="score")
    with run.running("--retries", "0") as process:
        job = run.submitted(SCORE)
        halted(run, job, "score")
        idle.scontrol("update", f"JobId={job}", "EndTime=now")
        assert run.end(process, 240) != 0
    assert idle.wait_job(job)["State"] == "TIMEOUT"
    assert "SLURM status is: 'TIMEOUT'" in run.said()
    assert f"The logs are under {run.results}/plain/logs" in run.said()


def worker(run: Run, job: int, stage: str) -> int:
    """The process id of a stage that runs in a job of this run, 0 while there is none."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            inside = f"SLURM_JOB_ID={job}".encode() in (process / "environ").read_bytes().split(b"\0")
            inside &= (process / "cwd").readlink() == run.project  # another cluster has such a job, too
        except OSError:
            continue
        if inside and stage.encode() in words and b"--request" in words and began(int(process.name)) is not None:
            return int(process.name)
    return 0


def halted(run: Run, job: int, stage: str) -> int:
    """The process id of a stage that runs, or soon will, in a job of this run, after it was made to stand still."""
    wait_for(f"job {job} is at its {stage}", lambda: worker(run, job, stage), 120)
    process = worker(run, job, stage)
    assert process  # 0 would be the tests themselves
    os.kill(process, signal.SIGSTOP)
    return process


@contextmanager
def halfway(run: Run, job: int) -> Iterator[None]:
    """The pretraining, which stands still after its first checkpoint until it is told to stop.

    So it is not at its end before that, however fast the machine.
    """
    run.wait_step("pretrain", "base", 60)
    trainer = halted(run, job, "pretrain")
    yield
    wait_for("it is told to stop", lambda: is_told_to_stop(trainer), 120)
    with suppress(ProcessLookupError):
        os.kill(trainer, signal.SIGCONT)


def is_told_to_stop(pid: int) -> bool:
    """Whether a process that was halted has a SIGTERM waiting, was set going again, or is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return True
    status = dict(line.split(":\t", 1) for line in lines)
    waiting = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return bool(waiting >> (signal.SIGTERM - 1) & 1) or not status["State"].startswith("T")


def test_a_cancelled_job_is_retried_and_goes_on(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "cancelled")
    with run.running() as process:
        job = run.submitted(PRETRAIN)
        with halfway(run, job):
            idle.scancel(job)
        run.finish(process)
    assert states(run) == ["CANCELLED", "COMPLETED"]
    assert_went_on(run, job)
    assert_undisturbed(run)


def test_a_job_that_is_always_cancelled_ends_the_run(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "hopeless")
    with run.running("--retries", "0") as process:
        idle.scancel(run.submitted(PRETRAIN))
        assert run.end(process, 120) != 0
    assert states(run) == ["CANCELLED"]
    assert "SLURM status is: 'CANCELLED'" in run.said()


def test_a_preempted_job_is_requeued_and_goes_on(idle: Cluster, project: Path) -> None:
    site(project, "low")
    run = started(idle, project, "preempted")
    try:
        with run.running() as process:
            job = run.submitted(PRETRAIN)
            with halfway(run, job):
                # Everything of both nodes, for someone with priority.
                urgent = idle.sbatch("sleep 2", "--partition=high", "--nodes=2", f"--gres=gpu:{GPUS}", "--exclusive")
            idle.wait_job(urgent, 120)
            run.finish(process)
    finally:
        site(project)
    # The same job, twice: Slurm itself put it back into the queue.
    assert states(run) == ["PREEMPTED", "COMPLETED"]
    assert {attempt["JobID"] for attempt in run.jobs(PRETRAIN)} == {str(job)}
    assert "resuming from checkpoint-" in run.log("pretrain", "base")
    assert_undisturbed(run)


def test_a_job_whose_node_is_lost_is_requeued_and_goes_on(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "lost")
    with run.running() as process:
        job = run.submitted(PRETRAIN)
        with halfway(run, job):
            idle.kill_node(int(idle.squeue(f"--jobs={job}")[0]["NodeList"].removeprefix("node")))
        run.finish(process)
    assert states(run) == ["NODE_FAIL", "COMPLETED"]
    assert {attempt["JobID"] for attempt in run.jobs(PRETRAIN)} == {str(job)}
    assert "resuming from checkpoint-" in run.log("pretrain", "base")
    assert_undisturbed(run)


def test_a_job_that_needs_more_memory_gets_it(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "starved", experiment="hungry")
    with run.running() as process:
        run.finish(process)
    attempts = run.jobs(PRETRAIN)
    assert len(attempts) > 1
    assert [job["ReqMem"] for job in attempts] == [f"{MEMORY * number}M" for number in range(1, len(attempts) + 1)]
    assert [job["Timelimit"] for job in attempts] == ["00:10:00", "00:20:00", "00:30:00"][: len(attempts)]
    assert {job["State"].split()[0] for job in attempts[:-1]} <= {"FAILED", "OUT_OF_MEMORY"}
    assert attempts[-1]["State"] == "COMPLETED"
    assert_undisturbed(run)


def test_a_killed_snakemake_is_started_again_and_nothing_runs_twice(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "killed")
    with run.running() as process:
        first = run.submitted(PRETRAIN)
        run.wait_step("pretrain", "base", 60)
        # It must still run when the next one is submitted, however fast the machine.
        trainer = halted(run, first, "pretrain")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert idle.state(first) == "RUNNING"
    with run.running() as process:
        second = run.submitted(PRETRAIN, after=first)
        # It holds nothing while the first one runs.
        assert idle.state(second) == "PENDING"
        os.kill(trainer, signal.SIGCONT)
        run.finish(process)
    assert f"job {first} ({PRETRAIN}) of a killed run is running" in run.said()
    assert states(run) == ["COMPLETED", "COMPLETED"]
    log = run.log("pretrain", "base")
    assert "base: taken from the store" in log
    assert " parameters, " not in log  # what a training says first
    assert_undisturbed(run)


def test_what_a_killed_snakemake_left_waiting_is_cancelled(idle: Cluster, project: Path) -> None:
    run = started(idle, project, "queued")
    blockers = [idle.sbatch("sleep 600", "--nodes=2", "--exclusive")]
    with run.running() as process:
        first = run.submitted(PRETRAIN)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert idle.state(first) == "PENDING"
    with run.running() as process:
        idle.wait_state(first, "CANCELLED", seconds=120)
        idle.scancel(*blockers)
        run.finish(process)
    assert states(run) == ["CANCELLED", "COMPLETED"]
    assert_undisturbed(run)


def test_training_on_two_nodes(idle: Cluster, project: Path) -> None:
    """The demo's model, tuned by two processes over gloo: the same training as by one, but for the order of sums."""
    local(project, "sft", "alone")
    run = started(idle, project, "two", experiment="spread", target="sft", whole="alone")
    with run.running() as process:
        run.finish(process)
    (job,) = run.jobs(SFT)
    assert (job["State"], job["NNodes"]) == ("COMPLETED", "2")
    assert "gres/gpu=2" in job["AllocTRES"].split(",")
    together, alone = project / "two/spread/models/sft", project / "alone/alone/models/sft"
    assert load_manifest(together / "manifest.json").run["cost"]["processes"] == 2
    assert load_manifest(together / "manifest.json").key == load_manifest(alone / "manifest.json").key
    losses = [pq.read_table(folder / "history.parquet").column("loss").to_pylist() for folder in (together, alone)]
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)
