"""A job that failed, or was killed, and the same command again: what must be made is made, whatever Snakemake remembers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from project import copy_project, environment
from runs import contents
from tiny import TINY, command, snakemake, started, write

UNTIL = ["--until", "sft_model"]  # what is behind it follows in the same way


def _changed() -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(TINY))
    changed["mixtures"]["chat"]["sources"]["opengpt"]["take"] = 11
    return changed


def _fails_once(project: Path, stage: str, how: str) -> None:
    """Run with a ``primum`` that breaks down in one stage, as a machine does."""
    folder = project / "broken"
    folder.mkdir()
    wrapper = folder / "primum"
    wrapper.write_text(f'#!/bin/sh\n[ "$1 $2" = "stage {stage}" ] && {how}\nexec python -m primum.cli "$@"\n')
    wrapper.chmod(0o755)
    given = environment(project)
    done = subprocess.run(
        command(*UNTIL),
        cwd=project,
        env={**given, "PATH": f"{folder}{os.pathsep}{given['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        start_new_session=True,
    )
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("stage", "how", "rules"),
    [
        ("pack", "exit 1", {"pack_chunks", "sft_model"}),
        ("read", "exit 1", {"read_training", "mix_sources", "pretrain_model", "sft_model"}),
        # Snakemake dies in the middle of a job that makes many artifacts.
        ("read", "kill -9 $PPID", {"read_training", "mix_sources", "pretrain_model", "sft_model"}),
    ],
    ids=["one", "many", "killed"],
)
def test_what_failed_is_made_when_it_is_asked_for_again(tmp_path: Path, stage: str, how: str, rules: set[str]) -> None:
    project = copy_project(tmp_path / "project")
    write(project)
    snakemake(project, *UNTIL)
    if stage == "pack":
        write(project, _changed())
    else:
        corpus = project / "data/demo/corpus.jsonl"
        corpus.write_text("".join(corpus.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    _fails_once(project, stage, how)
    assert rules <= started(snakemake(project, *UNTIL))
    again = contents(project / "results")
    snakemake(project, *UNTIL, "results=fresh", f"store={tmp_path / 'store'}")
    assert again == contents(project / "fresh")
    assert started(snakemake(project, *UNTIL)) == set()
