"""`snakemake --profile slurm all` on the cluster: every job through sbatch, and what a local run makes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from configuration import GPU_TYPE
from project import copy_project, environment
from tiny import TINY, snakemake, write

from primum.artifact.manifest import load_manifest

SITE = f"account: lab\npartitions: {{cpu: main, gpu: main}}\ngpu_type: {GPU_TYPE}\nwarning_seconds: 10\n"
RESOURCES: dict[str, Any] = {
    "curate": {"mem_mb": 1500, "minutes": 7},
    "pretrain": {"mem_mb": 2000, "minutes": 9, "threads": 2},
    "sft": {"mem_mb": 3000, "minutes": 11, "gpus": 1},
    "generate": {"mem_mb": 2500, "minutes": 8, "gpus": 2},
    "score": {"mem_mb": 2200, "minutes": 6, "gpus": 1},
    "judge": {"mem_mb": 1100, "minutes": 5},
}


def document() -> dict[str, Any]:
    """The tiny experiment with resources."""
    made: dict[str, Any] = json.loads(json.dumps(TINY | {"resources": RESOURCES}))
    made["models"]["sft"]["optimization"] |= {"batch": 4}
    return made


def start(cluster: Cluster, project: Path) -> subprocess.Popen[str]:
    """The literal command, for the tiny experiment; its output goes to the file ``output``."""
    with (project / "output").open("a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--profile", "slurm", "all", "--config", "experiment=tiny"],
            cwd=project,
            env={**environment(project), **cluster.environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


def finish(process: subprocess.Popen[str], project: Path, seconds: float = 900) -> None:
    assert process.wait(timeout=seconds) == 0, (project / "output").read_text()[-5000:]


def contents(project: Path) -> dict[str, str]:
    """Artifact -> content hash."""
    found = {}
    for path in (project / "results/tiny").rglob("*.json"):
        if path.name == "manifest.json" or path.with_suffix(".parquet").exists():
            found[str(path.relative_to(project))] = load_manifest(path).content
    return found


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the literal command has run."""
    project = copy_project(tmp_path_factory.mktemp("run") / "project")
    (project / "slurm/site.yaml").write_text(SITE, encoding="utf-8")
    write(project, document())
    finish(start(cluster, project), project)
    return project


def test_the_literal_command_makes_what_a_local_run_makes(project: Path, tmp_path: Path) -> None:
    local = copy_project(tmp_path / "project")
    write(local, document())
    snakemake(local)
    assert contents(project) == contents(local)
    assert (project / "results/tiny/tables/benchmarks.csv").read_text().count("\n") > 1
    assert (project / "results/tiny/report/index.html").exists()
