"""A small experiment whose training data holds a benchmark question, really run: flagged, and gone when decontaminated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from project import copy_project
from tiny import TINY, snakemake, taken, write
from tiny_run import TinyRun

from primum.dag.curation import OVERLAP, ROWS
from primum.dag.evaluation import SCORE
from primum.dag.scope import manifest_path
from primum.demo.planted import CONTAMINATED

EXAM = manifest_path("results/tiny", ROWS, dataset="demo-usmle-sample-exam")
CHAT, TEXT = (manifest_path("results/tiny", OVERLAP, kind="mixtures", data=data) for data in ("chat", "text"))
SCORED = manifest_path("results/tiny", SCORE, model="sft", benchmark="exam")


def _document(**mixture: Any) -> dict[str, Any]:
    """One model, one benchmark, and all of the source that repeats a question of it."""
    changed: dict[str, Any] = json.loads(json.dumps(TINY))
    changed["mixtures"]["chat"] = {"sources": {"opengpt": {"dataset": "demo-opengpt"}}, **mixture}
    changed["evaluate"] = {"models": ["sft"], "benchmarks": ["exam"]}
    return changed


def _rows(project: Path, manifest: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table((project / manifest).with_suffix(".parquet")).to_pylist()
    return rows


def test_a_question_in_the_training_data_is_flagged(tmp_path: Path, tiny_run: TinyRun) -> None:
    project = tiny_run.give(copy_project(tmp_path / "project"), "fetch", "read", "mix", "pretrain")
    write(project, _document(decontaminate=False, ngram=13))
    snakemake(project)
    (leak,) = (each for each in CONTAMINATED if each.benchmark == "usmle_sample_exam.json")
    items = _rows(project, EXAM)
    (planted,) = (row["id"] for row in items if row["question"] == leak.question)
    assert _rows(project, CHAT) == [
        {"id": planted, "dataset": "demo-usmle-sample-exam", "rows": 1, "first": "demo-opengpt/0000003"}
    ]
    assert _rows(project, TEXT) == []
    score = project / SCORED
    assert {row["item"]: row["contaminated"] for row in _rows(project, SCORED)} == {
        row["id"]: row["id"] == planted for row in items
    }
    assert json.loads(score.read_text())["counts"]["contaminated"] == 1

    # Another rule that finds the same: the overlap is looked for again, and nothing is scored again.
    write(project, _document(decontaminate=False, ngram=12))
    assert {"score", "tables", "report"} <= taken(snakemake(project))
    assert json.loads((project / CHAT).read_text())["spec"]["item"] == {"ngram": 12}

    write(project, _document(decontaminate=True, ngram=13))
    assert "score" not in taken(snakemake(project))
    assert _rows(project, CHAT) == []
    assert {row["contaminated"] for row in _rows(project, SCORED)} == {False}
