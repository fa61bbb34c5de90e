"""The one uninterrupted run of the demo that several tests look at, whichever process of pytest-xdist asks first."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from runs import ROOT, contents, run

from primum.artifact.manifest import load_manifest
from primum.artifact.store import Store

_CONTENTS = "demo-contents.json"


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all worker processes of this test run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo, or, where ``PRIMUM_DEMO_SEED`` says so, a copy of it with another seed."""
    seed = os.environ.get("PRIMUM_DEMO_SEED")
    if seed is None:
        return "demo"
    content = yaml.safe_load((ROOT / "config/experiments/demo.yaml").read_text())
    path = shared_folder(tmp_path_factory) / f"seeded-{seed}.yaml"
    path.write_text(yaml.safe_dump({**content, "seed": int(seed)}, sort_keys=False))
    return str(path)


@pytest.fixture(scope="session")
def demo(experiment: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results of an uninterrupted run of the demo."""
    results = shared_folder(tmp_path_factory) / "demo-results"
    with FileLock(f"{results}.lock"):
        if not (results.parent / _CONTENTS).exists():
            run(results, experiment=experiment)
            (results.parent / _CONTENTS).write_text(json.dumps(contents(results)))
    return results


@pytest.fixture(scope="session")
def demo_contents(demo: Path) -> dict[str, str]:
    """The content hash of every artifact of that run, whatever a test does to its folder meanwhile."""
    found: dict[str, str] = json.loads((demo.parent / _CONTENTS).read_text())
    return found


def take_trained(demo: Path, store: Path, models: Iterable[str]) -> None:
    """Put the trained ``models`` of the finished demo into ``store``, and nothing else."""
    for name in models:
        key = load_manifest(demo / f"demo/models/{name}/manifest.json").key
        shutil.copytree(Store(demo / ".store").entry(key), Store(store).entry(key))
