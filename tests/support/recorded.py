"""A project under git with the tiny experiment, and manifests as if its stages had run: what `primum why` and `diff` read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from project import ROOT
from tiny import TINY

from primum.artifact.job import item_spec
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.store import Store
from primum.audit.differences import todays_modules
from primum.dag.dag import STAGES
from primum.dag.workflow import Workflow, open_workflow

EXPERIMENT = "config/experiments/tiny.yaml"
# What is planned from, and of the code what a test changes: the package that plans is the installed one.
COPIED = ("config", "envs", "data/demo", "src/primum/score")


class Project:
    """A copy of the project at ``root``; :meth:`commit` and :meth:`edit` change it, :meth:`open` plans the tiny experiment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=skipped)
        shutil.copyfile(ROOT / "Snakefile", root / "Snakefile")
        self.path = root / EXPERIMENT
        self.path.write_text(yaml.safe_dump(TINY, sort_keys=False), encoding="utf-8")

    def git(self, *words: str, author: str = "Ann") -> str:
        """What git prints."""
        given = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        for who in ("AUTHOR", "COMMITTER"):
            given |= {f"GIT_{who}_NAME": author, f"GIT_{who}_EMAIL": "a@example.org"}
            given[f"GIT_{who}_DATE"] = "2026-03-01T12:00:00Z"
        command = ["git", "-C", str(self.root), *words]
        return subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=True).stdout

    def commit(self, subject: str, author: str = "Ann") -> None:
        """Commit all that is tracked, as ``author``."""
        if not (self.root / ".git").exists():
            self.git("init", "-q")
        self.git("add", *COPIED)
        self.git("commit", "-q", "-m", subject, author=author)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first ``old`` of a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def open(self, results: str = "results") -> Workflow:
        """The run of the experiment as its file is now, its results in that folder of the project."""
        given = {"experiment": str(self.path), "results": str(self.root / results)}
        return open_workflow(given, self.root)


Change = Callable[[Manifest, str], Manifest]


def as_it_is(manifest: Manifest, path: str) -> Manifest:
    return manifest


def record(
    run: Workflow,
    stages: tuple[str, ...] = tuple(STAGES),
    text: str = "",
    change: Change = as_it_is,
    day: int = 1,
    only_new: bool = False,
) -> dict[str, Manifest]:
    """Manifests, here and in the store, of every artifact as if it had been made of today's spec; others than of ``stages`` stay.

    Contents are names, with ``text`` behind those that are made now; with ``only_new`` none that the store has. ``change`` says
    what was different.
    """
    store, found = Store(Path(run.store)), dict[str, Manifest]()
    modules: dict[str, Mapping[str, str]] = {}
    for job in run.dag.jobs:
        stage, spec = job.stage.name, json.loads(job.spec)
        if stage not in modules:
            modules[stage] = todays_modules(job, spec)
        for output, (_, item) in zip(job.plan.outputs, spec["items"], strict=True):
            path = Path(output.path)
            given = job.plan.inputs_of(output)
            inputs = {role: [found[each].content for each in paths] for role, paths in given.items()}
            own = item_spec(spec, item)
            if stage not in stages or (only_new and store.manifest(artifact_key(own, inputs)) is not None):
                found[output.path] = load_manifest(path)
                continue
            content = f"{path.relative_to(run.dag.results)}{text}".encode().hex().ljust(64, "0")[-64:]
            keys = {role: [found[each].key for each in paths] for role, paths in given.items()}
            about = {"modules": dict(modules[stage]), "input_keys": keys, "finished": f"2026-03-{day:02d}T12:00:00Z"}
            made = Manifest(job.stage.kind, stage, own, inputs, "", content, {}, job.spec, run=about)
            made = change(made, path.relative_to(run.dag.results).as_posix())
            made = replace(made, key=artifact_key(made.spec, made.inputs))
            for where in (path, store.entry(made.key) / "manifest.json"):
                where.parent.mkdir(parents=True, exist_ok=True)
                save_manifest(made, where)
            found[output.path] = made
    run.write_config()
    return found


def with_spec(**changed: Any) -> Change:
    """What replaces keys of the specs."""

    def change(manifest: Manifest, path: str) -> Manifest:
        return replace(manifest, spec={**manifest.spec, **changed})

    return change
