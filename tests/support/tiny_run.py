"""The one run of the tiny experiment that several tests go on from, whichever process of pytest-xdist asks first."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_run import shared_folder
from filelock import FileLock
from project import copy_project
from tiny import snakemake, write

from primum.artifact.manifest import load_manifest


@dataclass(frozen=True, slots=True)
class TinyRun:
    """A copy of the project in which the tiny experiment has run, and what that run printed. Nobody changes it."""

    project: Path
    output: str

    def copy(self, project: Path) -> Path:
        """All of it, at ``project``: links and times, too, as Snakemake and the store know them."""
        project.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(self.project), str(project)], check=True)
        return project

    def give(self, project: Path, *stages: str) -> Path:
        """Put into the store of another copy what these stages made, for tests of what comes behind them."""
        store = self.project / "results/.store"
        for path in store.glob("??/*/manifest.json"):
            if load_manifest(path).stage in stages:
                entry = path.parent.relative_to(self.project)
                shutil.copytree(path.parent, project / entry)
        return project


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """The run, for all processes."""
    folder = shared_folder(tmp_path_factory) / "tiny-run"
    printed = folder.with_name("tiny-run.txt")
    with FileLock(f"{folder}.lock"):
        if not printed.exists():
            write(copy_project(folder))
            printed.write_text(snakemake(folder), encoding="utf-8")
    return TinyRun(folder, printed.read_text(encoding="utf-8"))
