"""``primum <stage>``, which the workflow's rules call, and the commands that people type."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from primum.dag.dag import STAGES
from primum.errors import PrimumError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="primum",
        description="Train, align and safety-test clinical language models. `snakemake all` runs an experiment; "
        "these are the commands around it, and, below them, the stages that its rules call.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser("show", help="print an artifact's manifest and a few of its columns")
    show.add_argument("artifact", type=Path, help="a .parquet file, a folder, or the manifest of either")
    show.add_argument("--rows", type=int, default=5, help="how many rows to print (default: 5)")
    show.add_argument(
        "--show-harmful-text", action="store_true", help="also print requests, responses and judges' words"
    )

    commands.add_parser("schema", help="print the JSON schema of experiment files")

    check = commands.add_parser("check", help="validate an experiment file and list what it runs")
    check.add_argument("experiment", help="the name of a file in config/experiments, or a path")

    plan = commands.add_parser("plan", help="print what a run would do and what it may cost, against its budget")
    plan.add_argument("experiment", nargs="?", default="demo", help="a name or a path, as for check (default: demo)")
    plan.add_argument("--results", default="results", help="the folder of all results (default: results)")
    plan.add_argument("--store", help="the store (default: PRIMUM_STORE, or .store in the results folder)")

    summary = commands.add_parser("summary", help="name the tables and the report of a finished run")
    summary.add_argument("results", type=Path, help="the experiment's folder, such as results/demo")

    csv = commands.add_parser("csv", help="write a table artifact as CSV")
    csv.add_argument("artifact", type=Path, help="the table's manifest")
    csv.add_argument("output", type=Path)

    table4 = commands.add_parser("table4", help="Table 4 of Med42-v2 beside what was measured, or its own check")
    table4.add_argument("results", type=Path, nargs="?", help="an experiment's folder; without it, nothing was run")
    table4.add_argument("--format", choices=("html", "markdown", "latex", "all"), default="markdown")
    table4.add_argument("--output", type=Path, metavar="FOLDER", help="write table4.html, .md, .tex here")
    table4.add_argument("--check", action="store_true", help="recompute its averages and look at the paper's claims")

    export = commands.add_parser("export", help="write the scores of a run in the form of another tool")
    export.add_argument("results", type=Path, help="the experiment's folder, such as results/demo")
    export.add_argument("--format", choices=("lm-eval", "hf"), required=True)
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder")
    export.add_argument("--force", action="store_true", help="replace the folder if it is there")

    demo = commands.add_parser("demo-data", help="write the demo's data files, at their shipped size or a larger one")
    demo.add_argument("folder", type=Path)
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument(
        "--table5", type=float, metavar="SHARE", help="write the SFT sources at this share of Table 5's counts"
    )

    stage = commands.add_parser("stage", help="run one job of a stage, as the workflow's rules do")
    stage.add_argument("stage", choices=STAGES, metavar="STAGE", help=f"one of: {', '.join(STAGES)}")
    stage.add_argument("--request", type=Path, required=True, metavar="FILE", help="what is asked for, and of what")
    stage.add_argument("--log", type=Path, metavar="FILE", help="also write the progress lines here")
    stage.add_argument("--nodes", type=int, default=1, help="nodes to train on (default: 1)")
    stage.add_argument("--processes", type=int, default=1, help="processes on all of them, one a GPU (default: 1)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run one command; errors go to standard error on one line, with exit status 1."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "stage":
            from primum.dag.run_stage import run_stage

            run_stage(STAGES[arguments.stage], arguments.request, arguments.log, arguments.nodes, arguments.processes)
        elif arguments.command == "show":
            from primum.audit.show import show

            show(arguments.artifact, arguments.rows, arguments.show_harmful_text)
        elif arguments.command == "schema":
            from primum.experiment.schema import schema

            print(json.dumps(schema(), indent=1))
        elif arguments.command == "check":
            from primum.audit.show import check

            check(arguments.experiment, Path.cwd())
        elif arguments.command == "plan":
            from primum.audit.forecast import print_plan
            from primum.dag.workflow import open_workflow

            config = {"experiment": arguments.experiment, "results": arguments.results, "store": arguments.store}
            print_plan(open_workflow(config, Path.cwd()))
        elif arguments.command == "summary":
            from primum.audit.summary import summarize

            print(summarize(arguments.results))
        elif arguments.command == "csv":
            from primum.artifact.manifest import Artifact
            from primum.tables.csv import write_csv

            write_csv(Artifact.open(arguments.artifact).table(), arguments.output)
        elif arguments.command == "table4":
            from primum.table4.command import check_table4, table4

            if arguments.check:
                check_table4(Path.cwd())
            else:
                table4(Path.cwd(), arguments.results, arguments.format, arguments.output)
        elif arguments.command == "export":
            from primum.export.command import export

            export(arguments.results, arguments.format, arguments.output, arguments.force)
        elif arguments.command == "demo-data":
            from primum.demo import table5_scale, write

            write(arguments.folder, arguments.seed, table5_scale(arguments.table5) if arguments.table5 else None)
    except PrimumError as error:
        print(f"primum: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
