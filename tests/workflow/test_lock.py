"""Several runs in one folder, and runs that were killed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from project import copy_project, environment
from tiny import TINY, command, snakemake, started, write
from tiny_run import TinyRun

from primum.artifact.job import item_spec
from primum.artifact.manifest import Artifact, artifact_key, measure
from primum.artifact.store import Store
from primum.dag.workflow import open_workflow

HOLD = """
import sys, time
from pathlib import Path
from primum.dag.workflow import open_workflow
run = open_workflow({"experiment": "tiny"}, Path.cwd())
run.begin()
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = copy_project(tmp_path / "project")
    write(project)
    return project


@pytest.fixture
def holder(project: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the experiment, as a run does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=project,
        env=environment(project),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_run_says_who_holds_the_folder_and_stops(project: Path, holder: subprocess.Popen[str]) -> None:
    output = snakemake(project, fails=True)
    (line,) = [line for line in output.splitlines() if "in use" in line]
    said = (
        rf"primum: error: results/tiny is in use by process {holder.pid} on \S+ since [\d :-]+: wait for it, or stop it"
    )
    assert re.fullmatch(said, line)
    assert "Traceback" not in output
    assert started(output) == set()
    assert not (project / "results/tiny/data").exists()
    assert line in snakemake(project, "--touch", fails=True)
    # Looking is allowed, and so is another experiment in the same folder.
    assert "fetch_dataset" in snakemake(project, "--dry-run")
    write(project, TINY | {"name": "other"})
    assert started(snakemake(project, "--until", "fetch_dataset", experiment="other")) == {"fetch_dataset"}


def test_the_holder_may_die_in_any_way(project: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (project / "results/tiny/.lock").read_text().startswith(f"process {holder.pid} ")
    assert started(snakemake(project, "--until", "fetch_dataset")) == {"fetch_dataset"}


def _started_run(project: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*arguments),
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _claims(project: Path) -> int:
    """How many keys of the store are claimed by jobs."""
    claimed = 0
    for path in (project / "results/.store/locks").glob("*"):
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                claimed += 1
    return claimed


def _wait_for(condition: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


BEFORE = ("fetch", "read", "mix")  # what the training reads


def test_after_kill_9_the_same_command_goes_on(project: Path, tiny_run: TinyRun) -> None:
    """Snakemake alone is killed while a job trains: no unlock, and the job that survived it is not done twice."""
    tiny_run.give(project, *BEFORE)
    log = project / "results/tiny/logs/pretrain/base.log"
    first = _started_run(project, "--until", "pretrain_model")
    _wait_for(lambda: _claims(project) > 0)  # the job has claimed its key, and is about to load torch
    first.kill()
    first.wait()
    os.killpg(first.pid, signal.SIGSTOP)  # the job is an orphan now, and takes its time
    assert not list((project / ".snakemake/locks").glob("*.lock"))
    second = _started_run(project, "--until", "pretrain_model")
    try:
        _wait_for(lambda: log.exists() and "base: waiting for its maker" in log.read_text())
        os.killpg(first.pid, signal.SIGCONT)
        assert second.wait(timeout=600) == 0
    finally:
        for run in (first, second):
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    assert "base: taken from the store" in log.read_text()
    assert (project / "results/tiny/models/base/manifest.json").exists()
    assert started(snakemake(project, "--until", "pretrain_model")) == set()


def test_after_everything_was_killed_nothing_half_written_is_used(project: Path, tiny_run: TinyRun) -> None:
    tiny_run.give(project, *BEFORE)
    run = _started_run(project, "--until", "pretrain_model")
    _wait_for(lambda: any((project / "results/tiny/logs/pretrain").glob("*.log")))
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (project / "results/tiny/models/base/manifest.json").exists()
    store = project / "results/.store"
    dead = store / "tmp" / f"{os.uname().nodename}-{run.pid}-00000000"
    dead.mkdir(parents=True)
    output = snakemake(project, "--until", "pretrain_model")
    assert started(output) == {"pretrain_model"}
    assert not list((store / "tmp").iterdir())


EXPERIMENTS = ("one", "two", "three", "four")


def _own_corpus(name: str, corpus: bytes) -> dict[str, object]:
    """TINY with a corpus of its own, from a mirror."""
    file = {"path": f"{name}.jsonl", "url": "https://example.org", "sha256": hashlib.sha256(corpus).hexdigest()}
    dataset = {"title": name, "adapter": "text", "license": "Apache-2.0", "files": [file]}
    text = {"sources": {"corpus": {"dataset": f"corpus-{name}", "take": 60}}, "decontaminate": False}
    mixtures = TINY["mixtures"] | {"text": text}
    return TINY | {"name": name, "mixtures": mixtures, "datasets": {f"corpus-{name}": dataset}}


def _corpus_key(project: Path, name: str) -> str:
    """The store's key of that corpus."""
    jobs = open_workflow({"experiment": name}, project).dag.jobs
    spec = next(json.loads(job.spec) for job in jobs if (job.stage.name, job.name) == ("fetch", f"corpus-{name}"))
    ((_, item),) = spec["items"]
    return artifact_key(item_spec(spec, item), {})


def test_of_twenty_starts_at_once_each_experiment_is_run_by_one(project: Path, tmp_path: Path) -> None:
    """Four experiments, five starts each, two of them without the project's profile, in a folder that never had a run.

    Somebody else makes each corpus for now, so each holder waits until all others are gone; then the four end together.
    """
    corpus = (project / "data/demo/corpus.jsonl").read_bytes()
    (tmp_path / "mirror").mkdir()
    gates = ExitStack()
    for name in EXPERIMENTS:
        write(project, _own_corpus(name, corpus))
        (tmp_path / f"mirror/{name}.jsonl").write_bytes(corpus)
        gates.enter_context(Store(project / "results/.store").lock(_corpus_key(project, name), lambda: None))
        (project / "results" / name).mkdir(parents=True)
        (project / "results" / name / ".lock").write_text("process 1 on elsewhere, which has been dead for long")
    runs: list[tuple[str, subprocess.Popen[str]]] = []
    for start in range(20):
        name = EXPERIMENTS[start % 4]
        options = [f"mirror={tmp_path}/mirror", "--until", "mix_sources"]
        options += ["--workflow-profile", "none"] if start % 5 in (1, 3) else []
        output = (tmp_path / f"{start}.txt").open("w")
        process = subprocess.Popen(
            command(*options, experiment=name),
            cwd=project,
            env=environment(project),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        runs.append((name, process))
        output.close()
    try:
        _wait_for(lambda: sum(run.poll() is None for _, run in runs) <= len(EXPERIMENTS))
        holders = {name: run for name, run in runs if run.poll() is None}
        assert set(holders) == set(EXPERIMENTS)
        logs = [project / f"results/{name}/logs/fetch/corpus-{name}.log" for name in EXPERIMENTS]
        _wait_for(lambda: all(log.exists() and "waiting for its maker" in log.read_text() for log in logs))
        assert not list((project / ".snakemake/locks").glob("*"))  # Snakemake's, which one of them would delete for all
        gates.close()
        for start, (name, run) in enumerate(runs):
            code, output = run.wait(timeout=600), (tmp_path / f"{start}.txt").read_text()
            assert "Traceback" not in output
            if run is holders[name]:
                assert code == 0, output
                assert started(output) == {"fetch_dataset", "read_training", "mix_sources"}
                continue
            said = re.findall(r"^primum: error: .*", output, re.MULTILINE)
            assert code != 0, output
            assert len(said) == 1
            assert said[0].startswith(f"primum: error: results/{name} is in use by process {holders[name].pid} on ")
            assert started(output) == set()
    finally:
        gates.close()
        for _, run in runs:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    for name in EXPERIMENTS:
        made = sorted((project / "results" / name / "data").glob("*/*.json"))
        assert {f"mixtures/{mixture}" for mixture in ("text", "chat")} <= {f"{p.parent.name}/{p.stem}" for p in made}
        for path in made:
            artifact = Artifact.open(path)
            assert measure(artifact.data, artifact.manifest.kind)[0] == artifact.manifest.content
    assert not list((project / "results/.store/tmp").glob("*"))
