"""What ``primum store`` and ``primum gc`` are given, as people type it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from primum.artifact.graph import beside
from primum.artifact.results import STORE
from primum.project import project_root
from primum.upkeep.amounts import age, size
from primum.upkeep.gc import SAFE_AGE, Limits, collect
from primum.upkeep.needed import is_experiment
from primum.upkeep.overview import print_overview


def store(results: Sequence[Path] | None, root: Path | None) -> None:
    """Print what the store ``root`` holds for ``results``; by default those of the clone."""
    folders = _folders(results)
    print_overview(root or _store_of(folders[0]), folders)


def gc(
    results: Sequence[Path] | None,
    root: Path | None,
    older_than: str | None,
    larger_than: str | None,
    keep: str | None,
    delete: bool,
) -> None:
    """Remove from the store what none of ``results`` needs; without ``delete`` only say what that is."""
    folders = _folders(results)
    limits = Limits(
        older_than=age(older_than) if older_than else SAFE_AGE,
        larger_than=size(larger_than) if larger_than else 0,
        keep=size(keep) if keep else 0,
    )
    collect(root or _store_of(folders[0]), folders, limits, delete)


def _folders(results: Sequence[Path] | None) -> list[Path]:
    return list(results) if results else [Path(os.path.relpath(project_root() / "results"))]


def _store_of(results: Path) -> Path:
    told = os.environ.get("PRIMUM_STORE")
    return Path(told) if told else (beside(results) if is_experiment(results) else results) / STORE
