"""The one uninterrupted run of the demo that several tests look at, whichever process of pytest-xdist asks first."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from runs import ROOT, contents, run

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
