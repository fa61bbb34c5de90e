"""Commands that say where a number came from, and whether it can be had again."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from primum.commands.command import RESULTS, RUN, Command, argument, opened
from primum.project import project_root, results_folder


def _explain(given: argparse.Namespace) -> None:
    from primum.trace.explain import conditions, explain

    where = conditions(given.where, {name: getattr(given, name) for name in _COLUMNS})
    explain(given.experiment, given.what, where, given.depth, given.item, given.json, given.html)


def _uses(given: argparse.Namespace) -> None:
    from primum.trace.uses import uses

    uses(given.experiment, given.what, given.json)


def _why(given: argparse.Namespace) -> None:
    from primum.artifact.graph import beside
    from primum.trace.find import named_in, placed
    from primum.trace.told import print_ran, print_why

    place = placed(given.experiment) if given.stage is None else None
    if place is not None:  # an artifact alone
        folder, given.stage = place
        given.experiment, given.results = folder.resolve().name, given.results or str(beside(folder))
    run, root = opened(given), project_root(given.experiment)
    asked = None if given.stage is None else named_in(Path(run.dag.results), given.stage)
    if given.ran:
        print_ran(Path(run.dag.results), Path(run.store), root, asked, given.json)
    else:
        print_why(run, root, given.experiment, asked, given.json)


def _diff(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.trace.diff import diff

    try:
        differ = diff(given.first, given.second, project_root(given.first), given.tables, given.json)
    except PrimumError as error:
        print(f"primum: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if differ:
        raise SystemExit(1)


def _verify(given: argparse.Namespace) -> None:
    from primum.verify.command import verify

    verify(given.results, given.store, given.json, given.jobs)


def _audit(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.reproduce.command import audit_by_profile, audit_results

    if given.profile is not None:
        if given.sample or given.stage or given.seed or given.output:
            raise PrimumError("--profile takes --budget or --all alone: run the others without it, inside a job")
        audit_by_profile(given.results, given.all, given.budget, given.profile)
    audit_results(given.results, given.stage, given.all, given.sample, given.budget, given.seed, given.output)


def _replay(given: argparse.Namespace) -> None:
    from primum.reproduce.replay import replay

    replay(given.crate, given.folder, given.cores, given.dry_run)


def _report_data(given: argparse.Namespace) -> None:
    from primum.trace.rundata import write_run_data

    print(write_run_data(given.results))


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if not names:  # which would mean all of them
        raise argparse.ArgumentTypeError("names none: give some with commas between, such as benchmarks,safety")
    return names


_JSON = argument("--json", action="store_true", help="print JSON instead: docs/provenance.md says of what")
# What rows of the tables are mostly named by; --where takes any column.
_COLUMNS = ("model", "benchmark", "subject", "judge", "prompts", "category", "mixture", "source")

COMMANDS = (
    Command(
        "explain",
        "print all that a number or an artifact was made of, down to the raw files",
        "primum explain demo benchmarks --model sft --benchmark medqa",
        _explain,
        (
            argument("experiment", help="an experiment that was run, or its results folder"),
            argument(
                "what",
                nargs="?",
                help="a table, or an artifact: its name, path, or the beginning of its hash; without it, what there is",
            ),
            *(argument(f"--{name}", metavar="NAME", help=f"the row's {name}") for name in _COLUMNS),
            argument(
                "--where", metavar="KEY=VALUE", action="append", default=[], help="what the row has in any column"
            ),
            argument("--item", metavar="ID", help="also say what was measured of one item, and where it came from"),
            argument("--depth", type=int, metavar="N", help="unfold so many levels (default: all)"),
            _JSON,
            argument("--html", type=Path, metavar="FILE", help="write a page that unfolds instead"),
        ),
    ),
    Command(
        "uses",
        "list every artifact and number that an artifact or a raw file reaches",
        "primum uses data/raw/demo-medqa-test",
        _uses,
        (
            argument("what", help="an artifact, a raw file, a file of the project's data, or the beginning of a hash"),
            argument(
                "--experiment", help="one that was run, or its results folder (default: that of the path, or demo)"
            ),
            _JSON,
        ),
    ),
    Command(
        "why",
        "say why jobs would run again: which setting, function, library or file changed, and by whom",
        "primum why demo sft:sft",
        _why,
        (
            argument("experiment", nargs="?", default="demo", help="a name or a path, as for check (default: demo)"),
            argument(
                "stage",
                metavar="STAGE[:NAME]",
                nargs="?",
                help="tell it job by job: a stage, a job, an artifact, or all",
            ),
            argument("--ran", action="store_true", help="say why what is there was made again, when it was made last"),
            argument("--json", action="store_true", help="print it as JSON"),
            *RUN,
        ),
    ),
    Command(
        "diff",
        "say in which cells two runs differ, and where they part; exit status 0 if they do not, 1 if they do, 2 for an error",
        "primum diff results/demo results/other",
        _diff,
        (
            argument("first", metavar="A", help="a results folder, an experiment's name, a store, or an artifact"),
            argument("second", metavar="B", help="another one of the same kind"),
            argument("--tables", metavar="NAMES", type=_names, default=[], help="only these, with commas between"),
            argument("--json", action="store_true", help="print it as JSON, in full"),
        ),
    ),
    Command(
        "verify",
        "check results against their manifests, the store, and each other",
        "primum verify results/demo",
        _verify,
        (
            argument("results", type=results_folder, nargs="+", help="experiments that were run, or their folders"),
            argument("--store", type=Path, help="the store (default: PRIMUM_STORE, or .store beside the folder)"),
            argument("--json", type=Path, metavar="FILE", help="also write what was found here, as JSON"),
            argument("--jobs", type=int, metavar="N", help="files to read at a time (default: the cores there are)"),
        ),
    ),
    Command(
        "audit",
        "make a sample of a run's artifacts again, elsewhere, and compare",
        "primum audit results/demo --budget 5min",
        _audit,
        (
            RESULTS,
            argument("--sample", type=int, metavar="N", help="make no more than so many again"),
            argument("--all", action="store_true", help="make all again"),
            argument("--stage", nargs="+", default=[], metavar="STAGE", help="only artifacts of these stages"),
            argument(
                "--budget", metavar="TIME", help="start nothing that will not end in 90s, 10min, 2h (default: 10min)"
            ),
            argument("--seed", type=int, default=0, help="which sample is drawn (default: 0)"),
            argument(
                "--output",
                type=Path,
                metavar="FOLDER",
                help="a new one, for the report (default: in audits/ beside results)",
            ),
            argument("--profile", help="run it as a job, through this profile of Snakemake, such as slurm"),
        ),
    ),
    Command(
        "replay",
        "make the run of a crate again, and compare what comes out",
        "primum replay exported --dry-run",
        _replay,
        (
            argument("crate", type=Path, help="a folder that `primum export --format crate` wrote"),
            argument("--folder", type=Path, metavar="DIR", help="a new folder (default: the crate's name and -replay)"),
            argument("--cores", type=int, default=os.cpu_count() or 1, help="as of snakemake (default: all)"),
            argument("--dry-run", action="store_true", help="check the crate, and plan its jobs; run none"),
        ),
    ),
    Command(
        "report-data",
        "write what was made of what, when and at what cost, for the report to show",
        "primum report-data results/demo",
        _report_data,
        (RESULTS,),
    ),
)
