"""What a command is, and what several of them take."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primum.project import project_root, results_folder

if TYPE_CHECKING:
    from primum.dag.workflow import Workflow

Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that people type; ``run`` gets the parsed ``arguments`` (those of argparse)."""

    name: str
    help: str
    example: str
    run: Callable[[argparse.Namespace], None]
    arguments: tuple[Argument, ...] = ()


def argument(*names: str, **options: Any) -> Argument:
    """An argument of a command, in the words of argparse's ``add_argument``."""
    return names, options


RUN = (
    argument("--results", help="the folder of all results (default: results in the clone)"),
    argument("--store", help="the store (default: PRIMUM_STORE, or .store in the results folder)"),
)
KEPT = (
    argument(
        "--results",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="the folders of experiments, or of several, that need it (default: results in the clone)",
    ),
    argument("--store", type=Path, help="the store (default: PRIMUM_STORE, or .store in the first of these folders)"),
)
RESULTS = argument("results", type=results_folder, help="an experiment that was run, or its folder: demo, results/demo")


def opened(given: argparse.Namespace) -> Workflow:
    """The run that ``experiment`` and the arguments ``RUN`` name. PrimumError for one that cannot be planned."""
    from primum.dag.workflow import open_workflow

    root = project_root(given.experiment)
    results = given.results or os.path.relpath(root / "results")
    return open_workflow({"experiment": given.experiment, "results": results, "store": given.store}, root)
