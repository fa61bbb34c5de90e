"""`snakemake --profile slurm all` on the cluster: the demo as a local run makes it, and every job with what was asked for."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from configuration import GPU_TYPE
from launch import Run, site
from project import copy_project
from runs import contents
from tiny import TINY, write

RESOURCES: dict[str, Any] = {
    "curate": {"mem_mb": 1500, "minutes": 7},
    "pretrain": {"mem_mb": 2000, "minutes": 9, "threads": 2},
    "sft": {"mem_mb": 3000, "minutes": 11, "gpus": 1},
    "generate": {"mem_mb": 2500, "minutes": 8, "gpus": 2},
    "score": {"mem_mb": 2200, "minutes": 6, "gpus": 1},
    "judge": {"mem_mb": 1100, "minutes": 5},
    "tables": {"mem_mb": 1200, "minutes": 4},
    "report": {"mem_mb": 1300, "minutes": 3},
}
# sft's model asks for more than its stage does, for this one stage.
OVERRIDES = {"sft": {"resources": {"score": {"mem_mb": 2300, "minutes": 12, "gpus": 3}}}}
# Rule -> MB a node, minutes, CPUs, GPUs, as declared above.
ASKED = {
    "read_dataset": (1500, 7, 1, 0),
    "mix_sources": (1500, 7, 1, 0),
    "pack_chunks": (1500, 7, 1, 0),
    "pretrain_model": (2000, 9, 1, 0),  # its threads are its model's, as they change the weights
    "sft_model": (3000, 11, 1, 1),
    "generate_responses": (2500, 8, 1, 2),
    "score_benchmarks": (2300, 12, 1, 3),
    "judge_refusal": (1100, 5, 1, 0),
    "aggregate_tables": (1200, 4, 1, 0),
    "write_report": (1300, 3, 1, 0),
}
LOCAL = {"fetch_dataset", "export_csv"}


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the site's file and the tiny experiment."""
    project = copy_project(tmp_path_factory.mktemp("run") / "project")
    site(project)
    write(project, json.loads(json.dumps(TINY | {"resources": RESOURCES, "overrides": OVERRIDES})))
    return project


@pytest.fixture(scope="module")
def tiny(cluster: Cluster, project: Path) -> Run:
    """The tiny experiment, run by the literal command."""
    run = Run(cluster, project, "results", "tiny")
    with run.running() as process:
        run.finish(process)
    return run


def test_every_job_had_what_its_rule_asked_for(tiny: Run) -> None:
    seen = set()
    for job in tiny.all_jobs():
        rule = re.sub(r"^rule_(\w+?)(_wildcards_.*)?$", r"\1", job["Comment"])
        memory, minutes, cpus, gpus = ASKED[rule]
        tres = dict(item.split("=") for item in job["AllocTRES"].split(","))
        assert job["State"] == "COMPLETED"
        assert (job["ReqMem"], job["NNodes"], tres["cpu"]) == (f"{memory}M", "1", str(cpus)), rule
        assert job["Timelimit"] == f"00:{minutes:02d}:00", rule
        assert tres.get(f"gres/gpu:{GPU_TYPE}", "0") == str(gpus), rule
        assert (job["Account"], job["Partition"]) == ("lab", "main")
        seen.add(rule)
    assert seen == set(ASKED)


def test_what_runs_where_snakemake_runs_is_not_submitted(tiny: Run) -> None:
    assert not [job for job in tiny.all_jobs() if any(rule in job["Comment"] for rule in LOCAL)]
    assert (tiny.project / "results/tiny/tables/benchmarks.csv").read_text().count("\n") > 1


def test_a_second_run_submits_nothing(tiny: Run) -> None:
    before = len(tiny.all_jobs())
    with tiny.running() as process:
        tiny.finish(process, 120)
    assert "Nothing to be done" in tiny.said()
    assert len(tiny.all_jobs()) == before


@pytest.mark.demo
def test_the_literal_command_makes_the_demo_as_a_local_run_does(
    cluster: Cluster, project: Path, request: pytest.FixtureRequest, record_property: Any
) -> None:
    run = Run(cluster, project, "demo-results", "demo")
    with run.running() as process:
        run.finish(process, 1800)
    assert (project / "demo-results/demo/report/index.html").exists()
    jobs = run.all_jobs()
    spans = [(datetime.fromisoformat(job["Start"]), datetime.fromisoformat(job["End"])) for job in jobs]
    record_property("slurm jobs of the demo", len(jobs))
    record_property(
        "seconds from the first start to the last end", (max(e for _, e in spans) - min(s for s, _ in spans)).seconds
    )
    # The run that the tests of the demo look at, made when it is first asked for.
    assert contents(project / run.results) == request.getfixturevalue("demo_contents")
