"""Answers that are partly right, as by process_results: means of what they are worth, and no counts of right ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study import save_table, score
from test_tables import bench, make

from primum.artifact.manifest import Artifact
from primum.export.metrics import metrics
from primum.score.items import VALUED


def _saved(tmp_path: Path, model: str, values: list[float]) -> Artifact:
    rows = [score(f"m/{i}", value > 0.5) | {"value": value} for i, value in enumerate(values)]
    return save_table(rows, VALUED, tmp_path / model / "m.json")


def test_the_mean_of_what_answers_are_worth(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "inputs": {"scores": [_saved(tmp_path, "a", [0.25, 0.5, 0.9]), _saved(tmp_path, "b", [0.2, 0.4, 0.9])]},
        "scores": [["a", "m"], ["b", "m"]],
        "models": [{"name": "a", "start": None}, {"name": "b", "start": None}],
        "benchmarks": [bench("m")],
    }
    made = {(row["model"], row["benchmark"]): row for row in make("benchmarks", tmp_path, **given)}
    # (.25 + .5 + .9) / 3 and (.2 + .4 + .9) / 3, where one of three is correct
    assert made["a", "m"]["accuracy"] == pytest.approx(0.55)
    assert made["b", "m"]["accuracy"] == pytest.approx(0.5)
    row = next(row for row in make("comparisons", tmp_path, **given) if row["benchmark"] == "m")
    assert abs(row["difference"]) == pytest.approx(0.05)
    assert row["both"] is None


def test_an_export_has_it_under_the_accuracys_name() -> None:
    row = score("m/0", True) | {"value": 0.75}
    assert metrics(row) == {"acc": 0.75}
    assert metrics(row, "characters") == {"acc_norm": 0.75}
