"""Ctrl-C while modules are still being loaded, by a signal that comes when a certain one is asked for."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT, environment

from primum.terminal.interrupt import AGAIN

# Arguments: the module that the signal comes before, "ignore" where a shell has this in the background, and the command.
AT = """
import os, signal, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module, how, *sys.argv = sys.argv[1:]
signal.signal(signal.SIGINT, signal.SIG_IGN if how == "ignore" else signal.default_int_handler)
sys.meta_path.insert(0, Finder)
from {} import main
main()
"""


def interrupted(before: str, package: str, *words: str, how: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AT.format(package), before, how, "program", *words]
    return subprocess.run(command, cwd=ROOT, env=environment(ROOT), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("before", "status"), [("primum.cli", -signal.SIGINT), ("pydantic", -signal.SIGINT), ("primum.audit.show", 130)]
)
def test_a_command_says_nothing(before: str, status: int) -> None:
    done = interrupted(before, "primum.__main__", "check", "demo")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_a_command_in_the_background_goes_on() -> None:
    done = interrupted("primum.cli", "primum.__main__", "--help", how="ignore")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_says_one_line(tmp_path: Path) -> None:
    words = ("-n", "all", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path))
    done = interrupted("primum.dag.workflow", "snakemake.cli", *words)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == AGAIN
    assert "Traceback" not in done.stderr
