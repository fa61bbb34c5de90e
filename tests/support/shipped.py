"""Runs of the experiments that the project ships, with some sections of their files, and of what they extend, replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from primum.dag.workflow import Workflow, open_workflow
from primum.experiment.extends import extended
from primum.experiment.load import read_yaml

ROOT = Path(__file__).parents[2]


def open_shipped(folder: Path, experiment: str, **changed: Any) -> Workflow:
    """A run in ``folder``, which has no results yet; its experiment file is written there, as ``changed.yaml``."""
    document = extended(ROOT / f"config/experiments/{experiment}.yaml", ROOT, read_yaml).content | changed
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return open_workflow({"experiment": str(path), "results": f"{folder}/results"}, ROOT)
