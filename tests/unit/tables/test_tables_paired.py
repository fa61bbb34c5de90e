"""Paired statistics against hand-derived values, scipy, and what must always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from primum.tables.paired import RESAMPLES, holm, mcnemar, paired_bootstrap
from primum.tables.statistics import mean, unweighted_mean

P_VALUES = st.lists(st.floats(0, 1), max_size=40)
DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=60)
# Five standard deviations of a share of the resamples: a right implementation fails once in two million.
NOISE = 5 * math.sqrt(0.25 / RESAMPLES)


def test_mcnemar_by_hand() -> None:
    # 1 of 10 discordant pairs: 2 x (C(10, 0) + C(10, 1)) / 2^10 = 22 / 1024
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    # 0 of 5: 2 / 2^5; and as many on both sides: twice the tail is beyond 1
    assert mcnemar(0, 5) == pytest.approx(1 / 16)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=50)
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_holm_by_hand() -> None:
    # sorted .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, and .04 x 1 is raised to the .06 before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(P_VALUES, st.randoms())
def test_holm_keeps_order_and_never_lowers(p_values: list[float], chance: object) -> None:
    adjusted = holm(p_values)
    assert all(raw <= corrected <= 1 for raw, corrected in zip(p_values, adjusted, strict=True))
    ordered = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)
    shuffled = list(enumerate(p_values))
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    moved = dict(zip([index for index, _ in shuffled], holm([p for _, p in shuffled]), strict=True))
    # Equal raw values have equal adjusted ones, whichever comes first.
    assert [moved[index] for index in range(len(p_values))] == pytest.approx(adjusted)


def test_bootstrap_of_two_items_is_known_exactly() -> None:
    # Of the differences 1 and 0 a resample has mean 0, 1/2 or 1 with chances 1/4, 1/2, 1/4. The difference is 1/2, and
    # half of the resamples are at least that far from it.
    found = paired_bootstrap([(1.0, np.array([1.0, 0.0]))], 3)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert found.p_value == pytest.approx(0.5, abs=NOISE)
    # The mean of that with a stratum that is always 1: 1/2, 3/4 or 1, at distance 1/4 where the difference is 3/4.
    mixed = paired_bootstrap([(0.5, np.array([1.0, 0.0])), (0.5, np.array([1.0, 1.0]))], 3)
    assert (mixed.value, mixed.low, mixed.high) == (0.75, 0.5, 1.0)
    assert mixed.p_value == 1 / (RESAMPLES + 1), "no resample is 3/4 away, and a p-value is never zero"


def test_no_difference_is_no_evidence() -> None:
    assert paired_bootstrap([(1.0, np.zeros(50))], 1).p_value == 1.0
    assert paired_bootstrap([(1.0, np.array([1.0, -1.0] * 20))], 1).p_value == 1.0


def test_bootstrap_agrees_with_scipys() -> None:
    values = np.array([1.0] * 60 + [-1.0] * 30 + [0.0] * 210)
    found = paired_bootstrap([(1.0, values)], 1)
    other = bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(2))
    ends = other.confidence_interval
    # Both ends are multiples of 1/300 with Monte Carlo noise; the interval is 0.12 wide.
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=0.007)


def test_stratified_bootstrap_agrees_with_the_standard_error_of_a_macro_mean() -> None:
    generator = np.random.default_rng(5)
    strata = [generator.choice([-1.0, 0.0, 1.0], size=n, p=[0.1, 0.6, 0.3]) for n in (300, 900, 2000)]
    found = paired_bootstrap([(1 / 3, values) for values in strata], 1)
    expected = unweighted_mean([mean(values.tolist()) for values in strata], -1.0, 1.0)
    assert expected.value is not None
    assert found.value == pytest.approx(expected.value)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_bootstrap_interval_covers() -> None:
    # 95% intervals of a mean of 200 values should cover it in 95% of 400 samples; 5 sd of that share are 5.4%.
    generator = np.random.default_rng(8)
    covered = 0
    for seed in range(400):
        found = paired_bootstrap([(1.0, generator.choice([-1.0, 0.0, 1.0], size=200, p=[0.2, 0.5, 0.3]))], seed, 1999)
        covered += found.low <= 0.1 <= found.high
    assert covered / 400 == pytest.approx(0.95, abs=0.054)


@given(DIFFERENCES, DIFFERENCES, st.randoms())
@settings(max_examples=60, deadline=None)
def test_bootstrap_invariants(first: list[float], second: list[float], chance: object) -> None:
    strata = [(0.5, np.array(first)), (0.5, np.array(second))]
    found = paired_bootstrap(strata, 9, 999)
    assert found.low <= found.value <= found.high
    assert 0 < found.p_value <= 1
    assert found == paired_bootstrap(strata, 9, 999), "one seed, one answer"
    chance.shuffle(first)  # type: ignore[attr-defined]
    chance.shuffle(second)  # type: ignore[attr-defined]
    assert found == paired_bootstrap([(0.5, np.array(first)), (0.5, np.array(second))], 9, 999), "order of items"
    assert found.low >= -1
    assert found.high <= 1
