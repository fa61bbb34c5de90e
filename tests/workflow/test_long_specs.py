"""An experiment whose last job has a spec of over a megabyte, and 30,000 inputs: it starts, and says little when it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from project import copy_project, environment
from tiny import TINY, write

from primum.dag.workflow import open_workflow

MODELS, BENCHMARKS, PROMPTS, JUDGES = 300, 60, 10, 3
# What Linux lets one argument be.
MAX_ARG_STRLEN = 131_072


def _large() -> dict[str, Any]:
    models = {
        f"published-clinical-model-{i:03}": {"endpoint": f"m{i}", "engine": {"kind": "openai"}} for i in range(MODELS)
    }
    benchmarks = {f"clinical-knowledge-exam-{i:02}": {"dataset": "demo-usmle-sample-exam"} for i in range(BENCHMARKS)}
    prompts = {
        f"harmless-requests-{i}": {"dataset": "demo-xstest-safe", "kind": "benign", "take": 4} for i in range(PROMPTS)
    }
    judges = {f"refusal-judge-{i}": {"kind": "refusal", "prompts": list(prompts)} for i in range(JUDGES)}
    evaluate = {"models": models, "benchmarks": benchmarks, "prompts": prompts, "judges": judges}
    return {
        **{key: TINY[key] for key in ("title", "seed", "catalogs")},
        **{"name": "large", "models": models, "benchmarks": benchmarks, "prompts": prompts, "judges": judges},
        "evaluate": {key: list(names) for key, names in evaluate.items()},
    }


def test_a_job_of_a_large_experiment_starts_and_its_failure_is_short(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    write(project, _large())
    run = open_workflow({"experiment": str(project / "config/experiments/large.yaml"), "results": "results"}, project)
    job = run.dag.job("tables", "tables")
    assert len(job.spec) > 1_500_000 > 10 * MAX_ARG_STRLEN
    assert len(job.plan.read) == MODELS * (BENCHMARKS + PROMPTS + JUDGES * PROMPTS)
    for path in job.plan.read:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("{}")
    target = "results/large/tables/benchmarks.json"
    command = [sys.executable, "-m", "snakemake", target, "--cores", "2", "--allowed-rules", "aggregate_tables"]
    done = subprocess.run(
        [*command, "--config", "experiment=large"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    printed = (done.stdout + done.stderr).splitlines()
    assert done.returncode == 1
    # The job itself began, and read its request: it stumbles over its first input.
    (said,) = {line for line in printed if line.startswith("[tables] error: ")}
    assert "results/large/scores/published-clinical-model-000/clinical-knowledge-exam-00.json: " in said
    assert max(map(len, printed)) <= 300, max(printed, key=len)[:400]
