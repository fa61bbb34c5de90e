"""A results folder as small as one can be that still has a number: raw files, rows, a mixture, two models, scores, a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.manifest import Manifest, artifact_key, save_manifest
from primum.artifact.table import write_table
from primum.tables.schemas import to_table

# A text of its spec that nobody is to read where a number is explained.
SECRET = "Say how harmful this is, in one word."
COMMON: dict[str, Any] = {
    "benchmarks": [{"name": "exam", "group": "benchmark", "part_of": ""}],
    "prompts": [],
    "judges": [],
    "scores": [["base", "exam"], ["sft", "exam"]],
    "trained": ["base", "sft"],
    "mixtures": ["text"],
    "labelled": [],
    "margin": 0.02,
}


class Made:
    """Artifacts that are put into a results folder one after another."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.by_name: dict[str, Manifest] = {}

    def table(
        self,
        name: str,
        stage: str,
        rows: pa.Table,
        item: Mapping[str, Any],
        inputs: Mapping[str, Sequence[str]],
        counts: Mapping[str, Any] | None = None,
        common: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """A table, made of artifacts that are there by now."""
        path = self.results / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = write_table(rows, path.with_suffix(".parquet"), {})
        return self._save(name, path, "table", content, {}, stage, item, common or {}, inputs, counts or {}, run or {})

    def folder(
        self,
        name: str,
        stage: str,
        files: Mapping[str, str],
        item: Mapping[str, Any],
        inputs: Mapping[str, Sequence[str]],
        counts: Mapping[str, Any] | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """A folder of files with these texts."""
        folder = self.results / name
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        found = folder_files(folder)
        path = folder / "manifest.json"
        return self._save(
            name, path, "folder", folder_hash(found), found, stage, item, {}, inputs, counts or {}, run or {}
        )

    def _save(
        self,
        name: str,
        path: Path,
        kind: Any,
        content: str,
        files: dict[str, str],
        stage: str,
        item: Mapping[str, Any],
        common: Mapping[str, Any],
        inputs: Mapping[str, Sequence[str]],
        counts: Mapping[str, Any],
        run: Mapping[str, Any],
    ) -> Manifest:
        spec = {
            "stage": stage,
            "code": "c" * 64,
            "libraries": {"pyarrow": "26.0.1"},
            "common": dict(common),
            "item": dict(item),
        }
        read = {role: [self.by_name[each] for each in names] for role, names in inputs.items()}
        contents = {role: [each.content for each in of] for role, of in read.items()}
        keys = {role: [each.key for each in of] for role, of in read.items()}
        made = {"host": "here", "finished": "2026-01-02T03:04:05Z", "seconds": 1.5, "cost": {}, "user": "someone"}
        manifest = Manifest(
            kind,
            stage,
            spec,
            contents,
            artifact_key(spec, contents),
            content,
            dict(counts),
            files=files,
            run={**made, **run, "input_keys": keys},
            sensitive=False,
        )
        save_manifest(manifest, path)
        self.by_name[name] = manifest
        return manifest


def traced_results(results: Path) -> Made:
    """Fill ``results``: two raw files -> rows of each -> a mixture -> base -> sft -> a score of each -> ``tables/benchmarks``."""
    made = Made(results)
    for dataset, text in (("corpus", "a\nb\n"), ("exam", "q1\nq2\n")):
        file = {"path": f"data/own/{dataset}.jsonl", "url": None, "sha256": None, "hub": None, "revision": None}
        made.folder(f"data/raw/{dataset}", "fetch", {file["path"]: text}, {"files": [file]}, {}, {"files": 1})
        ids = [f"{dataset}/{number}" for number in range(2)]
        item = {"dataset": dataset, "adapter": "medqa", "options": {}, "output": "rows"}
        raw = {"raw": [f"data/raw/{dataset}"]}
        made.table(f"data/rows/{dataset}", "read", pa.table({"id": ids}), item, raw, {"rows": 2})
    mixture = {"mixture": "text", "sources": {"corpus": {"take": 2, "repeat": 3}}, "order": ["corpus"], "seed": 7}
    mixture |= {"output": "rows", "choice_prompt": SECRET, "benchmarks": [], "deduplicate": "exact"}
    made.table(
        "data/mixtures/text",
        "mix",
        pa.table({"id": ["m/0"]}),
        mixture,
        {"rows": ["data/rows/corpus"]},
        {"kept": 1, "duplicate": 1},
    )
    pretrain = {"optimization": {"learning_rate": 0.001, "batch": 4}, "seed": 7, "architecture": {"layers": 2}}
    counts = {"parameters": 1000, "steps": 8}
    weights = {"model.safetensors": "weights of base"}
    made.folder("models/base", "pretrain", weights, pretrain, {"mixture": ["data/mixtures/text"]}, counts)
    note = {"by": "me", "at": "2026-02-03T04:05:06Z", "why": "only <b>words</b> changed"}
    note |= {"key": "0" * 64, "modules": [], "libraries": {}}
    made.folder(
        "models/sft",
        "sft",
        {"model.safetensors": "weights of sft"},
        {"optimization": {"learning_rate": 0.001, "batch": 2}, "seed": 7, "template": SECRET},
        {"model": ["models/base"], "packed": ["data/mixtures/text"]},
        counts,
        {"adopted": [note]},
    )
    for model, right in (("base", [False, True]), ("sft", [True, True])):
        rows = {
            "id": ["exam/0", "exam/1"],
            "item": ["exam/0", "exam/1"],
            "loglikelihoods": [[-1.5, -2.5]] * 2,
            "prediction": [0, 1],
            "target": [0, 1],
            "correct": right,
            "status": ["scored"] * 2,
            "answer": [SECRET] * 2,
        }
        made.table(
            f"scores/{model}/exam",
            "score",
            pa.table(rows),
            {"chat_template": True, "doc_to_text": SECRET, "group": "benchmark"},
            {"benchmarks": ["data/rows/exam"], "model": [f"models/{model}"]},
            {"items": 2, "correct": sum(right)},
            {"engine": {"kind": "transformers", "dtype": "float32"}, "seed": 7},
        )
    zero = {"seeds": 1, "truncated": 0, "unanswered": 0, "flagged": 0, "unknown": 0, "clean_n": 2, "note": ""}
    subjects = [("base", "", 0.5), ("sft", "", 1.0), ("sft", "heart", 1.0)]
    cells = [
        {"id": str(number), "model": model, "benchmark": "exam", "subject": subject, "method": "loglikelihood", "n": 2}
        | {"correct": int(2 * value), "accuracy": value, "ci_low": value / 2, "ci_high": value, "interval": "wilson"}
        | {"start": "base" if model == "sft" else "", **zero}
        for number, (model, subject, value) in enumerate(subjects)
    ]
    made.table(
        "tables/benchmarks",
        "tables",
        to_table("benchmarks", cells),
        {"table": "benchmarks"},
        {
            "scores": ["scores/base/exam", "scores/sft/exam"],
            "trained": ["models/base", "models/sft"],
            "ledgers": ["data/mixtures/text"],
        },
        {"rows": 3},
        COMMON,
    )
    licences = {"datasets": {"exam": {"license": "CC-BY-4.0"}}, "models": {"base": {}}}
    (results / "experiment.json").write_text(json.dumps(licences))
    return made
