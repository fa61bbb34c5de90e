"""What `snakemake --lint` says of the workflow, with each exception and its reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT, copy_project, environment

EXCEPTIONS = {
    # One environment for the whole workflow, from one lock: the versions are in every spec. A rule cannot differ from it.
    "Specify a conda environment or container for each rule.",
    # A request is no input: the spec in it is the rule's param, what it reads are the rule's inputs, and where it lies must
    # recompute nothing.
    "Shell command directly uses variable REQUESTS from outside of the rule",
    # Snakemake's own name of the rule, which the linter takes for a variable.
    "Shell command directly uses variable rule from outside of the rule",
}
# They write a file beside a table and say no more than its name, or fail on one line.
WITHOUT_LOG = {"export_csv", "render_table4"}


def lint(project: Path) -> list[tuple[str, str]]:
    """(rule or file, title) of every lint."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    found, where = [], ""
    for line in output.splitlines():
        if line.startswith("Lints for "):
            where = line.split()[3] if line.startswith("Lints for rule") else Path(line.split()[3].rstrip(":")).name
        elif line.startswith("    * "):
            found.append((where, line.removeprefix("    * ").rstrip(":")))
    return found


def test_the_linter_finds_only_the_stated_exceptions() -> None:
    found = lint(ROOT)
    assert {title for _, title in found} >= EXCEPTIONS
    others = [(where, title) for where, title in found if title not in EXCEPTIONS]
    assert {where for where, _ in others} == WITHOUT_LOG, others
    assert {title for _, title in others} == {"No log directive defined"}


@pytest.mark.parametrize("needle", ['    log:\n        RUN.log("sft", "{model}"),\n'])
def test_the_linter_is_really_asked(tmp_path: Path, needle: str) -> None:
    project = copy_project(tmp_path / "project")
    path = project / "rules/training.smk"
    text = path.read_text()
    assert needle in text
    path.write_text(text.replace(needle, "").replace(" --log {log:q}", ""))
    assert ("sft_model", "No log directive defined") in lint(project)
