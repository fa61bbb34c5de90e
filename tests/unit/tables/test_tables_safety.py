"""The table safety: shares with intervals, prompt sets of several parts, means over categories, and changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study import GENERATION, JUDGEMENT, generation, judgement, save_table
from test_tables import make

from primum.tables.paired import holm
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import bounded, mean_score, proportion, wilson

MODELS = [{"name": name, "start": start, "axes": {}} for name, start in (("a", None), ("b", "a"), ("c", "a"))]
PARTS = [{"name": f"half-{n}", "kind": "harmful", "part_of": "Whole"} for n in (1, 2)]
Scores = Mapping[tuple[str, str], Sequence[int | None]]


def safety(tmp_path: Path, scores: Scores, judge: str = "grader", **common: Any) -> list[dict[str, Any]]:
    """The rows from the scores by (model, prompt set); categories are c0, c1, c0, ..."""
    rows = {key: [(f"h/{i}", f"c{i % 2}", score) for i, score in enumerate(each)] for key, each in scores.items()}
    place = {key: tmp_path / "-".join(key) for key in scores}
    inputs = {
        "judgements": [
            save_table([judgement(*row) for row in each], JUDGEMENT, place[key] / "j.json")
            for key, each in rows.items()
        ],
        "generations": [
            save_table([generation(id_, category) for id_, category, _ in each], GENERATION, place[key] / "g.json")
            for key, each in rows.items()
        ],
    }
    given = {"judgements": [[judge, *key] for key in scores], "generations": [list(key) for key in scores]}
    return make("safety", tmp_path, inputs, **{"models": MODELS, "prompts": PARTS, **given, **common})


def row(rows: Sequence[dict[str, Any]], model: str, prompts: str, category: str = "") -> dict[str, Any]:
    (found,) = (r for r in rows if (r["model"], r["prompts"], r["category"]) == (model, prompts, category))
    return found


def test_the_share_of_fives_has_wilsons_interval(tmp_path: Path) -> None:
    rows = safety(tmp_path, {("a", "half-1"): [5, 1, 1, None, 1, 1]}, prompts=PARTS[:1])
    whole = row(rows, "a", "half-1")
    assert (whole["share_5"], whole["share_5_low"], whole["share_5_high"]) == (0.2, *wilson(0.2, 5))
    none = row(safety(tmp_path / "2", {("a", "half-1"): [1] * 20}, prompts=PARTS[:1]), "a", "half-1")
    # Of no five in 20: z²/(n + z²).
    assert (none["share_5_low"], none["share_5_high"]) == (0.0, pytest.approx(3.8415 / 23.8415, abs=1e-5))


def test_parts_are_pooled_response_by_response(tmp_path: Path) -> None:
    """The halves have rows of the same ids, and one has more without a score: what was scored counts once each."""
    scores: Scores = {("a", "half-1"): [5, 1, 5, 1], ("a", "half-2"): [2, None, 2, None]}
    rows = safety(tmp_path, scores)
    assert list(dict.fromkeys(r["prompts"] for r in rows)) == ["half-1", "half-2", "Whole"]
    whole = row(rows, "a", "Whole")
    assert (whole["n"], whole["scored"], whole["mean"]) == (8, 6, pytest.approx(16 / 6))
    expected = mean_score([5, 1, 5, 1, 2, 2], 1, 5)
    assert (whole["ci_low"], whole["ci_high"], whole["share_5"]) == (expected.low, expected.high, pytest.approx(1 / 3))
    assert (row(rows, "a", "Whole", "c0")["mean"], row(rows, "a", "Whole", "c1")["mean"]) == (3.5, 1.0)
    # Over the two categories alike, 3.5 and 1, though one has four scores and the other two.
    assert whole["macro"] == pytest.approx(2.25)
    # Only the halves are categories of their own: of a row of one category there is no mean over them.
    assert row(rows, "a", "Whole", "c0")["macro"] is None
    assert row(rows, "a", "half-2")["macro"] is None, "c1 has no score there"


def test_the_mean_over_categories_has_the_interval_of_strata(tmp_path: Path) -> None:
    scores = [1, 5, 2, 5, 1, 5]
    whole = row(safety(tmp_path, {("a", "half-1"): scores}, prompts=PARTS[:1]), "a", "half-1")
    mean = sampled_mean(np.array(scores, dtype=float)[:, None], np.array([0, 1] * 3))
    expected = bounded(mean, 1, 5, shares=False)
    assert (whole["macro"], whole["macro_low"], whole["macro_high"]) == (expected.value, expected.low, expected.high)


def test_a_part_that_is_missing_leaves_no_whole(tmp_path: Path) -> None:
    rows = safety(tmp_path, {("a", "half-1"): [1], ("a", "half-2"): [1], ("b", "half-1"): [1]})
    assert {(r["model"], r["prompts"]) for r in rows if r["prompts"] == "Whole"} == {("a", "Whole")}
    alone = safety(tmp_path / "2", {("a", "half-1"): [1]}, prompts=PARTS[:1])
    assert [r["prompts"] for r in alone] == ["half-1"]


def test_changes_are_paired_and_corrected_over_all_models(tmp_path: Path) -> None:
    before, safer, same = [5] * 10 + [1] * 2, [1] * 10 + [1, 2], [5] * 10 + [1, 3]
    scores: Scores = {("a", "half-1"): before, ("b", "half-1"): safer, ("c", "half-1"): same}
    rows = safety(tmp_path, scores, prompts=PARTS[:1])
    b, c = row(rows, "b", "half-1"), row(rows, "c", "half-1")
    assert (b["change"], b["lower"], b["higher"]) == (pytest.approx(-39 / 12), 10, 1)
    # Ranks of 0, 1 and ten 4s: 1, 2 and 7.5 each; 2 - 75 of 78.
    assert b["rank_biserial"] == pytest.approx(-73 / 78)
    # Only the sum of all 11 ranks is farther from 0 or as far: with the small one up or down, and each the other way.
    assert b["ranks_p_value"] == pytest.approx(4 / 2**11)
    assert (c["lower"], c["higher"], c["ranks_p_value"]) == (0, 1, 1.0)
    # One family over both models, for either test: the smaller p-value counts twice.
    for key, corrected in (("p_value", "p_holm"), ("ranks_p_value", "ranks_p_holm")):
        assert [b[corrected], c[corrected]] == pytest.approx(holm([b[key], c[key]]))
        assert b[corrected] == pytest.approx(2 * b[key])
    assert (b["level"], b["tied"], c["tied"]) == (0.975, False, True)
    assert b["change_high"] < 0 < c["change_high"]
    assert row(rows, "a", "half-1")["ranks_p_value"] is None


def test_of_refusals_the_ranks_are_mcnemars(tmp_path: Path) -> None:
    scores: Scores = {("a", "half-1"): [0] * 8, ("b", "half-1"): [1] * 6 + [0] * 2}
    found = row(safety(tmp_path, scores, "phrases", prompts=PARTS[:1]), "b", "half-1")
    assert (found["lower"], found["higher"], found["ranks_p_value"]) == (0, 6, pytest.approx(2 / 2**6))
    assert (found["mean"], found["share_5_low"]) == (proportion(6, 8).value, None)


def test_axes_have_their_values_as_text_and_as_number(tmp_path: Path) -> None:
    axes = {"kind": "both", "n": 400, "cold": True}
    rows = make("axes", tmp_path, {}, models=[MODELS[0], {"name": "b", "start": "a", "axes": axes}])
    assert [tuple(r.values())[1:] for r in rows] == [
        ("b", "kind", "both", None),
        ("b", "n", "400", 400.0),
        ("b", "cold", "true", None),
    ]
