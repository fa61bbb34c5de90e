"""What a model card says of uses, safety, licences and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from scored_run import Run
from test_export import answers

from primum.artifact.manifest import Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.export.command import export
from primum.tables.schemas import SCHEMAS


def safety(results: Path, *rows: dict[str, Any]) -> None:
    """The table ``safety`` of a run."""
    schema = SCHEMAS["safety"]
    empty = {
        field.name: "" if field.type == pa.string() else 0 if field.type == pa.int64() else None for field in schema
    }
    lines = [{**empty, "id": f"{n:04d}", **row} for n, row in enumerate(rows)]
    table = pa.Table.from_pylist(lines, schema=schema)
    path = results / "tables/safety.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path.with_suffix(".parquet"), {})
    save_manifest(Manifest("table", "tables", {}, {}, "k", content_hash(table), {}), path)


def cards(tmp_path: Path, with_safety: bool = True) -> dict[str, str]:
    run = Run(tmp_path / "run")
    run.dataset("questions", [{"id": f"q{n}", "question": "?"} for n in range(5)])
    run.benchmark("whole", "questions", "The whole")
    run.model("fetched", "org/model")
    run.model("tuned")
    run.model("scratch")
    rows = [
        {**row, "contaminated": known} for row, known in zip(answers(), [True, False, False, None, None], strict=True)
    ]
    for model in ("fetched", "tuned", "scratch"):
        run.score(model, "whole", rows)
    datasets = {"talks": {"license": "cc-by-nc-4.0"}, "texts": {"license": "apache-2.0"}}
    run.experiment["datasets"] |= datasets
    run.experiment["mixtures"] = {name: {"sources": {"a": {"dataset": name}}} for name in datasets}
    run.experiment["models"]["fetched"]["license"] = "llama3"
    run.experiment["models"]["tuned"] |= {"train": "sft", "from": "fetched", "data": "talks"}
    run.experiment["models"]["scratch"] |= {"train": "pretrain", "data": "texts"}
    if with_safety:
        measured = {
            "prompts": "harmful",
            "judge": "harm",
            "status": "measured",
            "n": 9,
            "scored": 8,
            "related": "same lineage",
        }
        safety(
            tmp_path / "run",
            {"model": "tuned", **measured, "mean": 1.25, "ci_low": 1.1, "ci_high": 1.5},
            {"model": "tuned", **measured, "category": "privacy", "mean": 4.5},
            {"model": "tuned", "prompts": "benign", "judge": "other", "status": "gated", "n": 4},
        )
    export(run.finish(), "hf", tmp_path / "cards", force=False)
    return {name: (tmp_path / "cards" / name / "README.md").read_text() for name in ("fetched", "tuned", "scratch")}


def test_safety_is_what_the_table_says_over_all_categories(tmp_path: Path) -> None:
    found = cards(tmp_path)
    lines = found["tuned"].splitlines()
    assert "| `harmful` | `harm` | 1.250 | 1.100 to 1.500 | 8 of 9 | measured; judge: same lineage |" in lines
    # A judge that was refused has no number.
    assert "| `benign` | `other` |  |  | 0 of 4 | gated |" in lines
    assert "4.5" not in found["tuned"].partition("## Safety")[2]
    assert "No judge has looked at its responses in this run." in found["scratch"]


def test_a_run_without_the_table_says_that_nothing_was_judged(tmp_path: Path) -> None:
    assert all("No judge has looked" in card for card in cards(tmp_path, with_safety=False).values())


def test_uses_licences_and_making_are_those_of_models_trained_here(tmp_path: Path) -> None:
    found = cards(tmp_path)
    for heading in ("## Uses", "## Licences", "## To make it again"):
        assert heading not in found["fetched"]
        assert heading in found["tuned"]
    assert "is that of `fetched`, which the model was trained from" in found["tuned"]
    assert "forbid commercial use: dataset talks (cc-by-nc-4.0)" in found["tuned"]
    assert "No licence is stated for the weights." in found["scratch"]
    assert "None of these asks for more than a notice." in found["scratch"]
    assert "snakemake pretrain --config experiment=example" in found["scratch"]


def test_limits_count_the_items_that_training_held(tmp_path: Path) -> None:
    card = cards(tmp_path)["tuned"]
    assert "Items of which the training data held a part: The whole 1 of 3." in card
    assert "Of 1 of 1 benchmarks it is not known" in card
