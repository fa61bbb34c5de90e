"""A job that failed, or was killed, and the same command again: what must be made is made, whatever Snakemake remembers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project import environment
from runs import contents
from tiny import TINY, command, snakemake, started, write
from tiny_run import TinyRun

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


@pytest.fixture(scope="module")
def finished(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything is there."""
    return tiny_run.copy(tmp_path_factory.mktemp("finished") / "project")


def _change(project: Path, stage: str) -> None:
    """What a job of the stage is to be made again for."""
    if stage == "pack":
        write(project, _changed())
    else:
        corpus = project / "data/demo/corpus.jsonl"
        corpus.write_text("".join(corpus.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")


@pytest.fixture(scope="module")
def undisturbed(finished: Path) -> Callable[[str], dict[str, str]]:
    """The content hashes that a run without a failure makes after the change in a new folder, once for each stage."""
    made: dict[str, dict[str, str]] = {}

    def contents_after(stage: str) -> dict[str, str]:
        if stage not in made:
            project = finished.parent / stage
            shutil.copytree(finished, project, symlinks=True)
            (project / "results/.store").rename(project / "store")  # what the change does not concern
            _change(project, stage)
            snakemake(project, *UNTIL, "results=fresh", f"store={project / 'store'}")
            made[stage] = contents(project / "fresh")
        return made[stage]

    return contents_after


@pytest.mark.parametrize(
    ("stage", "how", "rules"),
    [
        ("pack", "exit 1", {"pack_chunks", "sft_model"}),
        ("read", "exit 1", {"read_training", "mix_sources", "pretrain_model", "sft_model"}),
        # Snakemake dies in the middle of a job that makes many artifacts. The job goes on, and on a busy machine it may have
        # published all of them before the next run looks.
        ("read", "kill -9 $PPID", {"mix_sources", "pretrain_model", "sft_model"}),
    ],
    ids=["one", "many", "killed"],
)
def test_what_failed_is_made_when_it_is_asked_for_again(
    tmp_path: Path,
    finished: Path,
    undisturbed: Callable[[str], dict[str, str]],
    stage: str,
    how: str,
    rules: set[str],
) -> None:
    project = tmp_path / "project"
    shutil.copytree(finished, project, symlinks=True)
    _change(project, stage)
    _fails_once(project, stage, how)
    assert rules <= started(snakemake(project, *UNTIL))
    # What is behind the model is as it was.
    assert contents(project / "results") == {**contents(finished / "results"), **undisturbed(stage)}
    assert started(snakemake(project, *UNTIL)) == set()
