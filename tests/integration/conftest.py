"""The one run of the demo that several tests look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from runs import ROOT, run


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The demo, or, where ``PRIMUM_DEMO_SEED`` says so, a copy of it with another seed."""
    seed = os.environ.get("PRIMUM_DEMO_SEED")
    if seed is None:
        return "demo"
    content = yaml.safe_load((ROOT / "config/experiments/demo.yaml").read_text())
    path = tmp_path_factory.mktemp("seeded") / "seeded.yaml"
    path.write_text(yaml.safe_dump({**content, "seed": int(seed)}, sort_keys=False))
    return str(path)


@pytest.fixture(scope="session")
def demo(experiment: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results of an uninterrupted run of the demo."""
    results = tmp_path_factory.mktemp("demo")
    run(results, experiment=experiment)
    return results
