"""The smallest experiment that goes through most stages, really run: about a dozen small jobs that train for seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from conftest import environment

TINY: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "seed": 1,
    "catalogs": ["demo-datasets"],
    "mixtures": {
        "text": {"sources": {"corpus": {"dataset": "demo-corpus", "take": 60}}, "decontaminate": False},
        "chat": {"sources": {"opengpt": {"dataset": "demo-opengpt", "take": 12}}, "decontaminate": False},
    },
    "models": {
        "base": {
            "train": "pretrain",
            "data": "text",
            "chunk_tokens": 64,
            "architecture": {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "layers": 2, "heads": 2}
            | {"kv_heads": 2, "max_length": 512},
            "optimization": {"learning_rate": 0.001, "batch": 4, "steps": 8},
        },
        "sft": {
            "train": "sft",
            "from": "base",
            "data": "chat",
            "chunk_tokens": 256,
            "optimization": {"learning_rate": 0.001, "batch": 2, "steps": 4},
        },
    },
    "prompts": {"benign": {"dataset": "demo-xstest-safe", "kind": "benign", "take": 4}},
    "benchmarks": {"exam": {"dataset": "demo-usmle-sample-exam"}},
    "judges": {"refusal": {"kind": "refusal", "prompts": ["benign"]}},
    "evaluate": {"models": ["sft"], "benchmarks": ["exam"], "prompts": ["benign"], "judges": ["refusal"]},
    "engine": {"max_length": 512, "batch_tokens": 4096},
    "sampling": {"max_tokens": 8},
}
# The jobs that make artifacts; CSV files are copies of tables.
ARTIFACT_JOBS = (
    4 * 2 + 2 + 2 + 1 + 1 + 1 + 1 + 1 + 1
)  # fetch and read, mix, models, pack, generate, judge, score, tables, report


def write(project: Path, document: dict[str, Any] = TINY) -> None:
    """The experiment file, where a name finds it."""
    path = project / "config/experiments" / f"{document['name']}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def command(*arguments: str, experiment: str = "tiny") -> list[str]:
    given = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    others = [argument for argument in arguments if argument not in given]
    base = [sys.executable, "-m", "snakemake", "all", "--cores", "2", "--nocolor", *others]
    return [*base, "--config", f"experiment={experiment}", *given]


def snakemake(project: Path, *arguments: str, experiment: str = "tiny", fails: bool = False) -> str:
    """What `snakemake all` prints; ``key=value`` arguments go to --config."""
    done = subprocess.run(
        command(*arguments, experiment=experiment),
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-4000:]
    return output


def started(output: str) -> set[str]:
    """The rules that Snakemake says it started, CSV files left out."""
    lines = [line.strip() for line in output.splitlines()]
    rules = {line.split()[-1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}
    return rules - {"all", "export_csv"}


def taken(output: str) -> set[str]:
    """(stage) of every artifact that came from the store."""
    return {line.split("]")[0][1:] for line in output.splitlines() if "taken from the store (" in line}


def verdicts(output: str) -> dict[str, str]:
    """Artifact -> what a refresh said of it."""
    lines = [line.split("] ", 1)[1] for line in output.splitlines() if ": refreshed, content is " in line]
    return {line.split(":")[0]: line.split("content is ")[1].split(" (")[0] for line in lines}
