"""Commands that look at an experiment, at its results, and at the store."""

from __future__ import annotations

import argparse
from pathlib import Path

from primum.commands.command import KEPT, RESULTS, RUN, Command, argument, opened
from primum.project import project_root, results_folder


def _check(given: argparse.Namespace) -> None:
    from primum.audit.show import check

    check(given.experiment, project_root(given.experiment))


def _plan(given: argparse.Namespace) -> None:
    from primum.audit.forecast import print_plan

    print_plan(opened(given))


def _summary(given: argparse.Namespace) -> None:
    from primum.audit.summary import summarize

    print(summarize(given.results))


def _show(given: argparse.Namespace) -> None:
    from primum.audit.show import find_manifest, show
    from primum.errors import PrimumError
    from primum.trace.find import find_path

    if given.rows < 0:
        raise PrimumError(f"--rows {given.rows}: give 0 or more")
    manifest = find_manifest(Path(given.artifact))
    if not manifest.is_file():
        manifest = find_path(given.artifact)
    show(manifest, given.rows, given.show_harmful_text)


def _table4(given: argparse.Namespace) -> None:
    from primum.table4.command import check_table4, table4

    root = project_root(given.results)
    if given.check:
        check_table4(root)
    else:
        table4(root, given.results, given.format, given.output)


def _store(given: argparse.Namespace) -> None:
    from primum.upkeep.command import store

    store(given.results, given.store)


COMMANDS = (
    Command(
        "check",
        "validate an experiment file and list what it runs",
        "primum check open-clinical",
        _check,
        (argument("experiment", help="the name of a file in config/experiments, or a path"),),
    ),
    Command(
        "plan",
        "print what a run would do and what it may cost, against its budget",
        "primum plan med42-v2-8b",
        _plan,
        (
            argument("experiment", nargs="?", default="demo", help="a name or a path, as for check (default: demo)"),
            *RUN,
        ),
    ),
    Command(
        "summary",
        "name the tables and the report of a finished run",
        "primum summary results/demo",
        _summary,
        (RESULTS,),
    ),
    Command(
        "show",
        "print an artifact's manifest and a few of its columns",
        "primum show results/demo/scores/dpo-3/medqa.parquet --rows 3",
        _show,
        (
            argument(
                "artifact", help="a .parquet file, a folder, the manifest of either, or a name: demo/scores/sft/medqa"
            ),
            argument("--rows", type=int, default=5, help="how many rows to print (default: 5)"),
            argument(
                "--show-harmful-text",
                action="store_true",
                help="also print requests, responses, judges' words, and what a training's chunks or pairs teach",
            ),
        ),
    ),
    Command(
        "table4",
        "print Table 4 of Med42-v2 beside what was measured, or its own check",
        "primum table4 results/med42-v2-8b --format latex",
        _table4,
        (
            argument("results", type=results_folder, nargs="?", help="as for verify; without it, nothing was run"),
            argument("--format", choices=("html", "markdown", "latex", "all"), default="markdown"),
            argument("--output", type=Path, metavar="FOLDER", help="write table4.html, .md, .tex here"),
            argument("--check", action="store_true", help="recompute its averages and look at the paper's claims"),
        ),
    ),
    Command(
        "store",
        "say what the store holds: by stage, by the experiments that need it, and whose it is",
        "primum store",
        _store,
        KEPT,
    ),
)
