"""The folder of a finished run, written by hand: models, rows, scores, and the table ``benchmarks`` with chosen numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.artifact.canonical import digest
from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.manifest import Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.score.items import SCORES
from primum.tables.schemas import SCHEMAS

FINISHED = "2026-01-31T12:00:00Z"
_EMPTY = {"string": "", "int64": 0, "int32": 0, "double": 0.0, "bool": False}


class Run:
    """An experiment's folder under construction."""

    def __init__(self, results: Path, datasets: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.results = results
        self.experiment: dict[str, Any] = {
            "name": "example",
            "models": {},
            "benchmarks": {},
            "datasets": dict(datasets or {}),
            "evaluate": {"models": [], "benchmarks": []},
        }
        self._lines: list[dict[str, Any]] = []
        self._scores: list[str] = []
        self._rows: dict[str, str] = {}
        self._models: dict[str, str] = {}

    def model(self, name: str, source: str = "", title: str = "", revision: str = "a" * 40) -> None:
        """A model fetched from ``source`` (a hub id with a slash, or an endpoint), or trained here if there is none."""
        folder = self.results / "models" / name
        folder.mkdir(parents=True)
        (folder / "weights").write_text(name)
        item = {"hub": source, "revision": revision} if "/" in source else {"endpoint": source}
        files = folder_files(folder)
        self._models[name] = folder_hash(files)
        spec = {"stage": "snapshot" if source else "sft", "item": item if source else {"seed": 1}}
        manifest = Manifest("folder", spec["stage"], spec, {}, "0" * 64, self._models[name], {}, files=files)
        save_manifest(manifest, folder / "manifest.json")
        self.experiment["models"][name] = {"title": title}
        self.experiment["evaluate"]["models"].append(name)

    def dataset(self, name: str, rows: Sequence[Mapping[str, Any]], **entry: Any) -> None:
        """The rows of a dataset."""
        self.experiment["datasets"][name] = {"hub": None, "revision": None, **entry}
        self._rows[name] = self._table(
            pa.Table.from_pylist(list(rows)), self.results / "data" / "rows" / f"{name}.json", {}, {}
        )

    def benchmark(
        self, name: str, dataset: str, title: str = "", macro: bool = False, group: str = "benchmark"
    ) -> None:
        self.experiment["benchmarks"][name] = {"title": title, "dataset": dataset, "macro": macro, "group": group}
        self.experiment["evaluate"]["benchmarks"].append(name)

    def score(self, model: str, benchmark: str, rows: Sequence[Mapping[str, Any]] = (), **item: Any) -> None:
        """The score artifact of ``rows`` (columns that are left out are empty), asked with ``item``."""
        dataset = self.experiment["benchmarks"].get(benchmark, {}).get("dataset")
        spec = {
            "stage": "score",
            "code": "c" * 64,
            "libraries": {"transformers": "5.19.0"},
            "common": {"engine": {"dtype": "float32", "max_length": 512}, "seed": 7},
            "item": {"normalize": "none", "version": 1, **item},
        }
        inputs = {"model": [self._models[model]]} | ({"benchmarks": [self._rows[dataset]]} if dataset else {})
        # Two artifacts of equal rows would have one content hash.
        filled = [_filled(SCORES, row) for row in rows] or [_filled(SCORES, {"id": f"{model}/{benchmark}"})]
        path = self.results / "scores" / model / f"{benchmark}.json"
        self._scores.append(self._table(pa.Table.from_pylist(filled, schema=SCORES), path, spec, inputs))

    def line(self, model: str, benchmark: str, **values: Any) -> None:
        """A row of the table ``benchmarks``."""
        values = {"id": f"{len(self._lines):04d}", "model": model, "benchmark": benchmark, **values}
        self._lines.append(_filled(SCHEMAS["benchmarks"], {**dict.fromkeys(("change", "change_stderr")), **values}))

    def finish(self) -> Path:
        """Write experiment.json and the table, and return the folder."""
        table = pa.Table.from_pylist(self._lines, schema=SCHEMAS["benchmarks"])
        self._table(table, self.results / "tables" / "benchmarks.json", {}, {"scores": self._scores})
        (self.results / "experiment.json").write_text(json.dumps(self.experiment))
        return self.results

    @staticmethod
    def _table(table: pa.Table, path: Path, spec: dict[str, Any], inputs: dict[str, list[str]]) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(table, path.with_suffix(".parquet"), {})
        content = content_hash(table)
        run = {"finished": FINISHED, "seconds": 1.5}
        save_manifest(Manifest("table", "t", spec, inputs, digest([spec, inputs]), content, {}, run=run), path)
        return content


def _filled(schema: pa.Schema, row: Mapping[str, Any]) -> dict[str, Any]:
    """``row`` with an empty value for every column of ``schema`` that it leaves out."""
    return {field.name: row.get(field.name, [] if pa.types.is_list(field.type) else _empty(field)) for field in schema}


def _empty(field: pa.Field) -> Any:
    return "loglikelihood" if field.name == "method" else _EMPTY[str(field.type)]
