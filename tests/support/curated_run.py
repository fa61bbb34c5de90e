"""The data of a finished run: raw files, rows, mixtures and pairs (by the stages themselves), each with its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
from stage_artifacts import whole

from primum.artifact.canonical import digest
from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.job import Item, Job
from primum.artifact.manifest import Artifact, Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.curate import mix, pairs
from primum.curate.read import DROPS
from primum.experiment.types import Mixture
from primum.progress import Progress
from primum.text.rows import Row, to_table

CODE = "c" * 64
LIBRARIES = {"pyarrow": "26.0.1"}


class CuratedRun:
    """An experiment's folder under construction; ``sensitive`` names the artifacts of data/ that are marked so."""

    def __init__(self, results: Path, sensitive: frozenset[str] | set[str] = frozenset()) -> None:
        self.results, self.sensitive = results, sensitive
        self.experiment: dict[str, Any] = {
            "name": "example",
            "title": "An example",
            "disclaimer": "For research.",
            "datasets": {},
            "mixtures": {},
            "preferences": {},
            "rankers": {},
            "models": {},
        }

    def dataset(
        self,
        name: str,
        rows: Sequence[Row],
        files: Sequence[Mapping[str, Any]] = ({"path": "data/own.jsonl", "sha256": "e" * 64},),
        drops: Sequence[str] = (),
        hub: str | None = None,
        revision: str | None = None,
        **entry: Any,
    ) -> None:
        """A dataset with ``entry`` in the experiment, and its artifacts from the raw files on."""
        self.experiment["datasets"][name] = {"hub": hub, "revision": revision, "files": list(files), **entry}
        raw = self.results / "data" / "raw" / name
        raw.mkdir(parents=True)
        (raw / "file").write_text(name)
        found = folder_files(raw)
        spec = {"stage": "fetch", "item": {"hub": hub, "revision": revision, "files": list(files)}}
        save_manifest(
            Manifest("folder", "fetch", spec, {}, "k", folder_hash(found), {}, files=found), raw / "manifest.json"
        )
        inputs = {"raw": [folder_hash(found)]}
        self.table(f"rows/{name}", to_table(rows, type(rows[0])), "read", {"dataset": name}, inputs)
        records = [{"id": f"{number}", "reason": reason} for number, reason in enumerate(drops)]
        self.table(f"drops/{name}", pa.Table.from_pylist(records, schema=DROPS), "read", {"dataset": name}, inputs)

    def mixture(self, name: str, judges: Mapping[str, Any] | None = None, **entry: Any) -> Artifact:
        """A mixture, its ledger and its outcomes, of datasets that are there."""
        declared = Mixture.model_validate(entry).model_dump(mode="json")
        self.experiment["mixtures"][name] = declared
        names = [source["dataset"] for source in declared["sources"].values()]
        common = {"mixture": name, "seed": 7, "order": list(declared["sources"]), "judges": judges or {}}
        licences = {each: self.experiment["datasets"][each].get("license", "") for each in names}
        items = {
            f"{name}/{output}": {**declared, **common, **more, "benchmarks": [], "output": output}
            for output, more in (("rows", {}), ("ledger", {"licences": licences}), ("outcomes", {}))
        }
        inputs = {kind: [self.artifact(f"{kind}/{each}") for each in names] for kind in ("rows", "drops")}
        folders = {"rows": "mixtures", "ledger": "ledgers", "outcomes": "outcomes"}
        self._run(mix, items, inputs, {f"{name}/{output}": f"{to}/{name}" for output, to in folders.items()})
        return self.artifact(f"mixtures/{name}")

    def preferences(self, name: str, datasets: Sequence[str]) -> Artifact:
        """A preference set of datasets that are there."""
        self.experiment["preferences"][name] = {"datasets": list(datasets)}
        read = {"rows": [self.artifact(f"rows/{each}") for each in datasets]}
        self._run(pairs, {name: {"seed": 7}}, read, {name: f"pairs/{name}"})
        return self.artifact(f"pairs/{name}")

    def sampled(self, name: str, prompts: str, model: str, ranked: pa.Table) -> Artifact:
        """A preference set of the responses of ``model`` in ``ranked`` to the prompts of a dataset."""
        self.experiment["preferences"][name] = {"from": model, "prompts": [prompts], "n": 2, "ranker": "best"}
        self.experiment["rankers"]["best"] = {"kind": "pairrm", "model": "pairrm-hf"}
        folder = self.results / "models" / model
        folder.mkdir(parents=True)
        (folder / "weights").write_text(model)
        files = folder_files(folder)
        snapshot = {"stage": "snapshot", "item": {"hub": "org/model", "revision": "f" * 40}}
        manifest = Manifest("folder", "snapshot", snapshot, {}, "k", folder_hash(files), {}, files=files)
        save_manifest(manifest, folder / "manifest.json")
        inputs = {"model": [manifest.content], "prompts": [self.artifact(f"rows/{prompts}").manifest.content]}
        # What a sample's rows are is no matter here, but for their content.
        sample = self.table(f"samples/{name}/000", ranked, "sample", {"draw": 0}, inputs)
        self.table(f"ranked/{name}", ranked, "rank", {}, {"samples": [sample]})
        self._run(
            pairs, {name: {"seed": 7}}, {"rows": [self.artifact(f"ranked/{name}")]}, {name: f"pairs/{name}"}, "pair"
        )
        return self.artifact(f"pairs/{name}")

    def finish(self) -> Path:
        """Write experiment.json, and return the folder."""
        (self.results / "experiment.json").write_text(json.dumps(self.experiment))
        return self.results

    def artifact(self, name: str) -> Artifact:
        return Artifact.open(self.results / "data" / f"{name}.json")

    def table(
        self,
        name: str,
        table: pa.Table,
        stage: str,
        item: Mapping[str, Any],
        inputs: Mapping[str, list[str]],
        counts: Mapping[str, int] | None = None,
    ) -> str:
        """Write a table artifact under data/, and return its content."""
        path = self.results / "data" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(table, path.with_suffix(".parquet"), {})
        spec = {"stage": stage, "code": CODE, "libraries": LIBRARIES, "common": {}, "item": dict(item)}
        content = content_hash(table)
        manifest = Manifest("table", stage, spec, dict(inputs), digest([spec, inputs]), content, dict(counts or {}))
        save_manifest(replace(manifest, sensitive=name in self.sensitive), path)
        return content

    def _run(
        self,
        module: ModuleType,
        specs: Mapping[str, Mapping[str, Any]],
        inputs: Mapping[str, Sequence[Artifact]],
        paths: Mapping[str, str],
        stage: str = "",
    ) -> None:
        items = [Item(name, spec, inputs, name, self.results / ".work" / name) for name, spec in specs.items()]
        stage = stage or module.__name__.rpartition(".")[2]
        hashes = {role: [each.manifest.content for each in artifacts] for role, artifacts in inputs.items()}
        for result in module.run(Job(stage, {}, items, Progress(stage, interval=0))):
            self.table(paths[result.item.name], whole(result).table, stage, result.item.spec, hashes, result.counts)
