"""The score artifacts of a run, with what is needed to say where each comes from. No text of any question is read out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.artifact.manifest import Artifact, Manifest, load_manifest
from primum.artifact.results import written_experiment
from primum.dag.curation import ROWS
from primum.dag.evaluation import SCORE
from primum.dag.scope import manifest_path
from primum.dag.training import MODEL
from primum.errors import PrimumError
from primum.export.lineage import Step, read_lineage

# Named, so that a column of text is never exported.
_COLUMNS = [
    "id", "item", "subject", "seed", "method", "status", "choices", "loglikelihoods", "greedy", "perplexity", "tokens",
    "characters", "prediction", "target", "correct", "truncated", "contaminated",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """A model's answers to a benchmark: ``rows`` of its score artifact, and ``hashes`` of its dataset's rows by item id.

    ``dataset`` is the hub id, or the catalog's name where the dataset is on no hub; ``revision`` the hub's, or None.
    """

    benchmark: str
    title: str
    macro: bool
    dataset: str
    on_hub: bool
    revision: str | None
    manifest: Manifest
    rows: Sequence[Mapping[str, Any]]
    hashes: Mapping[str, str]

    @property
    def spec(self) -> Mapping[str, Any]:
        """What the benchmark was asked with."""
        item: Mapping[str, Any] = self.manifest.spec["item"]
        return item

    @property
    def shots(self) -> int:
        return int((self.spec.get("fewshot") or {}).get("k", 0))

    @property
    def finished(self) -> str:
        """When it was scored, UTC, as ``2026-01-31T12:00:00Z``."""
        return str(self.manifest.run.get("finished", "1970-01-01T00:00:00Z"))

    def provenance(self) -> dict[str, Any]:
        """What every number of the task can be traced by."""
        m = self.manifest
        return {
            "key": m.key,
            "content": m.content,
            "spec": digest(m.spec),
            "inputs": m.inputs,
            "code": m.spec["code"],
            "libraries": m.spec["libraries"],
        }


@dataclass(frozen=True, slots=True)
class Scored:
    """A model and its tasks. ``source`` is the hub id or endpoint, and its own name for a model that was trained here.

    ``lineage`` is how it was made, and ``disclaimer`` what its experiment says of its models. ``groups`` are those of the
    experiment by name, of which it has all tasks. ``safety`` are its rows of the table ``safety`` over all categories, where the
    run has that table.
    """

    name: str
    title: str
    source: str
    revision: str | None
    content: str
    tasks: tuple[Task, ...]
    lineage: tuple[Step, ...]
    disclaimer: str
    groups: Mapping[str, Mapping[str, Any]]
    safety: tuple[Mapping[str, Any], ...] = ()


def read_scores(results: Path) -> tuple[str, list[Scored]]:
    """The experiment's name, and its models with their benchmarks (held-out preferences left out), in its own order.

    PrimumError where ``results`` is no finished run, or an artifact is not of the rows and the model beside it.
    """
    experiment = written_experiment(results)
    at = partial(manifest_path, str(results))
    names = [n for n in experiment["evaluate"]["benchmarks"] if experiment["benchmarks"][n]["group"] == "benchmark"]
    hashes: dict[str, tuple[str, Mapping[str, str]]] = {}
    models = []
    safety = _safety(results / "tables" / "safety.json")
    for model in experiment["evaluate"]["models"]:
        paths = {name: Path(at(SCORE, model=model, benchmark=name)) for name in names}
        there = {name: path for name, path in paths.items() if path.exists()}
        if not there:
            continue
        source = load_manifest(Path(at(MODEL, model=model)))
        tasks = []
        for name, path in there.items():
            dataset = experiment["benchmarks"][name]["dataset"]
            if dataset not in hashes:
                hashes[dataset] = _row_hashes(Path(at(ROWS, dataset=dataset)))
            tasks.append(_task(name, path, experiment, source, hashes[dataset]))
        item = source.spec.get("item", {}) if source.stage == "snapshot" else {}
        models.append(
            Scored(
                model,
                experiment["models"][model].get("title") or model,
                item.get("hub") or item.get("endpoint") or model,
                item.get("revision"),
                source.content,
                tuple(tasks),
                tuple(read_lineage(results, experiment, model)),
                experiment.get("disclaimer") or "",
                {
                    n: group
                    for n, group in experiment.get("groups", {}).items()
                    if there.keys() >= set(group["benchmarks"])
                },
                tuple(row for row in safety if row["model"] == model),
            )
        )
    if not models:
        raise PrimumError(f"{results}: holds no scores of a benchmark: run the stage score")
    return experiment["name"], models


def _safety(path: Path) -> list[Mapping[str, Any]]:
    """The rows of the table ``safety`` that are over all categories; none where the run has no such table."""
    if not path.exists():
        return []
    return [row for row in Artifact.open(path).table().to_pylist() if not row["category"]]


def _row_hashes(path: Path) -> tuple[str, Mapping[str, str]]:
    """The content hash of a dataset's rows, and each row's own: what says that two items are the same, without their text."""
    artifact = Artifact.open(path)
    return artifact.manifest.content, {row["id"]: digest(row) for row in artifact.table().to_pylist()}


def _task(
    name: str, path: Path, experiment: Mapping[str, Any], model: Manifest, hashes: tuple[str, Mapping[str, str]]
) -> Task:
    artifact = Artifact.open(path)
    inputs = artifact.manifest.inputs
    if hashes[0] not in inputs.get("benchmarks", ()) or inputs.get("model", [model.content]) != [model.content]:
        raise PrimumError(
            f"{path}: was scored with other rows, or another model, than there are now: run the stage score"
        )
    table = artifact.table()
    if missing := set(_COLUMNS) - set(table.column_names):
        raise PrimumError(
            f"{path}: has no column {min(missing)!r}: made by an earlier version: run the stage score again"
        )
    # What process_results of a task says has a column where there is such a function.
    rows = table.select([*_COLUMNS, *(name for name in ("value",) if name in table.column_names)]).to_pylist()
    lacking = next((row["item"] for row in rows if row["item"] not in hashes[1]), None)
    if lacking is not None:
        raise PrimumError(f"{path}: item {lacking}: is no row of the benchmark's dataset: run the stage score")
    entry = experiment["benchmarks"][name]
    dataset = experiment["datasets"][entry["dataset"]]
    hub = dataset.get("hub")
    return Task(
        name,
        entry["title"] or name,
        bool(entry["macro"]),
        hub or entry["dataset"],
        bool(hub),
        dataset.get("revision"),
        artifact.manifest,
        rows,
        hashes[1],
    )
