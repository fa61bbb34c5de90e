"""What the handler makes of Snakemake's records, those of a cluster in particular, where no job is described."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from primum.terminal.handler import RunHandler

Tell = Callable[..., None]
LOG = "results/demo/logs/sft/dpo-base.log"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[RunHandler, Tell]]:
    """A handler in a run of two jobs on a cluster, and what tells it of an event."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "dumb")
    (tmp_path / LOG).parent.mkdir(parents=True)
    job = SimpleNamespace(
        jobid=4, rule=SimpleNamespace(name="sft_model"), wildcards_dict={"model": "dpo-base"}, log=[LOG]
    )
    everything = SimpleNamespace(jobid=0, rule=SimpleNamespace(name="all"), wildcards_dict={}, log=[])
    handler = RunHandler(None, True, True, Path("results/demo"))
    handler.begin(SimpleNamespace(jobs=[everything, job]), ["all"], True, None)

    def tell(event: str, message: str = "", level: int = logging.INFO, **fields: Any) -> None:
        record = logging.LogRecord("snakemake", level, "", 0, message, (), None)
        record.__dict__.update(fields, **({"event": SimpleNamespace(name=event)} if event else {}))
        handler.handle(record)

    tell("RUN_INFO", stats={"sft_model": 1, "all": 1, "total": 2})
    yield handler, tell
    handler.end()  # or its lines go on among those of all later tests


def error(**fields: Any) -> dict[str, Any]:
    return {"jobid": 4, "rule_name": "sft_model", "output": ["m.json"], "log": [LOG], **fields}


def test_a_cluster_job_is_queued_and_then_tells_how_far_it_is(told: tuple[RunHandler, Tell], capsys: Any) -> None:
    handler, tell = told
    tell("JOB_STARTED", jobs=[4])
    assert handler._line(None) == "0/1 jobs 0:00 | 1 queued"
    Path(LOG).write_text("[sft] dpo-base: 3/10, 700 tokens/s, 8 s left\n")
    assert handler._line(None) == "0/1 jobs 0:00 | sft dpo-base 3/10, 700 tokens/s | ~8 s left"
    tell("JOB_FINISHED", job_id=4)
    tell("JOB_FINISHED", job_id=0)
    handler.end()
    assert capsys.readouterr().err == "1/1 jobs in 0:00\n"


def test_a_failed_attempt_is_a_line_and_so_is_the_next(told: tuple[RunHandler, Tell], capsys: Any) -> None:
    handler, tell = told
    tell("JOB_STARTED", jobs=[4])
    said = "SLURM-job '1' failed, SLURM status is: 'TIMEOUT'. For further error details see the cluster log."
    tell("JOB_ERROR", **error(rule_msg=said, log=[LOG, str(Path.cwd() / ".snakemake/slurm_logs/1.log")]))
    tell("", "Trying to restart job 4.")
    tell("JOB_STARTED", jobs=[4])
    assert handler._line(None) == "0/1 jobs 0:00 | 1 queued"
    assert capsys.readouterr().err.splitlines() == [
        f"error: sft_model (m.json): SLURM-job '1' failed, SLURM status is: 'TIMEOUT'; log: {LOG}, "
        ".snakemake/slurm_logs/1.log",
        "sft dpo-base is tried again",
    ]


def test_a_job_that_ctrl_c_ended_is_not_a_failure_and_one_that_a_signal_ended_is(
    told: tuple[RunHandler, Tell], capsys: Any
) -> None:
    handler, tell = told
    ended = f"CalledProcessError in file x:\nCommand 'primum stage sft --log {LOG}' died with <Signals.SIGINT: 2>."
    tell("JOB_STARTED", jobs=[4])
    tell("ERROR", ended, logging.ERROR, exception="RuleException")
    tell("JOB_ERROR", **error())
    assert capsys.readouterr().err == ""
    handler.end()  # nobody pressed Ctrl-C
    assert capsys.readouterr().err.splitlines()[0] == f"error: sft_model (m.json): ended with SIGINT; log: {LOG}"


def test_what_snakemake_says_between_stays_away_and_warnings_do_not(told: tuple[RunHandler, Tell], capsys: Any) -> None:
    _, tell = told
    for message in ("Select jobs to execute...", "Complete log(s): a.log", "Job 4 has been submitted"):
        tell("", message)
    tell("PROGRESS", done=1, total=2)
    tell("ERROR", "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR, exception="W")
    tell("", "Your account is unknown.", logging.WARNING)
    assert capsys.readouterr().err == "Your account is unknown.\n"
