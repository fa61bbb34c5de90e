"""The table rubrics: scores, clusters, bounds and tags, worked out by hand, and upstream's own sums as an oracle."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint
from study import CRITERIA, NO, YES, graded, save_table
from test_tables import make

from primum.tables.rubrics import Asked, Example, clustered_mean, part_of, read_examples

COMMON: dict[str, Any] = {
    "prompts": [{"name": "talks", "kind": "criteria", "part_of": ""}],
    "judges": [{"name": "grader", "kind": "criteria"}],
    "graded": [["grader", "a", "talks"]],
}


def rubrics(tmp_path: Path, rows: list[dict[str, Any]], *more: list[dict[str, Any]], **common: Any) -> Any:
    tables = [save_table(each, CRITERIA, tmp_path / f"{n}.json") for n, each in enumerate((rows, *more))]
    return make("rubrics", tmp_path, {"criteria": tables}, **{**COMMON, **common})


def test_a_score_is_the_points_reached_over_the_positive_ones(tmp_path: Path) -> None:
    # One: 5 of 5 + 3, less a fault of 4: (5 - 4) / 8 = 0.125. Two: 8 / 8 = 1. Three: -4 / 8 = -0.5. Mean 0.625 / 3.
    rows = graded("d/1", [(5, "axis:a", YES), (3, "axis:b", NO), (-4, "axis:a", YES)], ["theme:x"])
    rows += graded("d/2", [(5, "axis:a", YES), (3, "axis:b", YES), (-4, "axis:a", NO)], ["theme:x"])
    rows += graded("d/3", [(5, "axis:a", NO), (3, "axis:b", NO), (-4, "axis:a", YES)], ["theme:y"])
    whole, a, b, x, y = rubrics(tmp_path, rows)
    assert [row["tag"] for row in (whole, a, b, x, y)] == ["", "axis:a", "axis:b", "theme:x", "theme:y"]
    scores = [0.125, 1.0, -0.5]
    assert whole["mean"] == whole["score"] == pytest.approx(0.625 / 3)
    stderr = statistics.stdev(scores) / math.sqrt(3)
    assert whole["stderr"] == pytest.approx(stderr)
    # The scale is from -0.5, all faults and nothing else, to 1: a share of (0.2083 + 0.5) / 1.5 = 0.4722 of it. Drawn one by one,
    # shares have a variance of 1.5² x 0.4722 x 0.5278 / 2. That of the scores, and two more a step off (2 / 3²), says how many.
    share = (0.625 / 3 + 0.5) / 1.5
    alone = 1.5**2 * share * (1 - share) / 2
    items = alone / (stderr**2 + 2 / 9) * 3 * (1.959964 / student.ppf(0.975, 2)) ** 2
    low, high = proportion_confint(share * items, items, method="wilson")
    assert (whole["ci_low"], whole["ci_high"]) == pytest.approx((max(0.0, 1.5 * low - 0.5), min(1.0, 1.5 * high - 0.5)))
    assert [whole[key] for key in ("n", "scored", "clusters", "criteria", "unscored")] == [3, 3, 3, 9, 0]
    assert (whole["bound_low"], whole["bound_high"]) == (whole["score"], whole["score"])
    # By axis over the axis' own points: (5 - 4) / 5, 5 / 5, -4 / 5; and 0, 1, 0 of 3.
    assert a["mean"] == pytest.approx((0.2 + 1 - 0.8) / 3)
    assert b["mean"] == pytest.approx(1 / 3)
    # By theme the whole scores of its conversations; one below 0 is 0 when it is cut, and one alone has no interval.
    assert x["mean"] == pytest.approx((0.125 + 1) / 2)
    assert (y["mean"], y["score"], y["n"], y["ci_low"], y["stderr"]) == (-0.5, 0.0, 1, None, None)


def test_a_missing_verdict_is_never_a_criterion_that_is_not_met(tmp_path: Path) -> None:
    """The example is unscored, whichever sign the criterion's points have, and its bounds are what it might have been."""
    rows = graded("d/1", [(5, "", YES), (5, "", "it is met")])  # 0.5 to 1
    rows += graded("d/2", [(4, "", YES), (-2, "", "[error]")])  # (4 - 2) / 4 to 1
    rows += graded("d/3", [(5, "", YES), (5, "", NO)])  # 0.5
    (whole,) = rubrics(tmp_path, rows)
    assert [whole[key] for key in ("n", "scored", "criteria", "unscored")] == [3, 1, 6, 2]
    assert whole["mean"] == 0.5
    assert whole["bound_low"] == pytest.approx(0.5)
    assert whole["bound_high"] == pytest.approx(2.5 / 3)


