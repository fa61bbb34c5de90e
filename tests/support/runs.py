"""Running the workflow as a person does, and reading what it made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from project import ROOT


def command(results: Path, *more: str, experiment: str | Path = "demo", target: str = "all") -> list[str]:
    """The `snakemake` command line that makes ``target`` under ``results``."""
    config = ["--config", f"results={results}", f"experiment={experiment}"]
    return [sys.executable, "-m", "snakemake", target, "--cores", "2", "--directory", str(ROOT), *config, *more]


def environment() -> dict[str, str]:
    """The test's environment without what would steer the run."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PRIMUM_", "SNAKEMAKE_"))}


def run(results: Path, *more: str, experiment: str | Path = "demo", target: str = "all") -> str:
    """Run the workflow to its end; the output. Fails with the end of the output if it does not succeed."""
    done = subprocess.run(
        command(results, *more, experiment=experiment, target=target),
        cwd=ROOT,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def manifests(results: Path) -> dict[str, dict[str, object]]:
    """Every manifest under ``results`` by its relative path, the store left out."""
    found = {}
    for path in sorted(results.rglob("*.json")):
        if ".store" not in path.parts:
            record = json.loads(path.read_text())
            if isinstance(record, dict) and "content" in record:
                found[path.relative_to(results).as_posix()] = record
    return found


def contents(results: Path) -> dict[str, str]:
    """The content hash of every artifact."""
    return {name: str(record["content"]) for name, record in manifests(results).items()}
