"""A copy of the project in a temporary folder, and a process that plans in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

ROOT = Path(__file__).parents[2]
DEMO = (ROOT / "config/experiments/demo.yaml").read_text(encoding="utf-8")
COPIED = (
    "Snakefile",
    "rules",
    "profiles",
    "slurm",
    "config",
    "envs",
    "src",
    "data/demo",
    "data/rubrics",
    "data/canaries",
    "data/papers",
    "data/policies",
)


def copy_project(target: Path) -> Path:
    """The files that the workflow reads."""
    for name in COPIED:
        source = ROOT / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copyfile(source, target / name)
    return target


def environment(project: Path) -> dict[str, str]:
    """The variables under which the copy's own package is what runs."""
    dropped = ("PRIMUM_STORE", "PRIMUM_REFRESH", "PRIMUM_MIRROR", "SNAKEMAKE_PROFILE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    modules = os.pathsep.join(filter(None, [str(project / "src"), os.environ.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": modules, "OMP_NUM_THREADS": "1", "PATH": path}


class Planner:
    """Asks ``planner.py``; ``project`` is the copy that it plans in."""

    _plans: ClassVar[dict[tuple[Path, str], dict[str, Any]]] = {}

    def __init__(self, project: Path) -> None:
        self.project = project
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/workflow/planner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=project,
            env=environment(project),
        )

    def ask(self, question: str, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"ask": question, **request}), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "the planner is gone"}')
        assert "error" not in answer, answer["error"]
        return answer

    def planned(self, **request: Any) -> set[str]:
        """The jobs that a dry-run plans."""
        return set(self.ask("plan", **request)["planned"])

    def plan(self, **request: Any) -> dict[str, Any]:
        """As ``ask("plan")``. Of edits that leave the same jobs, with new specs of the same artifacts, Snakemake plans one.

        It sees no more of an edit than that, and takes three times as long to plan as the package takes to tell.
        """
        state = (self.project, self.ask("state", **request)["state"])
        if state not in self._plans:
            self._plans[state] = self.ask("plan", **request)
        return self._plans[state]

    @contextmanager
    def experiment(self, document: dict[str, Any]) -> Iterator[str]:
        """An experiment file of its own, to be given by path."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=self.project) as file:
            yaml.dump(document, file, yaml.CSafeDumper, sort_keys=False)
            file.flush()
            yield file.name

    @contextmanager
    def edited(self, name: str, text: str | bytes) -> Iterator[None]:
        """The copy with one file's content replaced, and everything as before afterwards, its time too."""
        path = self.project / name
        before, status = path.read_bytes(), path.stat()
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            yield
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