def test_a_tag_is_scored_where_all_of_its_own_criteria_are(tmp_path: Path) -> None:
    rows = graded("d/1", [(5, "axis:a", YES), (5, "axis:b", "?"), (-1, "level:fault", NO)])
    whole, a, b = rubrics(tmp_path, rows)
    assert (whole["scored"], a["scored"], b["scored"]) == (0, 1, 0)
    assert (a["score"], b["score"], b["bound_low"], b["bound_high"]) == (1.0, None, 0.0, 1.0)
    # Faults alone have nothing to reach, so that "level:fault" has no score, as upstream.
    assert {row["tag"] for row in (whole, a, b)} == {"", "axis:a", "axis:b"}


def test_a_response_that_was_never_given_is_counted_and_bounded(tmp_path: Path) -> None:
    rows = graded("d/1", [(5, "", "[no-response]"), (-5, "", "[no-response]")], response="error")
    rows += graded("d/2", [(5, "", YES), (-5, "", NO)], response="length")
    (whole,) = rubrics(tmp_path, rows)
    assert [whole[key] for key in ("n", "scored", "unanswered", "truncated", "unscored")] == [2, 1, 1, 1, 2]
    assert (whole["score"], whole["bound_low"], whole["bound_high"]) == (1.0, 0.0, 1.0)


def test_every_fate_of_an_answer_has_a_status(tmp_path: Path) -> None:
    twice = '{"criteria_met": true, "criteria_met": true}'
    answers = [YES, "yes", twice, "[length]", "[prompt-too-long]", "[error]", "[no-response]"]
    rows = graded("d/1", [(1, "", answer) for answer in answers])
    rows += graded("d/2", [(1, "", "[error]")], error="content-filter")
    found = read_examples(save_table(rows, CRITERIA, tmp_path / "x.json"))
    assert [criterion.status for example in found.values() for criterion in example.criteria] == [
        *("scored", "malformed", "several", "cut", "too_long", "error", "no_response", "filtered"),
    ]


def test_an_answer_that_was_cut_is_no_verdict(tmp_path: Path) -> None:
    rows = graded("d/1", [(1, "", YES)])
    rows[0] |= {"status": "length"}
    ((example,),) = (read_examples(save_table(rows, CRITERIA, tmp_path / "x.json")).values(),)
    assert (example.criteria[0].met, example.criteria[0].status) == (None, "cut")


