"""The commands that people type: each is one entry of ``COMMANDS``, and nothing else is to be written for it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primum.project import project_root

if TYPE_CHECKING:
    from primum.dag.workflow import Workflow

Argument = tuple[tuple[str, ...], dict[str, Any]]
GROUPS = ("Look", "Trace", "Fetch", "Change", "Export", "Data")


@dataclass(frozen=True, slots=True)
class Command:
    """A command in its ``group`` of the help; ``run`` gets the parsed ``arguments`` (those of argparse)."""

    name: str
    group: str
    help: str
    example: str
    run: Callable[[argparse.Namespace], None]
    arguments: tuple[Argument, ...] = ()


def _argument(*names: str, **options: Any) -> Argument:
    return names, options


# What each does: imports are inside, since a command loads no more than it needs. ---------------------------------------


def _opened(given: argparse.Namespace) -> Workflow:
    """The run that ``experiment``, ``--results`` and ``--store`` name."""
    from primum.dag.workflow import open_workflow

    root = project_root(given.experiment)
    results = given.results or os.path.relpath(root / "results")
    return open_workflow({"experiment": given.experiment, "results": results, "store": given.store}, root)


def _check(given: argparse.Namespace) -> None:
    from primum.audit.show import check

    check(given.experiment, project_root(given.experiment))


def _plan(given: argparse.Namespace) -> None:
    from primum.audit.forecast import print_plan

    print_plan(_opened(given))


def _pin(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.pins.pin import check, pin

    root = project_root(given.experiment)
    if given.check and given.update:
        raise PrimumError("--check and --update do not go together: give one of them")
    if given.check:
        check(root, given.experiment)
    else:
        pin(root, given.experiment, given.update)


def _mirror(given: argparse.Namespace) -> None:
    from primum.pins.mirror import mirror

    mirror(project_root(given.experiment), given.experiment, given.folder, not given.datasets_only)


def _adopt(given: argparse.Namespace) -> None:
    from primum.audit.adopt import adopt

    adopt(_opened(given), given.stage, given.why)


def _store(given: argparse.Namespace) -> None:
    from primum.upkeep.command import store

    store(given.results, given.store)


def _gc(given: argparse.Namespace) -> None:
    from primum.upkeep.command import gc

    gc(given.results, given.store, given.older_than, given.larger_than, given.keep, given.yes)


def _show(given: argparse.Namespace) -> None:
    from primum.audit.show import show

    show(given.artifact, given.rows, given.show_harmful_text)


def _explain(given: argparse.Namespace) -> None:
    from primum.trace.explain import conditions, explain

    where = conditions(given.where, {name: getattr(given, name) for name in _COLUMNS})
    explain(given.experiment, given.what, where, given.depth, given.item, given.json, given.html)


def _uses(given: argparse.Namespace) -> None:
    from primum.trace.uses import uses

    uses(given.experiment, given.what, given.json)


def _why(given: argparse.Namespace) -> None:
    from primum.trace.told import print_ran, print_why

    run, root = _opened(given), project_root(given.experiment)
    if given.ran:
        print_ran(Path(run.dag.results), Path(run.store), root, given.stage, given.json)
    else:
        print_why(run, root, given.experiment, given.stage, given.json)


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


def _summary(given: argparse.Namespace) -> None:
    from primum.audit.summary import summarize

    print(summarize(given.results))


def _table4(given: argparse.Namespace) -> None:
    from primum.table4.command import check_table4, table4

    root = project_root(given.results)
    if given.check:
        check_table4(root)
    else:
        table4(root, given.results, given.format, given.output)


def _export(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.export.command import export, export_dataset

    harmful = given.include_harmful_text is not None
    if given.format in ("crate", "sbom"):
        from primum.export.whole import export_whole

        export_whole(given, harmful, project_root(given.results))
        return
    if given.with_data or given.results is None:
        raise PrimumError("--with-data belongs to --format crate" if given.with_data else "name an experiment's folder")
    asked = [given.mixture, given.preferences]
    if given.format == "dataset":
        if asked.count(None) != 1:
            raise PrimumError("--format dataset writes one set of data: give --mixture NAME or --preferences NAME")
        export_dataset(given.results, given.mixture, given.preferences, given.output, given.force, harmful)
    elif harmful or asked != [None, None]:
        flags = "--include-harmful-text" if harmful else "--mixture and --preferences"
        raise PrimumError(f"{flags} belong to --format dataset, not to {given.format}: leave them out")
    else:
        export(given.results, given.format, given.output, given.force)


def _replay(given: argparse.Namespace) -> None:
    from primum.reproduce.replay import replay

    replay(given.crate, given.folder, given.cores, given.dry_run)


def _csv(given: argparse.Namespace) -> None:
    from primum.artifact.manifest import Artifact
    from primum.export.command import check_sensitive
    from primum.tables.csv import write_csv

    artifact = Artifact.open(given.artifact)
    private = check_sensitive(artifact, given.include_harmful_text is not None)
    write_csv(artifact.table(), given.output, private)


def _report_data(given: argparse.Namespace) -> None:
    from primum.trace.rundata import write_run_data

    print(write_run_data(given.results))


def _texts(given: argparse.Namespace) -> None:
    from primum.export.texts import remove_texts, write_texts

    if given.remove:
        print(f"{given.results}: {'the texts are deleted' if remove_texts(given.results) else 'there are no texts'}")
    else:
        print(f"{write_texts(given.results, given.include_harmful_text is not None)}: open it to nobody else")


def _audit(given: argparse.Namespace) -> None:
    from primum.errors import PrimumError
    from primum.reproduce.command import audit_by_profile, audit_results

    if given.profile is not None:
        if given.sample or given.stage or given.seed or given.output:
            raise PrimumError("--profile takes --budget or --all alone: run the others without it, inside a job")
        audit_by_profile(given.results, given.all, given.budget, given.profile)
    audit_results(given.results, given.stage, given.all, given.sample, given.budget, given.seed, given.output)


def _schema(given: argparse.Namespace) -> None:
    from primum.experiment.schema import schema

    print(json.dumps(schema(), indent=1))


def _demo_data(given: argparse.Namespace) -> None:
    from primum.demo import table5_scale, write

    write(given.folder, given.seed, table5_scale(given.table5) if given.table5 else None)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


# What they are called, and take. -----------------------------------------------------------------------------------------

_RUN = (
    _argument("--results", help="the folder of all results (default: results in the clone)"),
    _argument("--store", help="the store (default: PRIMUM_STORE, or .store in the results folder)"),
)
_KEPT = (
    _argument(
        "--results",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="the folders of experiments, or of several, that need it (default: results in the clone)",
    ),
    _argument("--store", type=Path, help="the store (default: PRIMUM_STORE, or .store in the first of these folders)"),
)
_HARMFUL = _argument(
    "--include-harmful-text",
    choices=("i-understand",),
    help="write a sensitive artifact too",
)
_RESULTS = _argument("results", type=Path, help="the experiment's folder, such as results/demo")

_JSON = _argument("--json", action="store_true", help="print JSON instead: docs/provenance.md says of what")
# What rows of the tables are mostly named by; --where takes any column.
_COLUMNS = ("model", "benchmark", "subject", "judge", "prompts", "category", "mixture", "source")

COMMANDS = (
    Command(
        "check",
        "Look",
        "validate an experiment file and list what it runs",
        "primum check open-clinical",
        _check,
        (_argument("experiment", help="the name of a file in config/experiments, or a path"),),
    ),
    Command(
        "plan",
        "Look",
        "print what a run would do and what it may cost, against its budget",
        "primum plan med42-v2-8b",
        _plan,
        (
            _argument("experiment", nargs="?", default="demo", help="a name or a path, as for check (default: demo)"),
            *_RUN,
        ),
    ),
    Command(
        "pin",
        "Fetch",
        "write down which commits of a hub or of git are meant where an entry gives no revision",
        "primum pin med42-v2-8b",
        _pin,
        (
            _argument("experiment", nargs="?", help="a name or a path, as for check (default: all that is shipped)"),
            _argument("--check", action="store_true", help="say what has moved on from its pin, and write nothing"),
            _argument("--update", metavar="NAME", help="take what is there now of one entry, or of a repository"),
        ),
    ),
    Command(
        "mirror",
        "Fetch",
        "bring all that an experiment reads into a folder, for a machine without network",
        "primum mirror med42-v2-8b /media/disk/mirror",
        _mirror,
        (
            _argument("experiment", help="a name or a path, as for check"),
            _argument("folder", type=Path, help="a new one, or one to complete: what is whole in it stays"),
            _argument("--datasets-only", action="store_true", help="leave models out"),
        ),
    ),
    Command(
        "adopt",
        "Change",
        "keep artifacts although the code or the versions that make them changed",
        "primum adopt sft:dpo-1 --why 'only an error message changed'",
        _adopt,
        (
            _argument("stage", metavar="STAGE[:NAME]", help="a stage, one job of it, or all"),
            _argument("--why", required=True, metavar="TEXT", help="why their content stays the same; kept with each"),
            _argument("--experiment", default="demo", help="a name or a path, as for check (default: demo)"),
            *_RUN,
        ),
    ),
    Command(
        "store",
        "Look",
        "say what the store holds: by stage, by the experiments that need it, and whose it is",
        "primum store",
        _store,
        _KEPT,
    ),
    Command(
        "gc",
        "Change",
        "remove from the store what no experiment needs; without --yes only say what that is",
        "primum gc --older-than 30d",
        _gc,
        (
            *_KEPT,
            _argument("--older-than", metavar="AGE", help="only what was not used for 12h, 30d, 8w (at least a day)"),
            _argument("--larger-than", metavar="SIZE", help="only what is larger than 500MB, 1GB"),
            _argument(
                "--keep", metavar="SIZE", help="what was not used for longest, until 500GB are left in the store"
            ),
            _argument("--yes", action="store_true", help="remove it"),
        ),
    ),
    Command(
        "show",
        "Look",
        "print an artifact's manifest and a few of its columns",
        "primum show results/demo/scores/dpo-3/medqa.parquet --rows 3",
        _show,
        (
            _argument("artifact", type=Path, help="a .parquet file, a folder, or the manifest of either"),
            _argument("--rows", type=int, default=5, help="how many rows to print (default: 5)"),
            _argument(
                "--show-harmful-text",
                action="store_true",
                help="also print requests, responses, judges' words, and what a training's chunks or pairs teach",
            ),
        ),
    ),
    Command(
        "explain",
        "Trace",
        "print all that a number or an artifact was made of, down to the raw files",
        "primum explain demo benchmarks --model sft --benchmark medqa",
        _explain,
        (
            _argument("experiment", help="an experiment that was run, or its results folder"),
            _argument(
                "what",
                nargs="?",
                help="a table, or an artifact: its name, path, or the beginning of its hash; without it, what there is",
            ),
            *(_argument(f"--{name}", metavar="NAME", help=f"the row's {name}") for name in _COLUMNS),
            _argument(
                "--where", metavar="KEY=VALUE", action="append", default=[], help="what the row has in any column"
            ),
            _argument("--item", metavar="ID", help="also say what was measured of one item, and where it came from"),
            _argument("--depth", type=int, metavar="N", help="unfold so many levels (default: all)"),
            _JSON,
            _argument("--html", type=Path, metavar="FILE", help="write a page that unfolds instead"),
        ),
    ),
    Command(
        "uses",
        "Trace",
        "list every artifact and number that an artifact or a raw file reaches",
        "primum uses data/raw/demo-medqa-test",
        _uses,
        (
            _argument("what", help="an artifact, a raw file, a file of the project's data, or the beginning of a hash"),
            _argument("--experiment", default="demo", help="one that was run, or its results folder (default: demo)"),
            _JSON,
        ),
    ),
    Command(
        "why",
        "Trace",
        "say why jobs would run again: which setting, function, library or file changed, and by whom",
        "primum why demo sft:sft",
        _why,
        (
            _argument("experiment", nargs="?", default="demo", help="a name or a path, as for check (default: demo)"),
            _argument(
                "stage", metavar="STAGE[:NAME]", nargs="?", help="tell it job by job: of a stage, of one job, or all"
            ),
            _argument("--ran", action="store_true", help="say why what is there was made again, when it was made last"),
            _argument("--json", action="store_true", help="print it as JSON"),
            *_RUN,
        ),
    ),
    Command(
        "diff",
        "Trace",
        "say in which cells two runs differ, and where they part; exit status 0 if they do not, 1 if they do, 2 for an error",
        "primum diff results/demo results/other",
        _diff,
        (
            _argument("first", metavar="A", help="a results folder, an experiment's name, or a store"),
            _argument("second", metavar="B", help="another one of the same kind"),
            _argument("--tables", metavar="NAMES", type=_names, default=[], help="only these, with commas between"),
            _argument("--json", action="store_true", help="print it as JSON, in full"),
        ),
    ),
    Command(
        "verify",
        "Trace",
        "check results against their manifests, the store, and each other",
        "primum verify results/demo",
        _verify,
        (
            _argument("results", type=Path, nargs="+", help="experiments' folders, such as results/demo"),
            _argument("--store", type=Path, help="the store (default: PRIMUM_STORE, or .store beside the folder)"),
            _argument("--json", type=Path, metavar="FILE", help="also write what was found here, as JSON"),
            _argument("--jobs", type=int, metavar="N", help="files to read at a time (default: the cores there are)"),
        ),
    ),
    Command(
        "summary",
        "Look",
        "name the tables and the report of a finished run",
        "primum summary results/demo",
        _summary,
        (_RESULTS,),
    ),
    Command(
        "table4",
        "Look",
        "print Table 4 of Med42-v2 beside what was measured, or its own check",
        "primum table4 results/med42-v2-8b --format latex",
        _table4,
        (
            _argument("results", type=Path, nargs="?", help="an experiment's folder; without it, nothing was run"),
            _argument("--format", choices=("html", "markdown", "latex", "all"), default="markdown"),
            _argument("--output", type=Path, metavar="FOLDER", help="write table4.html, .md, .tex here"),
            _argument("--check", action="store_true", help="recompute its averages and look at the paper's claims"),
        ),
    ),
    Command(
        "replay",
        "Trace",
        "make the run of a crate again, and compare what comes out",
        "primum replay exported --dry-run",
        _replay,
        (
            _argument("crate", type=Path, help="a folder that `primum export --format crate` wrote"),
            _argument(
                "--folder", type=Path, metavar="DIR", help="a new folder (default: the crate's name and -replay)"
            ),
            _argument("--cores", type=int, default=os.cpu_count() or 1, help="as of snakemake (default: all)"),
            _argument("--dry-run", action="store_true", help="check the crate, and plan its jobs; run none"),
        ),
    ),
    Command(
        "export",
        "Export",
        "write a run, its scores, or a set of its data, in the form of another tool",
        "primum export results/demo --format lm-eval --output exported",
        _export,
        (
            _argument("results", type=Path, nargs="?", help="the experiment's folder; --format sbom needs none"),
            _argument(
                "--format",
                choices=("lm-eval", "hf", "dataset", "crate", "sbom"),
                required=True,
                help="scores for lm-eval or as model cards of the hub; data as a dataset of the hub; the whole run as a "
                "Workflow Run RO-Crate; its software, models and datasets as CycloneDX",
            ),
            _argument("--mixture", metavar="NAME", help="with --format dataset: the mixture to write"),
            _argument("--preferences", metavar="NAME", help="with --format dataset: the preference set to write"),
            _argument(
                "--with-data", action="store_true", help="with --format crate: all data, not tables and report alone"
            ),
            _argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder, or an empty one"),
            _argument("--force", action="store_true", help="replace the folder if it is there"),
            _HARMFUL,
        ),
    ),
    Command(
        "csv",
        "Export",
        "write a table artifact as CSV",
        "primum csv results/demo/tables/benchmarks.json benchmarks.csv",
        _csv,
        (_argument("artifact", type=Path, help="the table's manifest"), _argument("output", type=Path), _HARMFUL),
    ),
    Command(
        "report-data",
        "Trace",
        "write what was made of what, when and at what cost, for the report to show",
        "primum report-data results/demo",
        _report_data,
        (_RESULTS,),
    ),
    Command(
        "texts",
        "Export",
        "write requests, questions and responses beside the report, for it to show behind a button",
        "primum texts results/demo --include-harmful-text i-understand",
        _texts,
        (_RESULTS, _argument("--remove", action="store_true", help="delete them"), _HARMFUL),
    ),
    Command(
        "audit",
        "Trace",
        "make a sample of a run's artifacts again, elsewhere, and compare",
        "primum audit results/demo --budget 5min",
        _audit,
        (
            _RESULTS,
            _argument("--sample", type=int, metavar="N", help="make no more than so many again"),
            _argument("--all", action="store_true", help="make all again"),
            _argument("--stage", nargs="+", default=[], metavar="STAGE", help="only artifacts of these stages"),
            _argument(
                "--budget", metavar="TIME", help="start nothing that will not end in 90s, 10min, 2h (default: 10min)"
            ),
            _argument("--seed", type=int, default=0, help="which sample is drawn (default: 0)"),
            _argument(
                "--output",
                type=Path,
                metavar="FOLDER",
                help="a new one, for the report (default: in audits/ beside results)",
            ),
            _argument("--profile", help="run it as a job, through this profile of Snakemake, such as slurm"),
        ),
    ),
    Command(
        "schema",
        "Export",
        "print the JSON schema of experiment files",
        "primum schema > experiment.schema.json",
        _schema,
    ),
    Command(
        "demo-data",
        "Data",
        "write the demo's data files, at their shipped size or a larger one",
        "primum demo-data data/demo",
        _demo_data,
        (
            _argument("folder", type=Path),
            _argument("--seed", type=int, default=0),
            _argument(
                "--table5", type=float, metavar="SHARE", help="write the SFT sources at this share of Table 5's counts"
            ),
        ),
    ),
)
