"""The line of a run: what it says of jobs, how it shrinks, and what it guesses of the time left."""

from __future__ import annotations

from pathlib import Path

import pytest

from primum.progress import Progress
from primum.terminal.jobs import Job, Jobs, name_job
from primum.terminal.line import clock, run_line, spoken
from primum.terminal.logs import JobLog, Step, parse_step


def log(tmp_path: Path, name: str, *lines: str) -> JobLog:
    """The log of a job that began before it wrote these lines."""
    path = tmp_path / f"{name}.log"
    opened = JobLog(path)
    path.write_text("".join(f"{line}\n" for line in lines))
    return opened


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    """Two scorings, a training and a packing that has said nothing, 100 s after the begin; three more to come."""
    jobs = Jobs(since=0.0)
    jobs.plan({"sft_model": 2, "score_benchmarks": 3, "pack_chunks": 1, "read_dataset": 2})
    for number in (7, 8):
        jobs.begin(number, Job("read_dataset", "read", f"data-{number}", 0.0))
        jobs.finish(number, 10.0)
    sft = log(tmp_path, "sft", "[sft] dpo-base: 571/1,004, 7,000 tokens/s, 23 s left, loss 2.105")
    jobs.begin(1, Job("sft_model", "sft", "dpo-base", 60.0, sft))
    for number, line in ((2, "[score] exam: 9/40, 800 tokens/s"), (3, "[score] exam: 31/60, 1,200 tokens/s")):
        jobs.begin(number, Job("score_benchmarks", "score", f"m{number}", 90.0, log(tmp_path, f"m{number}", line)))
    jobs.begin(4, Job("pack_chunks", "pack", "safe", 95.0, log(tmp_path, "safe")))
    jobs.read_logs()
    return jobs


WHOLE = "2/8 jobs 1:40 | sft dpo-base 571/1,004, 7,000 tokens/s | score x2 40/100, 2,000 tokens/s | pack safe | "


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (None, WHOLE + "~48 s left?"),
        (len(WHOLE) + 11, WHOLE + "~48 s left?"),
        (
            len(WHOLE) + 10,
            "2/8 jobs 1:40 | sft 571/1,004, 7,000 tokens/s | score x2 40/100, 2,000 tokens/s | pack | ~48 s left?",
        ),
        (99, "2/8 jobs 1:40 | sft 57%, 7,000 tokens/s | score x2 40%, 2,000 tokens/s | pack | ~48 s left?"),
        (80, "2/8 jobs 1:40 | sft 57% | score x2 40% | pack | ~48 s left?"),
        (52, "2/8 jobs 1:40 | sft | score x2 | pack | ~48 s left?"),
        (40, "2/8 jobs 1:40 | sft | +3 | ~48 s left?"),
        (34, "2/8 jobs 1:40 | ~48 s left?"),
        (10, "2/8 jobs 1"),
    ],
)
def test_the_line_says_less_where_there_is_less_room(jobs: Jobs, width: int | None, said: str) -> None:
    # Left: the training 23 s by its own word, the scorings and the packing less than nothing of the usual 10 s but 5 s of
    # the packing: 28 s. To come: one training and one scoring at the 10 s that jobs took so far: 48 s of work.
    # At a time: 2 x 10 s, and 40 + 10 + 10 + 5 s of those that run, in 100 s: 0.85, and at least one: 48 s.
    line = run_line(jobs, 100.0, width)
    assert line == said
    assert width is None or len(line) <= width


