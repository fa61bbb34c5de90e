"""`primum plan` against Snakemake: what each job reads and asks for, what there is already, and the budget's refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import DEMO, ROOT, Planner, environment
from tiny import STAGES as EVERY
from tiny import TINY, snakemake, started, write
from tiny_run import TinyRun

from primum.artifact.manifest import load_manifest
from primum.artifact.store import Store
from primum.audit.cost import architecture_parameters, asked_of
from primum.dag.dag import STAGES
from primum.dag.state import JobState
from primum.dag.workflow import open_workflow
from primum.experiment.models import Architecture

EXPERIMENTS = sorted(path.stem for path in (ROOT / "config/experiments").glob("*.yaml"))
CHANGED = TINY | {"sampling": {"max_tokens": 7}}
BEHIND_THE_CHANGE = {"generate", "verdicts", "tables", "report"}
GPU = {"generate": {"gpus": 1, "minutes": 60}}  # not asked for in a dry run or a refusal, where the tests have none


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_inputs_and_resources_are_those_of_snakemakes_graph(planner: Planner, name: str) -> None:
    _compare_graphs(planner, name)


def test_a_model_behind_an_endpoint_answers_benchmarks(planner: Planner) -> None:
    document = yaml.safe_load(DEMO)
    document["models"]["api"] = {"endpoint": "x", "engine": {"kind": "openai"}}
    document["evaluate"]["models"].append("api")
    with planner.experiment(document) as given:
        _compare_graphs(planner, given)
        assert "answer_api" in planner.ask("plan", config={"experiment": given})["planned"]


def _compare_graphs(planner: Planner, experiment: str) -> None:
    graph = planner.ask("graph", config={"experiment": experiment})["graph"]
    run = open_workflow({"experiment": experiment}, ROOT)
    ours = {}
    for job in run.dag.jobs:
        asked = asked_of(run, JobState(job, "to run"))
        reads = {role: sorted(job.plan.reads(role)) for role in job.plan.roles}
        entry: dict[str, Any] = {"reads": reads, "gpus": asked.gpus, "nodes": asked.nodes}
        if job.stage.target == "fetch":  # runs where Snakemake does, and has no limit
            graph[" ".join(sorted(job.paths))].pop("minutes")
        else:
            entry["minutes"] = asked.minutes
        ours[" ".join(sorted(job.paths))] = entry
    assert ours == graph


@pytest.fixture(scope="module")
def finished(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the tiny experiment has run."""
    return tiny_run.copy(tmp_path_factory.mktemp("cost") / "project")


@pytest.fixture
def project(finished: Path) -> Iterator[Path]:
    """The same, as it was, whatever the test before did."""
    backup = finished.with_name("backup")
    for folder in ("results", ".snakemake"):
        shutil.copytree(finished / folder, backup / folder)
    yield finished
    for folder in ("results", ".snakemake"):
        shutil.rmtree(finished / folder)
        (backup / folder).rename(finished / folder)
    write(finished)


def _python(project: Path, code: str, *arguments: str) -> str:
    """What the code prints, run by the copy's own package: the keys have the digest of its code."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


_STATES = """
import json, sys
from pathlib import Path
from primum.dag.state import state_of
from primum.dag.workflow import open_workflow
jobs = state_of(open_workflow(json.loads(sys.argv[1]), Path.cwd())).jobs
print(json.dumps([[job.state, job.stage] for job in jobs]))
"""


def _states(project: Path, **config: str) -> dict[str, set[str]]:
    """State -> the stages with jobs in it."""
    states: dict[str, set[str]] = {"up to date": set(), "stored": set(), "to run": set()}
    for state, stage in json.loads(_python(project, _STATES, json.dumps({"experiment": "tiny", **config}))):
        states[state].add(stage)
    return states


def _planned(project: Path) -> set[str]:
    """The stages that Snakemake would start, by the manifests that it names as outputs."""
    rules = started(snakemake(project, "-n"))
    names = {stage.rule.partition("_{")[0]: name for name, stage in STAGES.items()}
    return {names[rule if rule in names else rule.partition("_")[0]] for rule in rules}


def _plan(project: Path) -> str:
    """What `primum plan tiny` prints."""
    return _python(project, "from primum.cli import main; main(['plan', 'tiny'])")


def _entry(project: Path, artifact: str) -> Path:
    return Store(project / "results/.store").entry(load_manifest(project / "results/tiny" / artifact).key)


BEHIND_SFT = {"generate", "verdicts", "score", "tables", "report"}


def test_a_finished_run_has_nothing_to_do(project: Path) -> None:
    assert _states(project) == {"up to date": EVERY, "stored": set(), "to run": set()}
    assert _planned(project) == set()
    printed = _plan(project)
    assert printed.startswith("tiny: 0 of 17 stage jobs to run, with the store results/.store\n")
    last = next(line for line in printed.splitlines() if line.startswith("all "))
    assert last.split()[1:] == ["17", "17", "0", "0", "-", "-", "-", "-", "-", "-"]


def test_a_lost_folder_is_in_the_store(project: Path) -> None:
    shutil.rmtree(project / "results/tiny")
    assert _states(project) == {"up to date": set(), "stored": EVERY, "to run": set()}


def test_a_lost_artifact_counts_although_snakemake_does_not_miss_it(project: Path) -> None:
    """Nobody asks for a model as long as the tables made of it are there. But it may have been another model's place."""
    (project / "results/tiny/models/sft/manifest.json").unlink()
    assert _planned(project) == set()
    assert _states(project)["stored"] == {"sft"}
    changed = json.loads(json.dumps(TINY))
    changed["models"]["sft"]["optimization"]["steps"] = 5
    write(project, changed)
    assert _planned(project) == {"sft", *BEHIND_SFT} == _states(project)["to run"]


