"""What people see while `snakemake` runs: in a terminal, in a pipe, when a job fails, and after Ctrl-C. Real runs of the tiny
experiment in one copy of the project; each test leaves the store to the next.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import copy_project, environment
from terminal import Terminal
from tiny import write
from tiny_run import TinyRun

NEVER = (
    "Select jobs", "Finished jobid", "jobid", "Execute", "steps (", "Building DAG", "Job stats", "Complete log", "Elapsed",
    "Provided cores", "Using shell", "shared filesystem", "At least one job", "Exiting because", "RuleException",
    '"libraries"', "Traceback",
)  # fmt: skip
LINE = re.compile(r"^\d+/\d+ jobs(?:, \d+ failed)? [\d:]+")
TIMESTAMP = re.compile(r"\[\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}\]")


@pytest.fixture(scope="module")
def project(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One in which nothing is made; the store has what the runs' lines are not looked at for."""
    project = copy_project(tmp_path_factory.mktemp("terminal") / "project")
    write(project)
    return tiny_run.give(project, "overlap", "generate", "score")


def command(target: str, *more: str) -> list[str]:
    """Options, and what goes to --config."""
    config = [word for word in more if "=" in word]
    options = [word for word in more if word not in config]
    return [sys.executable, "-m", "snakemake", target, "--cores", "2", *options, "--config", "experiment=tiny", *config]


def terminal(project: Path, target: str, *config: str, columns: int = 100) -> Terminal:
    return Terminal(command(target, *config), project, environment(project), columns)


def piped(project: Path, *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        command(*words),
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout[-3000:]
    return done.stdout


def assert_quiet(written: str) -> None:
    assert [word for word in NEVER if word in written] == []
    assert TIMESTAMP.search(written) is None


def test_a_dry_run_says_what_would_run_and_why(project: Path) -> None:
    output = piped(project, "pretrain", "--dry-run")
    assert_quiet(output)
    assert output.splitlines()[1:] == [
        "tiny: 5 jobs would run",
        "",
        "stage     jobs  why",
        "fetch        2  not made yet",
        "read         1  not made yet",
        "mix          1  not made yet",
        "pretrain     1  not made yet",
        "",
        "Nothing was started. What changed: primum why tiny",
        "What it may cost: primum plan tiny; job by job: add --quiet host",
    ]
    assert "rule pretrain_model:" in piped(project, "pretrain", "--dry-run", "--quiet", "host")


def test_in_a_pipe_there_are_plain_lines(project: Path) -> None:
    output = piped(project, "pretrain")
    assert_quiet(output)
    assert "\x1b" not in output
    assert "\r" not in output
    lines = output.splitlines()
    assert [line for line in lines if line.startswith("[pretrain] base: 8/8, ")]
    assert [line for line in lines if line.startswith("5/5 jobs in ")]
    assert "results/tiny: 15 artifacts, 0 of them taken from the store." in lines
    assert not (project / "results/tiny/logs/run.log").exists()


@pytest.mark.parametrize("columns", [100, 60])
def test_in_a_terminal_there_is_one_line(project: Path, columns: int) -> None:
    # The narrow one makes again what the run in the pipe made, the wide one what was left to make.
    refresh = ["refresh=pretrain"] if columns == 60 else []
    run = terminal(project, "pretrain" if refresh else "all", *refresh, columns=columns)
    assert run.end() == 0
    assert_quiet(run.written)
    assert [line for line in run.screen() if LINE.match(line)] == []  # it goes, and leaves its sum
    assert len([line for line in run.screen() if re.match(r"(\d+)/\1 jobs in \d:\d\d$", line)]) == 1
    lines = [line for line in run.shown() if LINE.match(line)]
    assert max(map(len, lines)) < columns
    assert [line for line in lines if (" | pretrain base" if refresh else " | sft") in line]
    if not refresh:
        assert [line for line in lines if re.search(r"\d+/\d+ jobs \d:\d\d .* \| ~\d+ (?:s|min) left\??$", line)]
        assert run.screen()[-1] == "Report:  results/tiny/report/index.html"
    # What the jobs said is in their logs, and in one for all of them.
    stage, name = ("pretrain", "base") if refresh else ("sft", "sft")
    said = (project / f"results/tiny/logs/{stage}/{name}.log").read_text()
    assert f"[{stage}] {name}: " in said
    assert set(said.splitlines()) <= set((project / "results/tiny/logs/run.log").read_text().splitlines())
    assert f"[{stage}]" not in run.written


def test_what_the_store_gave_is_said(project: Path) -> None:
    shutil.rmtree(project / "results/tiny")
    dry = piped(project, "all", "--dry-run")
    assert "tiny: 1 job would run: 0 of stages, 1 other, such as CSV\n" in dry
    assert "17 jobs are taken from the store results/.store and do not run." in dry
    run = terminal(project, "all")
    assert run.end() == 0
    assert_quiet(run.written)
    (line,) = [line for line in run.screen() if "taken from results/.store" in line]
    assert len(line) < run.columns
    assert [line for line in run.screen() if line.startswith("1/1 jobs in ")]
    again = terminal(project, "all")
    assert again.end() == 0
    assert again.screen()[1:] == ["Nothing to be done (all requested files are present and up to date)."]


def test_a_failed_job_is_one_line(project: Path) -> None:
    module = project / "src/primum/report/stage.py"
    whole = module.read_text()
    module.write_text(
        whole.replace("def run(job: Job)", "def _run(job: Job)") + "\n\ndef run(job):\n    raise KeyError(1)\n"
    )
    try:
        run = terminal(project, "all")
        assert run.end() == 1
    finally:
        module.write_text(whole)
    assert_quiet(run.written)
    log = "results/tiny/logs/report/report.log"
    assert run.screen()[1:] == [
        f"error: write_report (results/tiny/report/manifest.json): KeyError: see above; log: {log}",
        next(line for line in run.screen() if line.startswith("0/1 jobs in ")),
        "Stopped. The logs are under results/tiny/logs; run the same command again to go on from here.",
    ]
    assert [line for line in run.shown() if line.startswith("0/1 jobs, 1 failed 0:")] or len(run.screen()) == 4
    assert max(map(len, run.shown())) < 300
    # The page's job reads what is sensitive, so that what an error says is its owner's alone.
    assert "raise KeyError(1)\nKeyError: what it says may be text of a row" in (project / log).read_text()


def test_ctrl_c_is_one_line(project: Path) -> None:
    run = terminal(project, "all", "refresh=pretrain")
    run.read(until=lambda written: "pretrain" in written.partition("default command line arguments")[2])
    run.press_ctrl_c()
    assert run.end() == 1
    assert_quiet(run.written)
    assert [line for line in run.screen() if "error" in line.lower()] == []
    assert run.screen()[1:] == [
        "Stopped. The logs are under results/tiny/logs; run the same command again to go on from here."
    ]


def test_an_error_before_the_first_job_is_one_line(project: Path) -> None:
    for words, said in (
        (("all", "refresh=dpo"), "primum: error: refresh=dpo: matches no job; "),
        (("alll",), "error: No rule to produce alll "),
    ):
        _, line = piped(project, *words, fails=True).splitlines()
        assert line.startswith(said)