def test_the_time_left_is_what_such_jobs_took_shared_by_as_many_as_run_at_a_time() -> None:
    jobs = Jobs(since=0.0)
    jobs.plan({"read": 8})
    for number in range(4):
        jobs.begin(number, Job("read", "read", "", 10.0 * (number // 2)))
        jobs.finish(number, 10.0 * (number // 2) + 10.0)
    jobs.begin(4, Job("read", "read", "", 20.0))
    # 40 s of work in 20 s, so two at a time; three wait at 10 s each and one runs since now: 40 s of work.
    assert jobs.time_left(20.0) == (20.0, True)
    # A rule of which nothing has finished takes what is usual, whatever one long job took.
    jobs.plan({"read": 3, "sft": 1})
    assert jobs.time_left(20.0) == (25.0, False)
    assert run_line(jobs, 20.0).endswith(" | ~25 s left?")


def test_nothing_is_guessed_before_anything_is_known() -> None:
    jobs = Jobs(since=0.0)
    jobs.plan({"read": 8})
    jobs.begin(0, Job("read", "read", "", 0.0))
    jobs.finish(0, 1.0)
    jobs.begin(1, Job("read", "read", "", 1.0))
    assert jobs.time_left(5.0) is None
    assert run_line(jobs, 5.0) == "1/8 jobs 0:05 | read"


def test_a_failed_job_is_counted_until_it_is_tried_again() -> None:
    jobs = Jobs(since=0.0)
    jobs.plan({"sft_model": 1})
    jobs.begin(1, Job("sft_model", "sft", "a", 0.0))
    assert jobs.fail(1) is not None
    assert run_line(jobs, 61.0).startswith("0/1 jobs, 1 failed 1:01")
    jobs.retry("sft_model")
    jobs.begin(1, Job("sft_model", "sft", "a", 61.0))
    assert run_line(jobs, 62.0).startswith("0/1 jobs 1:02 | sft a")


def test_a_submitted_job_that_has_not_spoken_is_queued(tmp_path: Path) -> None:
    jobs = Jobs(since=0.0, queued=True)
    jobs.plan({"sft_model": 2})
    for number, name in enumerate("ab"):
        jobs.begin(number, Job("sft_model", "sft", name, 0.0, JobLog(tmp_path / f"{name}.log")))
    assert run_line(jobs, 1.0) == "0/2 jobs 0:01 | 2 queued"
    (tmp_path / "b.log").write_text("[sft] resuming from checkpoint-50\n")
    jobs.read_logs()
    assert run_line(jobs, 2.0) == "0/2 jobs 0:02 | sft b | 1 queued"


# Logs --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("exam", 9, 40), Step("exam", 9, 40)),
        (("dpo-1", 1000, 2500, 7_000_000.0, "tokens", "loss 0.69"), Step("dpo-1", 1000, 2500, 0, "", 0.0)),
    ],
)
def test_a_progress_line_is_read_as_it_was_meant(arguments: tuple[object, ...], step: Step, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    Progress("sft", path, interval=0.0, silent=True).update(*arguments)  # type: ignore[arg-type]
    read = parse_step(path.read_text().splitlines()[-1])
    assert read is not None
    assert (read.item, read.done, read.total) == (step.item, step.done, step.total)


def test_rates_and_the_time_left_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((0.0, 2.0))
    monkeypatch.setattr("primum.progress.time.monotonic", lambda: next(now))
    progress = Progress("sft", tmp_path / "a.log", interval=0.0, silent=True)
    progress.update("sft", 1, 100, 1_000, "tokens")
    progress.update("sft", 20, 100, 9_000, "tokens", "loss 2.1")
    assert parse_step((tmp_path / "a.log").read_text().splitlines()[-1]) == Step("sft", 20, 100, 4000, "tokens", 8.0)
    assert parse_step("[read] a: 1,548 rows, 0 dropped") is None


def test_a_log_tells_nothing_of_an_earlier_run_or_attempt(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("[sft] a: 9/10\n[sft] error: old\n")
    job = JobLog(path)
    job.read()
    assert (job.begun, job.step, job.error) == (False, None, "")
    with path.open("a") as file:
        file.write("[sft] a: 1/10\n[sft] a: 2/")
    job.read()
    assert job.step == Step("a", 1, 10)
    path.unlink()  # as Snakemake does before another attempt
    path.write_text("[sft] a: 3/10\n")
    job.read()
    assert job.step == Step("a", 3, 10)
    with path.open("a") as file:
        file.write("[sft] error: the disk is full\n")
    job.read()
    assert job.error == "the disk is full"


@pytest.mark.parametrize(
    ("logs", "named"),
    [
        (["results/demo/logs/judge/harm/base.log"], ("judge", "harm/base")),
        (["logs/logs/tables/tables.log"], ("tables", "")),
        ([], ("export csv", "safety")),
    ],
)
def test_jobs_are_named_after_their_logs(logs: list[str], named: tuple[str, str]) -> None:
    assert name_job("export_csv", {"table": "safety"}, logs) == named


def test_durations_are_spoken() -> None:
    assert [spoken(s) for s in (0.4, 59.4, 59.6, 3599, 4800, 86400 * 2 + 3600 * 3)] == [
        "0 s", "59 s", "1 min", "1 h", "1 h 20 min", "2 d 3 h",
    ]  # fmt: skip
    assert [clock(s) for s in (5, 83, 7283)] == ["0:05", "1:23", "2:01:23"]
