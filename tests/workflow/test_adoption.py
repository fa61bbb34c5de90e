"""A change of the code alone, on a finished run: what it plans, adopting what is there, and asking before GPUs are used."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tiny import TINY, printed, snakemake, started, write
from tiny_run import TinyRun

from primum.artifact.manifest import load_manifest
from primum.errors import PrimumError

TRAINING = "src/primum/train/common.py"
PROGRESS = "src/primum/progress.py"
GPU: dict[str, Any] = {"resources": {"pretrain": {"gpus": 1}, "sft": {"gpus": 1}}}


@pytest.fixture(scope="module")
def project(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the tiny experiment has run."""
    return tiny_run.copy(tmp_path_factory.mktemp("adopt") / "project")


def primum(project: Path, *arguments: str, fails: bool = False) -> str:
    """What a command of the copy prints."""
    return printed(project, [sys.executable, "-m", "primum.cli", *arguments], fails, timeout=120)


def edit(project: Path, name: str, old: str, new: str) -> None:
    path = project / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def manifests(project: Path) -> dict[str, Any]:
    found = {}
    for path in (project / "results/tiny").rglob("*.json"):
        with suppress(PrimumError):  # a tokenizer's files, say, are no manifests
            found[path.relative_to(project / "results/tiny").as_posix()] = load_manifest(path)
    return found


def test_other_words_make_nothing_again(project: Path) -> None:
    edit(project, PROGRESS, " s left", " seconds to go")
    edit(project, TRAINING, "lower the learning rate or check the data", "check the data")
    assert started(snakemake(project)) == set()


def test_a_manifest_says_which_modules_made_it(project: Path) -> None:
    run = manifests(project)["models/sft/manifest.json"].run
    modules = run["modules"]
    # What was typed, not what a job was called by; the copy is no clone.
    assert run["command"].startswith("python -m snakemake all --cores 2 ")
    assert (run["commit"], run["clean"], run["lock"]["file"]) == ("", None, "envs/cpu.lock")
    assert {"primum.train.sft", "primum.train.common", "primum.artifact.job"} <= modules.keys()
    assert "primum.progress" not in modules


def test_other_code_is_adopted_and_nothing_runs(project: Path) -> None:
    before = manifests(project)
    edit(project, TRAINING, "def start(", "_UNUSED = 1\n\n\ndef start(")
    # Both models, and what reads them as long as nobody knows what they will be.
    planned = "2 of 8 jobs to run differ from what is there in code or versions alone: primum adopt all --why"
    assert planned in primum(project, "plan", "tiny")
    said = primum(project, "adopt", "all", "--why", "a constant that nothing uses", "--experiment", "tiny")
    assert "results/tiny/models/sft/manifest.json: adopted; differs in code of primum.train.common\n" in said
    assert "2 artifacts adopted" in said
    output = snakemake(project)
    assert started(output) == set()
    after = manifests(project)
    assert {name: each.content for name, each in after.items()} == {name: each.content for name, each in before.items()}
    (note,) = after["models/base/manifest.json"].run["adopted"]
    assert (note["modules"], note["why"]) == (["primum.train.common"], "a constant that nothing uses")
    assert "differ from what is there" not in primum(project, "plan", "tiny")
    assert started(snakemake(project)) == set()


def test_another_seed_is_refused_by_name(project: Path) -> None:
    write(project, TINY | {"seed": 2})
    try:
        said = primum(project, "adopt", "sft", "--why", "x", "--experiment", "tiny", fails=True)
    finally:
        write(project)
    assert said.splitlines()[-1] == (
        "primum: error: results/tiny/models/sft/manifest.json: item.seed: 1 -> 2: it must be made again"
    )


def test_gpus_are_not_used_for_a_change_of_code_alone(project: Path) -> None:
    edit(project, TRAINING, "_UNUSED = 1", "_UNUSED = 2")
    write(project, TINY | GPU)
    try:
        said = snakemake(project, fails=True)
        assert started(said) == set()
        (line,) = [line for line in said.splitlines() if line.startswith("primum: error: ")]
        assert line.startswith("primum: error: results/tiny/models/base/manifest.json and 1 more would be made again")
        assert "`primum adopt all --why TEXT --experiment tiny`" in line
        assert "--config recompute=pretrain (or all)" in line
        # Only what would use them is asked about, and what somebody wants to be made.
        assert started(snakemake(project, "recompute=pretrain", fails=True)) == set()
        assert started(snakemake(project, "recompute=pretrain,sft")) >= {"pretrain_model", "sft_model"}
    finally:
        write(project)