def test_conversations_that_are_there_twice_are_one_cluster(tmp_path: Path) -> None:
    # Two conversations, each with two rubrics: 1, 1 and 0, 0. By rubric sd/sqrt(4) = 0.289; by conversation
    # sqrt(2 / 1 x (1² + (-1)²)) / 4 = 0.5, with one degree of freedom.
    rows = [graded(f"d/{n}", [(1, "", YES if n < 2 else NO)], conversation="ab"[n // 2]) for n in range(4)]
    (whole,) = rubrics(tmp_path, [row for each in rows for row in each])
    assert (whole["clusters"], whole["mean"]) == (2, 0.5)
    assert whole["stderr"] == pytest.approx(0.5)
    assert (whole["ci_low"], whole["ci_high"]) == pytest.approx((0.0, 1.0), abs=0.02)


def test_an_interval_does_not_collapse_where_all_scores_are_alike(tmp_path: Path) -> None:
    (whole,) = rubrics(tmp_path, [row for n in range(12) for row in graded(f"d/{n}", [(1, "", YES), (-1, "", NO)])])
    # Twelve ones are what Wilson's interval says of twelve of twelve, on a scale from -1 to 1.
    low, _ = proportion_confint(12, 12, method="wilson")
    assert (whole["mean"], whole["stderr"], whole["ci_high"]) == (1.0, 0.0, 1.0)
    assert whole["ci_low"] == pytest.approx(2 * low - 1)


def test_change_is_paired_over_what_is_scored_for_both(tmp_path: Path) -> None:
    before = [*graded("d/1", [(1, "", NO)]), *graded("d/2", [(1, "", NO)]), *graded("d/3", [(1, "", YES)])]
    after = [*graded("d/1", [(1, "", YES)]), *graded("d/2", [(1, "", NO)]), *graded("d/3", [(1, "", "?")])]
    first, second = rubrics(tmp_path, before, after, graded=[["grader", "a", "talks"], ["grader", "b", "talks"]])
    assert (first["start"], first["change"]) == ("", None)
    assert (second["start"], second["change"]) == ("a", 0.5)
    assert second["change_stderr"] == pytest.approx(0.5), "sd of 1 and 0 over the root of 2"


# ---- against other sums of the same


CRITERION = st.tuples(
    st.integers(-10, 10), st.lists(st.sampled_from("pqr"), unique=True), st.sampled_from([True, False])
)


@given(st.lists(CRITERION, min_size=1, max_size=8), st.sampled_from(["", "p", "q", "r"]))
def test_a_score_is_upstreams(criteria: list[tuple[int, list[str], bool]], tag: str) -> None:
    """Points of what is met over the positive points, of the criteria with the tag; none where these are 0."""
    own = [(points, met) for points, tags, met in criteria if not tag or tag in tags]
    possible = sum(points for points, _ in own if points > 0)
    asked = tuple(Asked(points, tuple(tags), met, "scored") for points, tags, met in criteria)
    part = part_of(Example("c", (), "stop", asked), tag)
    if possible == 0:
        assert part is None
    else:
        assert part is not None
        assert part.score == part.low == part.high == sum(points for points, met in own if met) / possible


@given(st.lists(CRITERION, min_size=1, max_size=6), st.data())
def test_bounds_hold_every_score_that_there_could_be(
    criteria: list[tuple[int, list[str], bool]], data: st.DataObject
) -> None:
    lost = [data.draw(st.booleans()) for _ in criteria]
    known = tuple(
        Asked(points, (), None if gone else met, "error" if gone else "scored")
        for (points, _, met), gone in zip(criteria, lost, strict=True)
    )
    truth = tuple(Asked(points, (), met, "scored") for points, _, met in criteria)
    part, real = part_of(Example("c", (), "stop", known)), part_of(Example("c", (), "stop", truth))
    if part is not None and real is not None and real.score is not None:
        assert part.low - 1e-12 <= real.score <= part.high + 1e-12
        assert (part.score is None) == any(lost)


@given(st.lists(st.floats(-3, 1), min_size=2, max_size=20))
@example([0.0, 2e-121])  # the square of whose variance is 0
def test_single_clusters_are_the_usual_standard_error(values: list[float]) -> None:
    found = clustered_mean(values, [str(n) for n in range(len(values))], -3.0)
    assert found.stderr == pytest.approx(statistics.stdev(values) / math.sqrt(len(values)), abs=1e-9)


def test_one_cluster_has_no_interval() -> None:
    assert clustered_mean([0.5, 1.0], ["a", "a"], 0.0).stderr is None
    assert clustered_mean([], [], 0.0).value is None
