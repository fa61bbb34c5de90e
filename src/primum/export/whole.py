"""``primum export`` of a whole run: as a crate, or its software, models and datasets as an SBOM."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from primum.artifact.graph import read_graph
from primum.artifact.results import written_experiment
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.export.command import check_output, publish
from primum.export.sbom import bom_text
from primum.writing import write_whole


def export_whole(given: argparse.Namespace, harmful: bool, root: Path) -> None:
    """Write what ``given`` asks for of the results of the clone at ``root``, and say how much there is.

    PrimumError for what does not go together, or what cannot be written.
    """
    if given.mixture is not None or given.preferences is not None:
        raise PrimumError(
            f"--mixture and --preferences belong to --format dataset, not to {given.format}: leave them out"
        )
    if given.format == "crate":
        if given.results is None:
            raise PrimumError("--format crate: name an experiment's folder, such as results/demo")
        if harmful and not given.with_data:
            raise PrimumError("--include-harmful-text needs --with-data: tables and report hold no such text")
        _crate(given.results, given.output, given.force, given.with_data, harmful, root)
    elif harmful or given.with_data:
        raise PrimumError("--include-harmful-text and --with-data do not belong to --format sbom: leave them out")
    else:
        _sbom(given.results, given.output, given.force, root)


def _crate(results: Path, output: Path, force: bool, with_data: bool, harmful: bool, root: Path) -> None:
    from primum.export.crate import write_crate

    check_output(output, force)
    name = written_experiment(results)["name"]
    folder = results.resolve()
    if folder.name != name:
        raise PrimumError(f"{results}: is not the folder of the experiment {name}, whose results it holds")
    where = os.path.relpath(folder.parent)
    run = open_workflow({"experiment": name, "results": where}, root)
    crate = publish(output, lambda new: write_crate(run, new, with_data, harmful), private=harmful)
    size = sum(file.size for file in crate.files)
    print(f"{output}: {len(crate.entries)} artifacts, {len(crate.files)} files, {size:,} bytes")
    for why, count in crate.left_out.items():
        print(f"Left out of {count} artifacts: their data, which was {why}; they are listed with their hashes")
    if crate.left_out.get("sensitive"):
        print("A replay needs raw files that are sensitive, too: --include-harmful-text i-understand takes them along")
    if harmful:
        print(f"It holds harmful text, or may: {output} is for its owner alone, until you open it to others")


def _sbom(results: Path | None, output: Path, force: bool, root: Path) -> None:
    experiment = None if results is None else written_experiment(results)
    graph = None if results is None else read_graph(results)
    manifests = {} if graph is None else {graph.name(each): each.manifest for each in graph.artifacts}
    target = output if output.suffix == ".json" else output / "sbom.cdx.json"
    if target.exists() and not force:
        raise PrimumError(f"{target}: is there already: name another file, or give --force to replace it")
    text = bom_text(root, experiment, manifests)
    write_whole(target, text)
    print(f"{target}: {len(text.encode()):,} bytes")
