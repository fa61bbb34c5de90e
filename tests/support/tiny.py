"""The smallest experiment that goes through most stages, really run: about a dozen small jobs that train for seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from project import environment

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


# The stages that make artifacts of it.
STAGES = frozenset(
    {
        *("fetch", "read", "mix", "overlap", "pretrain", "pack", "sft"),
        *("generate", "verdicts", "score", "tables", "report"),
    }
)


def write(project: Path, document: dict[str, Any] = TINY) -> None:
    """The experiment file, where a name finds it."""
    path = project / "config/experiments" / f"{document['name']}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def command(*arguments: str, experiment: str = "tiny") -> list[str]:
    given = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    others = [argument for argument in arguments if argument not in given]
    base = [sys.executable, "-m", "snakemake", "all", "--cores", "2", "--nocolor", "--quiet", "host", *others]
    return [*base, "--config", f"experiment={experiment}", *given]


def snakemake(project: Path, *arguments: str, experiment: str = "tiny", fails: bool = False) -> str:
    """What `snakemake all` prints; ``key=value`` arguments go to --config."""
    return printed(project, command(*arguments, experiment=experiment), fails, timeout=600)


def printed(project: Path, words: list[str], fails: bool, timeout: float) -> str:
    """What a command that is run in the copy prints; it must end as ``fails`` says, within so many seconds."""
    done = subprocess.run(
        words,
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-1500:]
    return output


def started(output: str) -> set[str]:
    """The rules that Snakemake says it started, CSV files left out."""
    return set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE)) - {"all", "export_csv"}


# Two jobs may print at once, hence no anchors.
def taken(output: str) -> set[str]:
    """The stage of every artifact that came from the store."""
    return set(re.findall(r"\[(\w+)\] [\w./-]+: taken from the store \(", output))


def verdicts(output: str) -> dict[str, str]:
    """Artifact -> what a refresh said of it."""
    return dict(re.findall(r"([\w./-]+): refreshed, content is ([\w ]+) \(", output))
