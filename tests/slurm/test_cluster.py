"""The cluster itself: what it offers, how jobs end in it, and that up and down touch nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cluster as script
import debian
import pytest
from cluster import Cluster
from configuration import GPU_TYPE, GPUS, NODES
from daemons import ClusterError, Daemon, began, wait_for


@pytest.fixture
def idle(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with nothing to do, before and after."""
    yield cluster
    cluster.scancel("--user=root")
    wait_for("the queue is empty", lambda: not cluster.squeue(), 120)


def processes_of(folder: Path) -> set[int]:
    """Whatever has the folder in its command line or environment, this test itself left out."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in named and began(int(process.name)) is not None:
            found.add(int(process.name))
    return found


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_two_nodes_with_four_gpus_each_are_idle(idle: Cluster) -> None:
    shown = idle.run("sinfo", "--Node", "--noheader", "--partition=main", "--format=%N %T %c %m %G")
    assert shown.splitlines() == [f"{name} idle 8 16000 gpu:{GPU_TYPE}:{GPUS}" for name in NODES]


def test_accounting_knows_what_a_job_over_two_nodes_had(idle: Cluster, tmp_path: Path) -> None:
    # Without SLURM_CONF, as Snakemake's jobstep starts its steps.
    step = "srun --nodes=2 --ntasks=2 --ntasks-per-node=1 sh -c 'echo $(hostname) $CUDA_VISIBLE_DEVICES'"
    options = ["--nodes=2", "--ntasks=2", "--cpus-per-task=4", f"--gres=gpu:{GPUS}", "--mem=6G", "--time=5"]  # per node
    named = ["--job-name=both", "--comment=a | b", f"--output={tmp_path}/out"]
    job = idle.sbatch(f"env --unset=SLURM_CONF {step}", *options, *named)
    found = idle.wait_job(job)
    assert sorted((tmp_path / "out").read_text().splitlines()) == [f"{name} 0,1,2,3" for name in NODES]
    assert found["AllocTRES"] == f"billing=8,cpu=8,gres/gpu:{GPU_TYPE}=8,gres/gpu=8,mem=12G,node=2"
    assert found["ReqTRES"] == "billing=8,cpu=8,gres/gpu=8,mem=12G,node=2"
    expected = {"NNodes": "2", "Timelimit": "00:05:00", "ReqMem": "12G", "State": "COMPLETED", "ExitCode": "0:0"}
    expected |= {"JobName": "both", "Comment": "a | b", "Account": "lab", "NodeList": "node[1-2]"}
    assert {name: found[name] for name in expected} == expected


def test_a_job_total_of_gpus_may_be_split_over_nodes(idle: Cluster) -> None:
    found = idle.wait_job(idle.sbatch("exit 3", "--gpus=6", "--nodes=2"))
    assert (found["State"], found["ExitCode"], found["NNodes"]) == ("FAILED", "3:0", "2")
    assert "gres/gpu=6" in found["AllocTRES"].split(",")


def test_a_cancelled_job(idle: Cluster) -> None:
    job = idle.sbatch("sleep 600")
    idle.wait_state(job, "RUNNING")
    idle.scancel(job)
    assert idle.wait_job(job)["State"] == "CANCELLED by 0"


def test_a_job_over_its_time(idle: Cluster) -> None:
    job = idle.sbatch("sleep 600", "--time=1")
    idle.wait_state(job, "RUNNING")
    # A limit is a minute at least, and is looked at every 30 s.
    idle.scontrol("update", f"JobId={job}", "EndTime=now")
    assert idle.wait_job(job)["State"] == "TIMEOUT"


def test_a_preempted_job_runs_again(idle: Cluster, tmp_path: Path) -> None:
    low = idle.sbatch(
        f"echo run >>{tmp_path}/runs; sleep 3", "--requeue", "--partition=low", "--nodes=2", f"--gres=gpu:{GPUS}"
    )
    wait_for("the job has begun", (tmp_path / "runs").exists, 120)
    high = idle.sbatch("true", "--partition=high", "--gpus=1")
    assert idle.wait_job(high)["State"] == "COMPLETED"
    idle.wait_job(low)
    assert [run["State"] for run in idle.accounting(f"--jobs={low}", "--duplicates")] == ["PREEMPTED", "COMPLETED"]
    assert (tmp_path / "runs").read_text() == "run\nrun\n"


def test_a_lost_node_gives_its_jobs_back(idle: Cluster, tmp_path: Path) -> None:
    job = idle.sbatch(f"echo $SLURMD_NODENAME >>{tmp_path}/runs; exec sleep 600", "--requeue", "--nodelist=node1")

    def sleepers() -> list[int]:
        """Not in the file of its first line: the job has process numbers of its own."""
        return [pid for pid in processes_of(idle.folder) if command_of(pid) == b"sleep\x00600\x00"]

    wait_for("the job sleeps", sleepers, 120)
    (sleeper,) = sleepers()
    idle.kill_node(1)
    assert began(sleeper) is None
    idle.wait_node_state(1, "down")
    assert idle.node_states()["node2"] == "idle"
    assert idle.squeue(f"--jobs={job}")[0]["State"] == "PENDING"
    idle.start_node(1)
    wait_for("the job has begun again", lambda: (tmp_path / "runs").read_text() == "node1\n" * 2, 120)
    assert idle.accounting(f"--jobs={job}", "--duplicates")[0]["State"] == "NODE_FAIL"


def test_up_again_restarts_only_what_died(idle: Cluster) -> None:
    lost = idle.sbatch("sleep 600", "--requeue", "--nodelist=node1")
    kept = idle.sbatch("sleep 600", "--nodelist=node2")
    for job in (lost, kept):
        idle.wait_state(job, "RUNNING")
    # slurmctld writes down what it knows every few seconds: before that, its death loses the job.
    saved, moment = idle.folder / "state/controller/job_state", time.time()
    wait_for("the jobs are saved", lambda: saved.exists() and saved.stat().st_mtime > moment, 120)
    before = {daemon.name: daemon.pid for daemon in idle.daemons}
    dead = [idle.slurmdbd, idle.slurmctld, idle.nodes[0]]
    for daemon in dead:
        daemon.kill()
    assert idle.up() == [daemon.name for daemon in dead]
    after = {daemon.name: daemon.pid for daemon in idle.daemons}
    assert {name for name in after if after[name] != before[name]} == {daemon.name for daemon in dead}
    assert None not in after.values()
    assert [idle.state(job) for job in (lost, kept)] == ["PENDING", "RUNNING"]
    assert idle.up() == []


def test_down_stops_its_own_and_nothing_else(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Cluster(tmp_path_factory.mktemp("other"))
    command = [sys.executable, script.__file__]
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            up = subprocess.run([*command, "up", other.folder], capture_output=True, text=True, check=True).stdout
            assert up.splitlines()[-1] == f". {other.folder}/env.sh"
            sourced = ["sh", "-c", f". {other.folder}/env.sh && squeue --noheader --format=%j"]
            other.sbatch("setsid sleep 600 & sleep 600", "--job-name=there")
            assert subprocess.run(sourced, capture_output=True, text=True, check=True).stdout == "there\n"
            wait_for("the job runs", lambda: other.squeue()[0]["State"] == "RUNNING", 120)
            before = {daemon.name: daemon.pid for daemon in cluster.daemons}
            # An id that the system has given to someone else since.
            other.nodes[1].kill()
            other.nodes[1].record.write_text(f"{stranger.pid} 1\n", encoding="utf-8")
            down = subprocess.run([*command, "down", other.folder], capture_output=True, text=True, check=True).stdout
            assert down == "stopped: node1 slurmctld slurmdbd mariadbd munged\n"
            assert processes_of(other.folder) == set()
            assert stranger.poll() is None
            assert {daemon.name: daemon.pid for daemon in cluster.daemons} == before
            assert other.down() == []
        finally:
            other.down()
            shutil.rmtree(other.folder)
            stranger.kill()


def test_a_daemon_that_dies_is_an_error_of_one_line(tmp_path: Path) -> None:
    for name in ("log", "run"):
        (tmp_path / name).mkdir()
    daemon = Daemon("broken", tmp_path)
    daemon.start(["sh", "-c", "echo first; echo no such port; exit 1"], {})
    with pytest.raises(ClusterError, match=r"^broken died at start: no such port \(/.*/log/broken\.out\)$"):
        daemon.wait(lambda: False, 10)


def test_a_daemon_that_is_late_is_an_error_of_one_line(tmp_path: Path) -> None:
    for name in ("log", "run"):
        (tmp_path / name).mkdir()
    daemon = Daemon("slow", tmp_path)
    daemon.start(["sh", "-c", "echo loading; sleep 600; exit"], {}, forks=True)
    try:
        with pytest.raises(ClusterError, match=r"^slow did not come up within 1 s: loading \(/.*/log/slow\.out\)$"):
            daemon.wait(lambda: False, 1)
    finally:
        daemon.kill()


@pytest.mark.parametrize("tool", ["root", "apt-get"])
def test_what_this_machine_lacks_is_said(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000 if tool == "root" else 0)
    monkeypatch.setattr("cluster.NODE_NAMESPACES", [])
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    # Not tmp_path, since a path of sockets must be short.
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(sys, "argv", ["cluster.py", "up", folder])
        with pytest.raises(SystemExit, match=rf"^cluster: needs .*{tool}"):
            script.main()
