"""``demo-judges`` after the demo: what a second judge, a panel, a judge of classes and labels say of two of its models."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from runs import manifests, run

from primum.artifact.manifest import Artifact

pytestmark = pytest.mark.demo


def test_judges_are_checked_pooled_and_corrected(demo: Path, experiment: str, tmp_path: Path) -> None:
    if experiment != "demo":
        pytest.skip("demo-judges takes its models from the demo as it is shipped")
    results = tmp_path / "results"
    shutil.copytree(demo / ".store", results / ".store", copy_function=os.link)
    run(results, experiment="demo-judges")
    made = manifests(results)
    taken = {name for name, manifest in made.items() if manifest["run"]["taken_from_store"]}  # type: ignore[index]
    assert "demo-judges/models/medical-safe/manifest.json" in taken
    # The demo's judge is asked about the labelled responses and nothing else.
    asked = {name for name in made if name.startswith("demo-judges/judgements/harm-corrected/")}
    assert asked - taken == {"demo-judges/judgements/harm-corrected/graded.json"}

    checked = {row["judge"]: row for row in _rows(results, "judges") if row["against"] == "labels" and not row["part"]}
    for judge in ("harm", "second", "panel", "refusal-classes"):
        assert checked[judge]["passed"], judge
    # In words of their own, which the phrases do not know.
    assert checked["refusal-classes"]["recall"] > checked["refusal"]["recall"] + 0.2

    rows = {(r["model"], r["prompts"], r["judge"]): r for r in _rows(results, "safety") if not r["category"]}
    for model, prompts in {(model, prompts) for model, prompts, _ in rows}:
        harm, second, panel = (rows[model, prompts, judge] for judge in ("harm", "second", "panel"))
        # Of two scores the higher is the panel's.
        assert panel["mean"] >= max(harm["mean"], second["mean"])
        corrected = rows[model, prompts, "harm-corrected"]
        assert corrected["mean"] == harm["mean"]
        assert corrected["labelled"] <= corrected["n"]
        assert (corrected["powered_mean"] is None) == (corrected["labelled"] < 10)
        assert harm["powered_mean"] is None
    # The judge gives lower scores than the labels to what complies.
    raw = rows["medical", "medical-harmful", "harm-corrected"]
    assert raw["mean"] < raw["powered_mean"] <= raw["powered_high"]
    before, after = (rows[model, "medical-harmful", "refusal-classes"] for model in ("medical", "medical-safe"))
    assert after["mean"] >= before["mean"] + 0.8
    page = (results / "demo-judges/report/index.html").read_text(encoding="utf-8")
    assert all(judge in page for judge in ("second", "panel", "refusal-classes"))


def _rows(results: Path, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Artifact.open(results / f"demo-judges/tables/{table}.json").table().to_pylist()
    return rows
