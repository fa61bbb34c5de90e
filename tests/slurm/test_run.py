"""`snakemake --profile slurm all` on the cluster: what a local run makes, and every job with what was asked for.

It is the demo with fewer of its models: a job of each kind costs the cluster half a minute, and more of a kind show nothing new.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster
from configuration import GPU_TYPE
from demo_run import take_trained
from launch import Run, site
from project import DEMO, copy_project
from runs import contents
from runs import run as run_locally

pytestmark = pytest.mark.demo

# The demo's own memory, and GPUs and minutes by which its jobs are told apart: no result depends on them.
RESOURCES: dict[str, dict[str, int]] = {
    "curate": {"mem_mb": 2000, "minutes": 11},
    "pretrain": {"mem_mb": 4000, "minutes": 31},
    "sft": {"mem_mb": 3000, "minutes": 32, "gpus": 1},
    "dpo": {"mem_mb": 3000, "minutes": 33, "gpus": 1},  # on two it would be two processes, and other sums
    "sample": {"mem_mb": 2800, "minutes": 38, "gpus": 1},
    "rank": {"mem_mb": 2900, "minutes": 39, "gpus": 1},
    "generate": {"mem_mb": 3000, "minutes": 34, "gpus": 1},
    "judge": {"mem_mb": 3000, "minutes": 35, "threads": 2},
    "score": {"mem_mb": 3000, "minutes": 36, "gpus": 1},
    "tables": {"mem_mb": 2500, "minutes": 12},
    "report": {"mem_mb": 2600, "minutes": 13},
}
# One model asks for more than its stage does.
LARGE = {"mem_mb": 3500, "minutes": 37, "gpus": 4}
MODELS = ("base", "sft", "dpo-1", "dpo-2-on-policy", "judge", "criteria-judge")
SCORED = ("sft", "dpo-2-on-policy")
# Trainings that the run finds in its store. It trains by each of the other stages, and test_faults.py pretrains on the cluster.
TRAINED = ("base", "judge", "criteria-judge")
STAGES = {
    "read_training": "curate",
    "read_benchmarks": "curate",
    "read_safety": "curate",
    "mix_sources": "curate",
    "join_pairs": "curate",
    "find_overlaps": "curate",
    "pack_chunks": "curate",
    "pretrain_model": "pretrain",
    "sft_model": "sft",
    "reference_logprobs": "dpo",
    "dpo_model": "dpo",
    "sample_on-policy-2": "sample",
    "rank_responses": "rank",
    "pair_responses": "curate",
    "find_pair_overlaps": "curate",
    "generate_responses": "generate",
    "judge_harm": "judge",
    "agreement_harm": "judge",
    "grade_criteria": "judge",
    "read_verdicts": "curate",
    "score_benchmarks": "score",
    "write_questions": "curate",
    "answer_sft": "score",
    "answer_dpo-2-on-policy": "score",
    "parse_answers": "curate",
    "aggregate_tables": "tables",
    "write_report": "report",
}


def document() -> dict[str, Any]:
    """The demo, of which these models are left; the first stage ranks its own responses."""
    demo: dict[str, Any] = yaml.safe_load(DEMO)
    return demo | {
        "models": {name: demo["models"][name] for name in MODELS},
        "preferences": {name: entry for name, entry in demo["preferences"].items() if name != "safe"},
        "rankers": {"stage-2": {"kind": "implicit", "model": "dpo-1"}},
        "evaluate": demo["evaluate"] | {"models": list(SCORED)},
        "resources": RESOURCES,
        "overrides": {"dpo-2-on-policy": {"resources": {"score": LARGE}}},
    }


@pytest.fixture(scope="module")
def run(cluster: Cluster, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The literal command, in a copy of the project with a site's file; its store has the longest trainings."""
    project = copy_project(tmp_path_factory.mktemp("run") / "project")
    site(project)
    (project / "config/experiments/demo.yaml").write_text(yaml.safe_dump(document(), sort_keys=False), encoding="utf-8")
    take_trained(demo, project / "results/.store", TRAINED)
    run = Run(cluster, project, "results", "demo")
    assert run.command()[1:] == ["-m", "snakemake", "--profile", "slurm", "all"]
    with run.running() as process:
        run.finish(process, 1400)
    return run


