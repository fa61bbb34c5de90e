"""One line for each failure: what it says, and that nothing of a command gets into it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from primum.terminal.failures import condensed, ending_of, failure_line, is_interrupted
from primum.terminal.jobs import Job
from primum.terminal.logs import JobLog

LOG = "results/demo/logs/sft/sft.log"
HEAD = "error: sft_model (results/demo/models/sft/manifest.json): "
SLURM = (
    "SLURM-job '12' failed, SLURM status is: 'TIMEOUT'.For further error details see the cluster/cloud log and more."
)


def record(**fields: Any) -> SimpleNamespace:
    made = ["results/demo/models/sft/manifest.json", "results/demo/other.json"]
    return SimpleNamespace(rule_name="sft_model", output=made, log=[LOG], rule_msg=None, shellcmd="secret", **fields)


def job(tmp_path: Path, error: str = "", ending: str = "") -> Job:
    log = JobLog(tmp_path / "sft.log")
    (tmp_path / "sft.log").write_text(f"[sft] error: {error}\n" if error else "[sft] sft: 1/4\n")
    log.read()
    return Job("sft_model", "sft", "sft", 0.0, log, ending)


@pytest.mark.parametrize(
    ("error", "ending", "said"),
    [
        ("", "", f"failed; log: {LOG}, printed.log"),
        ("loss is nan", "1", f"loss is nan; log: {LOG}"),
        ("", "SIGKILL", f"ended with SIGKILL; log: {LOG}, printed.log"),
    ],
)
def test_a_failed_job_says_why_and_where_its_log_is(tmp_path: Path, error: str, ending: str, said: str) -> None:
    assert failure_line(record(), job(tmp_path, error, ending), Path("printed.log")) == HEAD + said


def test_what_the_cluster_says_is_said(tmp_path: Path) -> None:
    told = record()
    told.rule_msg = SLURM
    assert failure_line(told, None) == f"{HEAD}SLURM-job '12' failed, SLURM status is: 'TIMEOUT'; log: {LOG}"


def test_a_long_reason_is_cut_and_the_log_is_not(tmp_path: Path) -> None:
    line = failure_line(record(), job(tmp_path, "x" * 1000))
    assert len(line) < 300
    assert line.startswith(HEAD + "xxx")
    assert line.endswith(f"xxx...; log: {LOG}")


def test_how_a_command_ended() -> None:
    said = "CalledProcessError in file rules/training.smk:\nCommand 'exec primum' "
    assert ending_of(said + "died with <Signals.SIGKILL: 9>.") == "SIGKILL"
    assert ending_of(said + "returned non-zero exit status 3.") == "3"
    assert ending_of("MissingOutputException: a.json") == ""
    assert is_interrupted(ending_of(said + "died with <Signals.SIGINT: 2>."))
    assert is_interrupted(ending_of(said + "returned non-zero exit status 130."))
    assert not is_interrupted(ending_of(said + "returned non-zero exit status 1."))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("MissingRuleException:\nNo rule to produce alll", "error: No rule to produce alll"),
        (
            'WorkflowError in file "Snakefile", line 30:\nno such  thing\n  File "Snakefile", line 30, in <module>',
            "error: no such thing",
        ),
        ("Directory cannot be locked.", "error: Directory cannot be locked."),
    ],
)
def test_an_error_of_snakemake_is_one_line(text: str, line: str) -> None:
    assert condensed(text) == line
    assert len(condensed(text * 100)) < 300
