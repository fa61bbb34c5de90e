"""Statistics against hand-derived values and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from primum.tables.sampling import sampled_mean
from primum.tables.statistics import (
    MISSING,
    bounded,
    effective_items,
    mean_score,
    proportion,
    thin,
    wilson,
)

SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    interval = wilson(successes / n, n)
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval[0] <= successes / n <= interval[1] <= 1


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_plain_shares_have_wilsons_interval(marks: list[bool]) -> None:
    found = bounded(sampled_mean(np.array(marks, dtype=float)[:, None]))
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(sum(marks), len(marks), method="wilson"), abs=1e-9
    )
    expected = proportion(sum(marks), len(marks))
    assert (found.value, found.interval) == (pytest.approx(expected.value), "wilson")
    assert found.stderr == (None if len(marks) == 1 else pytest.approx(expected.stderr, abs=1e-12))


def test_proportion_by_hand() -> None:
    # 3 of 4: sqrt(0.75 * 0.25 / 3) = 0.25
    estimate = proportion(3, 4)
    assert estimate.value == 0.75
    assert estimate.stderr == pytest.approx(0.25)
    assert proportion(1, 1).stderr is None
    assert proportion(0, 0) == MISSING


def test_clusters_are_fewer_items() -> None:
    # 4 passages with 2 questions each, both right or both wrong: as many as 4 items, with 3 degrees of freedom for 7.
    marks, passages = np.repeat([1.0, 0.0, 1.0, 1.0], 2)[:, None], np.repeat(np.arange(4), 2)
    mean = sampled_mean(marks, None, passages)
    # The clustered variance is s²/4 of 1, 0, 1, 1, so 1/16; of 8 items drawn one by one it would be 3/16 / 7.
    expected = 8 * (3 / 112) / (1 / 16) * (student.ppf(0.975, 7) / student.ppf(0.975, 3)) ** 2
    assert effective_items(mean) == pytest.approx(expected)
    found = bounded(mean)
    assert (found.low, found.high) == pytest.approx(wilson(0.75, expected))
    assert (found.interval, found.stderr) == ("effective", pytest.approx(0.25))


def test_where_clusters_are_all_right_each_is_one_item() -> None:
    found = bounded(sampled_mean(np.ones((20, 1)), None, np.repeat(np.arange(4), 5)))
    assert (found.low, found.high, found.stderr) == (pytest.approx(wilson(1, 4)[0]), 1.0, 0.0)


def test_a_mean_over_subjects_does_not_collapse() -> None:
    # Both subjects all right: as 10 items that are all right.
    subjects = np.repeat(["x", "y"], 5)
    right = bounded(sampled_mean(np.ones((10, 1)), subjects))
    assert (right.low, right.high, right.interval) == (pytest.approx(wilson(1, 10)[0]), 1.0, "effective")
    # One is all right: its luck does not count for more than the other's variance.
    marks = np.array([[1.0]] * 5 + [[1.0], [0.0], [1.0], [0.0], [1.0]])
    mean = sampled_mean(marks, subjects)
    assert mean.items == pytest.approx(0.3 / 5 / 4)
    assert effective_items(mean) < 10
    # No more than if all had been drawn alike, though within subjects they vary less: x all right, y all wrong.
    apart = sampled_mean(np.array([[1.0]] * 5 + [[0.0]] * 4 + [[1.0]]), subjects)
    assert effective_items(apart) <= 10


def test_seeds_draw_the_interval_out() -> None:
    # Items are right in 2, 1, 0 of 2 seeds, seeds on 2 and 1 of 3: the items' part has the means 1, 1/2, 0 and at most
    # k = 2 times as many items, the seeds' part is t(1) x sqrt(1/36).
    mean = sampled_mean(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    below, above = wilson(0.5, effective_items(mean))
    assert effective_items(mean) == pytest.approx(3 * (0.25 / 2) / (0.25 / 3))
    seeds = student.ppf(0.975, 1) / 6
    found = bounded(mean)
    assert (found.low, found.high) == (
        max(0.5 - math.hypot(0.5 - below, seeds), 0),
        min(0.5 + math.hypot(above - 0.5, seeds), 1),
    )
    assert (found.interval, found.stderr) == ("crossed", pytest.approx(math.sqrt(1 / 12 + 1 / 36)))
    # Seeds that agree add nothing.
    alike = bounded(sampled_mean(np.repeat([[1.0], [0.0], [1.0], [1.0]], 3, axis=1)))
    single = bounded(sampled_mean(np.array([[1.0], [0.0], [1.0], [1.0]])))
    assert (alike.low, alike.high) == pytest.approx((single.low, single.high))


def test_mean_scores_by_hand() -> None:
    # 1, 5, 1, 1, 2: mean 2, s² = (1 + 9 + 1 + 1 + 0) / 4 = 3, and two more a step off: 3/5 + 2/25.
    found = mean_score([1, 5, 1, 1, 2], 1.0, 5.0)
    assert (found.value, found.stderr) == (2.0, pytest.approx(math.sqrt(3 / 5)))
    effective = 5 * 16 * 0.25 * 0.75 / 4 / (3 / 5 + 2 / 25) * (1.959964 / student.ppf(0.975, 4)) ** 2
    low, high = wilson(0.25, effective)
    assert (found.low, found.high) == pytest.approx((1 + 4 * low, 1 + 4 * high), rel=1e-6)
    assert mean_score([], 1.0, 5.0) == MISSING


def test_scores_that_are_all_alike_have_an_interval() -> None:
    _, high = wilson(0, 50)
    found = mean_score([1] * 50, 1.0, 5.0)
    assert (found.low, found.high, found.stderr) == (1.0, pytest.approx(1 + 4 * high), 0.0)
    middle = mean_score([3] * 50, 1.0, 5.0)
    assert middle.low is not None
    assert middle.low < 3 < middle.high  # type: ignore[operator]
    assert mean_score([5], 1.0, 5.0).high == 5.0


@given(st.integers(0, 5000), st.integers(2, 300))
def test_thin_keeps_both_ends(length: int, limit: int) -> None:
    kept = thin(length, limit)
    assert len(kept) == min(length, limit)
    assert kept == sorted(set(kept))
    assert not length or (kept[0], kept[-1]) == (0, length - 1)


def test_the_standard_error_of_a_macro_mean_is_that_of_a_simulation() -> None:
    # Two subjects with p = 0.3 of 50 items and 0.8 of 20: Var = (0.21/50 + 0.16/20) / 4 = 0.0122 / 4.
    expected = math.sqrt(0.0122) / 2
    generator = np.random.default_rng(4)
    subjects = np.repeat([0, 1], [50, 20])
    drawn = [generator.random(70) < np.where(subjects == 0, 0.3, 0.8) for _ in range(4000)]
    means = [sampled_mean(marks.astype(float)[:, None], subjects) for marks in drawn]
    assert np.std([mean.value for mean in means]) == pytest.approx(expected, rel=0.05)
    assert math.sqrt(np.mean([mean.items for mean in means])) == pytest.approx(expected, rel=0.02)