def test_the_demo_is_what_a_local_run_makes(run: Run, demo: Path, tmp_path: Path) -> None:
    # Locally, all that these models share with the whole demo comes from its store.
    shutil.copytree(demo / ".store", tmp_path / "results/.store", copy_function=os.link)
    run_locally(tmp_path / "results", experiment=run.project / "config/experiments/demo.yaml")
    assert contents(run.project / "results") == contents(tmp_path / "results")
    assert (run.project / "results/demo/tables/benchmarks.csv").read_text().count("\n") > 1
    assert (run.project / "results/demo/report/index.html").exists()


def test_every_job_had_what_its_rule_asked_for(run: Run) -> None:
    seen = set()
    for job in run.all_jobs():
        found = re.fullmatch(r"rule_([\w-]+?)(?:_wildcards_(.*))?", job["Comment"])
        assert found, job["Comment"]
        rule, wildcards = found.groups()
        asked = dict(RESOURCES[STAGES[rule]])
        large = {("score_benchmarks", "dpo-2-on-policy"), ("answer_dpo-2-on-policy", None)}
        asked |= LARGE if (rule, wildcards) in large else {}
        tres = dict(item.split("=") for item in job["AllocTRES"].split(","))
        assert (job["State"], job["NNodes"]) == ("COMPLETED", "1")
        assert (job["ReqMem"], job["Timelimit"]) == (f"{asked['mem_mb']}M", f"00:{asked['minutes']}:00"), rule
        assert tres["cpu"] == str(asked.get("threads", 1)), rule
        assert tres.get(f"gres/gpu:{GPU_TYPE}", "0") == str(asked.get("gpus", 0)), rule
        assert (job["Account"], job["Partition"]) == ("lab", "main")
        seen.add(rule)
    # A job costs half a minute there, whatever it does: what reads small files does so together.
    rules = [job["Comment"].removeprefix("rule_").partition("_wildcards_")[0] for job in run.all_jobs()]
    assert sum(STAGES[rule] == "curate" for rule in rules) == 14
    # And nothing of what runs where Snakemake runs: fetching, and tables as CSV.
    assert seen == set(STAGES)


def test_a_second_run_submits_nothing(run: Run) -> None:
    before = len(run.all_jobs())
    with run.running() as process:
        run.finish(process, 120)
    assert "Nothing to be done" in run.said()
    assert len(run.all_jobs()) == before


def test_what_was_made_is_verified_as_a_job(run: Run) -> None:
    verify = Run(run.cluster, run.project, run.results, run.experiment, "verify")
    report = run.project / "results/demo/verification.json"
    damaged = run.project / "results/demo/scores/sft/medqa.parquet"
    with verify.running() as process:
        verify.finish(process, 180)
    found = json.loads(report.read_text())
    assert found["clean"]
    assert found["artifacts"] == len(contents(run.project / "results"))
    with flipped(damaged), verify.running("--retries", "0") as process:
        assert verify.end(process, 180) == 1
    # Under the results folder that the command was given, as the folder lies for whoever reads the cluster's log.
    assert "what is wrong, or missing, is in results/demo/verification.json" in verify.said()
    wrong = {each["path"] for each in json.loads(report.read_text())["findings"]}
    assert "results/demo/scores/sft/medqa.parquet" in wrong
    jobs = [(job["State"], job["ReqMem"], job["Timelimit"]) for job in run.jobs("rule_verify")]
    assert jobs == [("COMPLETED", "2500M", "00:12:00"), ("FAILED", "2500M", "00:12:00")]


def test_what_was_made_is_audited_as_a_job(run: Run) -> None:
    """On one node, with the most of what any job had: it may make any of them again."""
    audit = Run(run.cluster, run.project, run.results, run.experiment, "audit")
    with audit.running("--config", "audit=20s") as process:
        audit.finish(process, 300)
    (report,) = (run.project / "results/audits").glob("demo-*/audit.json")
    found = json.loads(report.read_text())
    assert found["clean"]
    # How many, depends on the machine. What is made first is made whatever the budget is.
    assert found["made_again"]["artifacts"] >= 1
    assert found["run"]["budget"] == 20
    (job,) = run.jobs("rule_audit")
    assert (job["State"], job["NNodes"], job["ReqMem"]) == ("COMPLETED", "1", f"{RESOURCES['pretrain']['mem_mb']}M")
    # The budget, and a fetch besides, which has the default of an hour here.
    assert job["Timelimit"] == "01:01:00"
    assert f"gres/gpu:{GPU_TYPE}={LARGE['gpus']}" in job["AllocTRES"]


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """One bit in the middle of the file is another, and afterwards as it was. The store's file is the same one."""
    before, mode = path.read_bytes(), path.stat().st_mode
    middle = len(before) // 2
    path.chmod(0o600)
    path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(mode)
