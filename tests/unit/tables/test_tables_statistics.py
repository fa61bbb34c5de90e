"""Statistics against hand-derived values and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student

from primum.tables.statistics import MISSING, Estimate, mean, proportion, quadratic_kappa, thin, unweighted_mean, wilson

SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    successes, n = counts
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    interval = wilson(successes, n)
    assert interval is not None
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval[0] <= successes / n <= interval[1] <= 1


def test_wilson_of_nothing_is_nothing() -> None:
    assert wilson(0, 0) is None
    assert proportion(0, 0) == MISSING


def test_proportion_by_hand() -> None:
    # 3 of 4: sqrt(0.75 * 0.25 / 3) = 0.25
    estimate = proportion(3, 4)
    assert estimate.value == 0.75
    assert estimate.stderr == pytest.approx(0.25)
    assert proportion(1, 1).stderr is None


def test_mean_by_hand() -> None:
    # 1, 2, 3, 4: mean 2.5, squared deviations 2.25 + .25 + .25 + 2.25 = 5, sd² = 5/3, sem = sqrt(5/12)
    estimate = mean([1, 2, 3, 4])
    sem = math.sqrt(5 / 12)
    half = student.ppf(0.975, 3) * sem
    assert (estimate.value, estimate.stderr) == (2.5, pytest.approx(sem))
    assert (estimate.low, estimate.high) == pytest.approx((2.5 - half, 2.5 + half))
    assert mean([1, 2, 3, 4], 1.0, 4.0).low == 1.0, "the interval stays on the scale"


def test_mean_of_few() -> None:
    assert mean([]) == MISSING
    assert mean([3.0]) == Estimate(3.0, None, None, None)
    assert mean([2.0, 2.0]) == Estimate(2.0, 0.0, 2.0, 2.0, "t")


def test_unweighted_mean_by_hand() -> None:
    # stderr sqrt(0.03² + 0.04²) / 2 = 0.025
    parts = [Estimate(0.5, 0.03, None, None), Estimate(0.7, 0.04, None, None)]
    combined = unweighted_mean(parts)
    assert combined.value == pytest.approx(0.6)
    assert combined.stderr == pytest.approx(0.025)
    assert (combined.low, combined.high) == pytest.approx((0.6 - 1.959964 * 0.025, 0.6 + 1.959964 * 0.025), abs=1e-6)


def test_unweighted_mean_refuses_unequal_sets() -> None:
    assert unweighted_mean([Estimate(0.5, 0.1, 0.4, 0.6), MISSING]) == MISSING
    assert unweighted_mean([]) == MISSING
    assert unweighted_mean([Estimate(0.5, None, None, None)]) == Estimate(0.5, None, None, None)


def test_kappa_by_hand() -> None:
    # observed (0 + 0 + 4) / 3; over all nine pairs (0+1+16 + 1+0+9 + 4+1+4) / 9 = 4; kappa = 1 - (4/3) / 4
    assert quadratic_kappa([1, 2, 3], [1, 2, 5]) == pytest.approx(2 / 3)
    assert quadratic_kappa([1, 5], [5, 1]) == pytest.approx(-1)
    assert quadratic_kappa([1, 3, 5], [1, 3, 5]) == 1


def test_kappa_is_undefined_without_spread() -> None:
    assert quadratic_kappa([], []) is None
    assert quadratic_kappa([3, 3], [3, 3]) is None
    with pytest.raises(ValueError, match="1 scores against 2"):
        quadratic_kappa([1], [1, 2])


@given(SCORES)
def test_kappa_is_the_matrix_formula(pairs: list[tuple[int, int]]) -> None:
    n = len(pairs)
    observed = expected = 0.0
    for i, j in itertools.product(range(1, 6), repeat=2):
        weight = (i - j) ** 2
        observed += weight * pairs.count((i, j)) / n
        expected += weight * sum(a == i for a, _ in pairs) * sum(b == j for _, b in pairs) / n**2
    kappa = quadratic_kappa([a for a, _ in pairs], [b for _, b in pairs])
    assert kappa is None if expected == 0 else kappa == pytest.approx(1 - observed / expected)


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
    drawn = np.stack([generator.binomial(50, 0.3, 4000), generator.binomial(20, 0.8, 4000)])
    assert (drawn / np.array([[50], [20]])).mean(axis=0).std() == pytest.approx(expected, rel=0.05)
    errors = [unweighted_mean([proportion(int(a), 50), proportion(int(b), 20)]).stderr for a, b in drawn.T]
    squared = [error * error for error in errors if error is not None]
    assert math.sqrt(sum(squared) / len(squared)) == pytest.approx(expected, rel=0.02)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=40))
def test_clustering_by_item_is_the_clustered_formula(answers: list[list[bool]]) -> None:
    # Miller 2024: sqrt(sum over clusters of (sum of the cluster's deviations)²) / number of answers, here with n - 1.
    values = np.array(answers, dtype=float)
    deviations = (values - values.mean()).sum(axis=1)
    clustered = math.sqrt((deviations**2).sum()) / values.size
    found = mean(values.mean(axis=1).tolist(), 0.0, 1.0)
    n = len(answers)
    assert found.stderr == pytest.approx(clustered * math.sqrt(n / (n - 1)), abs=1e-12)
    assert found.interval == "t"
