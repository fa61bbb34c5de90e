"""Commands that write results, data and the schema for other tools."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from primum.commands.command import RESULTS, Command, argument
from primum.project import project_root, results_folder


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


def _csv(given: argparse.Namespace) -> None:
    from primum.artifact.manifest import Artifact
    from primum.errors import PrimumError
    from primum.export.command import check_sensitive
    from primum.tables.csv import write_csv

    if len(given.artifact) > 1 and not given.output.is_dir():
        raise PrimumError(f"{given.output}: is no folder, which several tables need: name one that is there")
    artifacts = [Artifact.open(path) for path in given.artifact]
    private = [check_sensitive(artifact, given.include_harmful_text is not None) for artifact in artifacts]
    for path, artifact, hidden in zip(given.artifact, artifacts, private, strict=True):
        target = given.output / f"{path.stem}.csv" if len(artifacts) > 1 else given.output
        write_csv(artifact.table(), target, hidden)


def _texts(given: argparse.Namespace) -> None:
    from primum.export.texts import remove_texts, write_texts

    if given.remove:
        print(f"{given.results}: {'the texts are deleted' if remove_texts(given.results) else 'there are no texts'}")
    else:
        print(f"{write_texts(given.results, given.include_harmful_text is not None)}: open it to nobody else")


def _schema(given: argparse.Namespace) -> None:
    from primum.experiment.schema import schema

    print(json.dumps(schema(), indent=1))


_HARMFUL = argument(
    "--include-harmful-text",
    choices=("i-understand",),
    help="write a sensitive artifact too",
)

COMMANDS = (
    Command(
        "export",
        "write a run, its scores, or a set of its data, in the form of another tool",
        "primum export results/demo --format lm-eval --output exported",
        _export,
        (
            argument("results", type=results_folder, nargs="?", help="as for verify; --format sbom needs none"),
            argument(
                "--format",
                choices=("lm-eval", "hf", "dataset", "crate", "sbom"),
                required=True,
                help="scores for lm-eval or as model cards of the hub; data as a dataset of the hub; the whole run as a "
                "Workflow Run RO-Crate; its software, models and datasets as CycloneDX",
            ),
            argument("--mixture", metavar="NAME", help="with --format dataset: the mixture to write"),
            argument("--preferences", metavar="NAME", help="with --format dataset: the preference set to write"),
            argument(
                "--with-data", action="store_true", help="with --format crate: all data, not tables and report alone"
            ),
            argument("--output", type=Path, required=True, metavar="FOLDER", help="a new folder, or an empty one"),
            argument("--force", action="store_true", help="replace the folder if it is there"),
            _HARMFUL,
        ),
    ),
    Command(
        "csv",
        "write table artifacts as CSV",
        "primum csv results/demo/tables/benchmarks.json benchmarks.csv",
        _csv,
        (
            argument("artifact", type=Path, nargs="+", help="a table's manifest"),
            argument("output", type=Path, help="a file; of several tables a folder that is there"),
            _HARMFUL,
        ),
    ),
    Command(
        "texts",
        "write requests, questions and responses beside the report, for it to show behind a button",
        "primum texts results/demo --include-harmful-text i-understand",
        _texts,
        (RESULTS, argument("--remove", action="store_true", help="delete them"), _HARMFUL),
    ),
    Command(
        "schema",
        "print the JSON schema of experiment files",
        "primum schema > experiment.schema.json",
        _schema,
    ),
)
