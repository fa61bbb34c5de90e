"""``primum audit``: what is asked for in words, the folder of the report, and the exit status."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from primum.artifact.graph import beside
from primum.errors import PrimumError
from primum.project import project_root
from primum.reproduce.audit import audit
from primum.reproduce.budget import BUDGET, seconds_of
from primum.reproduce.report import write_report
from primum.reproduce.screen import Screen


def audit_results(
    results: Path,
    stages: Sequence[str],
    everything: bool,
    most: int | None,
    budget: str | None,
    seed: int,
    output: Path | None,
) -> None:
    """Audit ``results``, and print where the report is. SystemExit with status 1 where something is not as claimed.

    Without ``everything``, ``most`` and ``budget`` the budget is ten minutes. Raises PrimumError for what makes no sense.
    """
    if everything and most is not None:
        raise PrimumError("--all and --sample do not go together: give one of them")
    if most is not None and most < 1:
        raise PrimumError(f"--sample {most}: give 1 or more")
    asked = budget or (None if everything or most is not None else BUDGET)
    seconds = None if asked is None else seconds_of(asked)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = output or beside(results) / "audits" / f"{results.resolve().name}-{stamp}"
    try:
        found = audit(results, stages, seconds, most, seed, folder, Screen(sys.stderr, seconds))
        page = write_report(found, folder)
    except OSError as error:  # on a disk that is full, or not to be written to
        text = f"{error.filename or folder}: {error.strerror}: give a folder that can be written to as --output"
        raise PrimumError(text) from None
    matched = sum(each.matched for each in found.outcomes)
    left = sum(map(len, found.left.values()))
    print(f"{results}: {matched:,} of {len(found.outcomes):,} made again as claimed; {left:,} not made again; {page}")
    if not found.is_clean:
        raise SystemExit(1)


def audit_by_profile(results: Path, everything: bool, budget: str | None, profile: str) -> None:
    """The same as one job of the workflow, through a profile of Snakemake; it ends as Snakemake does.

    Raises PrimumError where ``results`` is in no clone.
    """
    if everything and budget is not None:
        raise PrimumError("--profile takes --budget or --all, not both")
    asked = "all" if everything else budget or BUDGET
    root, folder = project_root(results), results.resolve()
    config = [f"experiment={folder.name}", f"results={os.path.relpath(folder.parent, root)}", f"audit={asked}"]
    command = [sys.executable, "-m", "snakemake", "--profile", profile, "audit", "--config", *config]
    raise SystemExit(subprocess.run(command, cwd=root, check=False).returncode)  # noqa: S603 - our own command