def test_a_lost_artifact_that_is_asked_for_is_taken_and_nothing_starts(project: Path) -> None:
    (project / "results/tiny/models/sft/manifest.json").unlink()
    (project / "results/tiny/scores/sft/exam.json").unlink()
    (project / "results/tiny/tables/safety.json").unlink()
    states = _states(project)
    assert states["to run"] == set()
    assert states["stored"] == {"sft", "score", "tables"}
    # A dry run puts nothing in its place. The run itself starts no job.
    assert _planned(project) == states["stored"]
    assert started(snakemake(project)) == set()


def test_a_changed_setting_runs_again_with_its_readers(project: Path) -> None:
    write(project, CHANGED)
    states = _states(project)
    assert states == {"up to date": EVERY - BEHIND_THE_CHANGE, "stored": set(), "to run": BEHIND_THE_CHANGE}
    assert _planned(project) == BEHIND_THE_CHANGE


def test_what_the_store_lost_is_made_again_and_all_behind_it(project: Path) -> None:
    shutil.rmtree(_entry(project, "models/base/manifest.json"))
    assert _states(project)["up to date"] == EVERY  # the results have it still
    shutil.rmtree(project / "results/tiny")
    states = _states(project)
    assert states["to run"] == {"pretrain", "pack", "sft", "generate", "score", "verdicts", "tables", "report"}
    assert states["stored"] == {"fetch", "read", "mix", "overlap"}


def test_a_damaged_manifest_counts_as_none(project: Path) -> None:
    (_entry(project, "tables/safety.json") / "manifest.json").write_text("{}")
    assert _states(project)["up to date"] == EVERY
    for damaged in ("tables/safety", "scores/sft/exam"):
        (project / f"results/tiny/{damaged}.json").write_text("{}")
    states = _states(project)
    assert states["to run"] == {"tables", "report"}
    assert states["stored"] == {"score"}
    assert _planned(project) == {"tables", "report", "score"}


def test_a_run_that_stopped_goes_on_from_there(project: Path) -> None:
    """As if the run with another setting had ended behind its first job: responses are new, judgements of the old ones."""
    changed = json.loads(json.dumps(TINY))
    changed["models"]["sft"]["optimization"]["steps"] = 5
    write(project, changed)
    snakemake(project, "--until", "generate_responses")
    states = _states(project)
    assert states["up to date"] >= {"pretrain", "sft", "generate"}
    assert states["to run"] == {"verdicts", "score", "tables", "report"} == _planned(project)


def test_a_refreshed_job_runs_and_all_behind_it(project: Path) -> None:
    assert _states(project, refresh="score")["to run"] == {"score", "tables", "report"}


def test_the_architecture_tells_the_parameters(project: Path) -> None:
    counted = load_manifest(project / "results/tiny/models/base/manifest.json").counts["parameters"]
    architecture: dict[str, Any] = TINY["models"]["base"]["architecture"]
    assert architecture_parameters(Architecture(**architecture)) == counted


def test_a_budget_recomputes_nothing(project: Path) -> None:
    write(project, TINY | {"budget": {"gpu_hours": 0, "disk_gb": 0, "judge_tokens": 0}})
    assert "Nothing to be done" in snakemake(project)
    assert "Budget: gpu_hours 0 of 0; disk_gb 0 of 0; judge_tokens 0 of 0." in _plan(project)


@pytest.mark.parametrize("arguments", [[], ["-n"], ["--executor", "slurm", "--jobs", "2"]], ids=["run", "dry", "slurm"])
def test_a_run_beyond_its_budget_starts_no_job(project: Path, arguments: list[str]) -> None:
    write(project, CHANGED | {"resources": GPU, "budget": {"gpu_hours": 0.5}})
    output = snakemake(project, *arguments, fails=True)
    said = "primum: error: tiny: budget.gpu_hours is 0.5, and the jobs to run may take 1: raise it, or lower gpus"
    assert [line for line in output.splitlines() if line.startswith(said)]
    assert "Traceback" not in output
    assert started(output) == set()


def test_a_run_within_its_budget_starts(project: Path) -> None:
    write(project, CHANGED | {"resources": GPU, "budget": {"gpu_hours": 1}})
    assert _planned(project) == BEHIND_THE_CHANGE


def test_planning_loads_neither_torch_nor_pandas(project: Path) -> None:
    code = (
        "import sys; from primum.cli import main; main(['plan', 'tiny'])\n"
        "assert not {'torch', 'pandas', 'transformers'} & set(sys.modules)"
    )
    _python(project, code)
    assert json.loads((project / "results/tiny/experiment.json").read_text())["budget"]["gpu_hours"] is None
