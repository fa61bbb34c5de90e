"""The paired test and its interval against hand-derived values, scipy, statsmodels, and what must always hold."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from primum.tables.paired import ALPHA, Difference, decided, holm, holm_levels, paired
from primum.tables.sampling import sampled_mean

P_VALUES = st.lists(st.floats(0, 1), max_size=40)
FAMILY = st.lists(
    st.builds(
        lambda wins, losses, more: of_pairs(wins, losses, wins + losses + more),
        st.integers(0, 60),
        st.integers(0, 60),
        st.integers(2, 300),
    ),
    min_size=1,
    max_size=30,
)


def of_pairs(wins: int, losses: int, n: int) -> Difference:
    """Two models on ``n`` items, of which the first alone is right on ``wins`` and the second alone on ``losses``."""
    values = np.array([1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses))
    return paired(sampled_mean(values[:, None]))


def test_a_difference_by_hand() -> None:
    # 8 of 60 items for one model, none for the other: mean 2/15, s² = (8 - 60 x 4/225) / 59, and 2/60² for the two more.
    found = of_pairs(8, 0, 60)
    stderr = math.sqrt((8 - 60 * 4 / 225) / 59 / 60 + 2 / 3600)
    assert (found.value, found.stderr, found.df) == pytest.approx((2 / 15, stderr, 59))
    assert found.p_value == pytest.approx(2 * student.sf(2 / 15 / stderr, 59))
    half = student.ppf(0.975, 59) * stderr
    assert found.interval() == pytest.approx((2 / 15 - half, 2 / 15 + half))


def test_where_no_item_differs_the_interval_is_no_point() -> None:
    found = of_pairs(0, 0, 50)
    assert (found.value, found.p_value) == (0, 1)
    half = student.ppf(0.975, 49) * math.sqrt(2) / 50
    assert found.interval() == pytest.approx((-half, half))


def test_it_stays_on_the_scale() -> None:
    assert of_pairs(3, 0, 3).interval(0.001) == (-1, 1)
    assert paired(sampled_mean(np.array([[4.0], [4.0]])), span=4).interval(0.001) == (-4, 4)


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(4, 0, 40), (5, 0, 60), (8, 0, 60), (15, 5, 200), (12, 0, 60), (60, 30, 1273)]
)
def test_it_is_near_mcnemars_exact_test(wins: int, losses: int, n: int) -> None:
    """Neither test is the other, but where one calls a difference significant at any usual level, so does the other."""
    assert of_pairs(wins, losses, n).p_value == pytest.approx(binomtest(wins, wins + losses).pvalue, rel=0.9)


def test_it_is_no_more_often_wrong_than_it_says() -> None:
    # Every table of 40 items that may come out where 1 in 10 differs, either way alike, with its probability.
    wrong = dict.fromkeys((0.05, 0.01, 0.001), 0.0)
    for wins in range(12):
        for losses in range(12):
            ways = math.comb(40, wins) * math.comb(40 - wins, losses)
            p_value = of_pairs(wins, losses, 40).p_value
            for level in wrong:
                if p_value < level:
                    wrong[level] += ways * 0.05 ** (wins + losses) * 0.9 ** (40 - wins - losses)
    assert wrong[0.05] > 0
    assert all(chance < level for level, chance in wrong.items())


def test_seeds_are_min_f() -> None:
    # Clark 1973: min F' = F1 F2 / (F1 + F2), with (F1 + F2)² / (F1²/n2 + F2²/n1) degrees of freedom.
    generator = np.random.default_rng(5)
    values = generator.normal(0.3, 1, (30, 4)) / 10
    mean = sampled_mean(values)
    by_items, by_seeds = mean.value**2 / (mean.items + 2 / 900), mean.value**2 / mean.seeds
    found = paired(mean)
    assert (found.value / found.stderr) ** 2 == pytest.approx(by_items * by_seeds / (by_items + by_seeds))
    assert found.df == pytest.approx((by_items + by_seeds) ** 2 / (by_items**2 / 3 + by_seeds**2 / 29))


def test_equivalence_is_statsmodels_tost() -> None:
    values = np.random.default_rng(6).normal(0.01, 0.1, 50)
    plain = Difference(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(50), 49)
    for margin in (0.02, 0.05):
        assert plain.p_equivalent(margin) == pytest.approx(ttost_paired(values, np.zeros(50), -margin, margin)[0])
    assert plain.p_equivalent(0) >= 0.5, "nothing differs by less than nothing"


@pytest.mark.parametrize(("n", "apart", "points"), [(60, 1 / 6, 16.5), (1273, 0.25, 3.9), (4183, 1 / 3, 2.5)])
def test_what_can_be_detected_by_hand(n: int, apart: float, points: float) -> None:
    """A share ``apart`` is right for one model alone, half of it for each: the variance of an item is ``apart``.

    (1.96 + 0.84) x sqrt(apart n + 2) / n: of 60 items 2.8 x sqrt(12) / 60 = 16.2 points, a little more with Student's t; of
    MedQA's 1,273 it is 2.8 x sqrt(320) / 1273 = 3.9, of MedMCQA's 4,183 2.8 x sqrt(1396) / 4183 = 2.5.
    """
    half = round(n * apart / 2)
    assert 100 * of_pairs(half, half, n).detectable() == pytest.approx(points, abs=0.1)


def test_what_can_be_detected_is_that_of_statsmodels_power() -> None:
    found = of_pairs(10, 10, 100)
    size = TTestPower().solve_power(nobs=100, alpha=0.05, power=0.8, alternative="two-sided")
    assert found.detectable() == pytest.approx(size * found.stderr * math.sqrt(100), rel=0.005)
    assert found.detectable(0.001) > found.detectable()


def test_holm_by_hand() -> None:
    # sorted .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, and .04 x 1 is raised to the .06 before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    # The procedure stops at the third of four: it and what follows have half of 5%.
    assert holm_levels([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2, 0.05 / 4])
    # Of ten tests in all.
    assert holm([0.001, 0.01], 10) == pytest.approx([0.01, 0.09])
    assert holm_levels([0.001, 0.01], 10) == pytest.approx([0.05 / 10, 0.05 / 9])


@given(P_VALUES)
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    gc.freeze()  # statsmodels collects the garbage of the whole process, whose heap may be large, each time that it is asked
    expected = multipletests(p_values, method="holm")[1] if p_values else []
    gc.unfreeze()
    assert holm(p_values) == pytest.approx(list(expected))


@given(P_VALUES, st.randoms(), st.integers(0, 100))
def test_holm_keeps_order_and_never_lowers(p_values: list[float], chance: object, tests: int) -> None:
    adjusted = holm(p_values, tests)
    assert all(raw <= corrected <= 1 for raw, corrected in zip(p_values, adjusted, strict=True))
    ordered = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)
    shuffled = list(enumerate(p_values))
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    for correct in (holm, holm_levels):
        found = zip([index for index, _ in shuffled], correct([p for _, p in shuffled], tests), strict=True)
        # Equal raw values have equal adjusted ones, whichever comes first.
        assert [value for _, value in sorted(found)] == pytest.approx(correct(p_values, tests))


@given(FAMILY, st.integers(0, 100), st.floats(0.001, 0.5))
@settings(max_examples=100, deadline=None)
def test_one_rule(family: list[Difference], tests: int, margin: float) -> None:
    """Tied, the corrected p-value and the interval never say two things, and no interval is narrower than an unadjusted one."""
    for each, row in zip(family, decided(family, margin, tests), strict=True):
        assert row["tied"] == (row["p_holm"] >= ALPHA) == (row["ci_low"] <= 0 <= row["ci_high"])
        assert row["ci_low"] <= each.interval()[0] <= each.value <= each.interval()[1] <= row["ci_high"]
        assert (each.p_value < ALPHA) == (not each.interval()[0] <= 0 <= each.interval()[1])
        assert not row["equivalent"] or abs(each.value) < margin
        assert row["equivalent"] == (row["p_equivalent"] < ALPHA)
        assert row["detectable"] >= each.detectable() > 0
