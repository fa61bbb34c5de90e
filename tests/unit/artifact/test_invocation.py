"""What a manifest says of the command and the commit: the truth of real repositories, and no secret in any form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from primum.artifact import invocation
from primum.artifact.invocation import command_line, commit_of, invocation_of, save_invocation

CANARY = "canary7c1d9"


def git(folder: Path, *words: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    ran = subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_a_commit_and_whether_the_tree_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    assert commit_of(clone) == ("", None)
    git(clone, "init", "-q")
    (clone / "a.py").write_text("1\n")
    git(clone, "add", ".")
    assert commit_of(clone) == ("", None), "nothing is committed"
    git(clone, "commit", "-q", "-m", "x")
    commit = git(clone, "rev-parse", "HEAD")
    assert commit_of(clone) == (commit, True)
    (clone / "results").write_text("untracked\n")
    assert commit_of(clone) == (commit, True)
    (clone / "a.py").write_text("2\n")
    assert commit_of(clone) == (commit, False)
    git(clone, "add", ".")
    assert commit_of(clone) == (commit, False), "what is staged is a change"
    (clone / "inside").mkdir()
    assert commit_of(clone / "inside") == ("", None), "a folder of a repository is not the project's own"
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert commit_of(clone) == (commit, False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(clone) == ("", None), "there is no git"


SECRETS = (
    ["--config", f"api_key={CANARY}"],
    ["--config", "experiment=demo", f"openai-key={CANARY} {CANARY}"],
    ["--config", f"engine={{base_url: http://x, api_key: {CANARY}, kind: openai}}"],
    ["--config", f'engine={{"api_key": "{CANARY} {CANARY}", "kind": "openai"}}'],
    ["--config", f"judge=https://me:{CANARY}@host/v1"],
    ["--config", f"judge=https://host/v1?a=1&token={CANARY}&b=2"],
    ["--config", f"header=Authorization: Bearer {CANARY}"],
    [f"--storage-s3-secret-key={CANARY}"],
    ["--storage-s3-access-key", CANARY, "-n"],
    ["--password", CANARY, CANARY],
    ["--config", f"note=sk-{CANARY}{CANARY}"],
    ["--config", f"note=hf_{CANARY}{CANARY}"],
    ["--config", f"authToken={CANARY}"],
)


@pytest.mark.parametrize("arguments", SECRETS)
def test_no_secret_is_in_a_command(arguments: list[str]) -> None:
    shown = command_line(["/opt/bin/snakemake", "all", *arguments], {})
    assert CANARY not in shown
    assert "HIDDEN" in shown
    assert shown.startswith("snakemake all ")


def test_what_a_variable_of_a_secret_holds_is_in_no_command() -> None:
    environment = {"JUDGE_API_KEY": CANARY, "HF_TOKEN": "demo", "EXPERIMENT": "tiny", "MONKEY": "demo-engines"}
    shown = command_line(["snakemake", "all", "--config", f"note=x{CANARY}y", "experiment=demo", "a=tiny"], environment)
    assert shown == "snakemake all --config note=xHIDDENy experiment=demo a=tiny"


def test_all_else_is_said_as_it_was_typed() -> None:
    assert command_line(["/x/snakemake/__main__.py", "all"], {}) == "python -m snakemake all"
    assert command_line([], {}) == ""
    typed = ["snakemake", "--profile", "slurm", "all", "--keep-going", "--config", "refresh=dpo", "results=my results"]
    assert (
        command_line(typed, {})
        == "snakemake --profile slurm all --keep-going --config refresh=dpo 'results=my results'"
    )


def test_a_job_reads_what_its_run_wrote_down_and_asks_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invocation.invocation.cache_clear()
    monkeypatch.setattr(sys, "argv", ["/x/snakemake", "all", "--config", f"token={CANARY}"])
    save_invocation(tmp_path)
    request = tmp_path / "requests/judge_responses/harm/sft.json"
    written = json.loads((tmp_path / "requests/run.json").read_text())
    assert written["command"] == "snakemake all --config token=HIDDEN"
    invocation.invocation.cache_clear()
    monkeypatch.setattr(sys, "argv", ["primum", "stage", "judge"])
    monkeypatch.setenv("PATH", os.devnull)
    assert invocation_of(request) == written
    assert invocation_of(tmp_path / "requests/fetch.json") == written
    # Written by hand, or by nobody: then it is this process's own.
    (tmp_path / "requests/run.json").write_text("[]")
    own = {"commit": "", "clean": None, "command": "primum stage judge"}
    assert invocation_of(request) == own
    assert invocation_of(tmp_path / "elsewhere.json") == own
    invocation.invocation.cache_clear()
