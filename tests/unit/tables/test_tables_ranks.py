"""The signed-rank test and its effect size, by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import PermutationMethod, binomtest, wilcoxon

from primum.tables.ranks import EXACT, SignedRanks, signed_ranks


def test_ties_and_what_did_not_change_by_hand() -> None:
    # Ranks of 0, 0, 1, 4, 4 are 1.5, 1.5, 3, 4.5, 4.5. Up 3, down 9, all 15. Of the eight sums of +-3, +-4.5, +-4.5
    # 12 and 6 are at least as far from 0 as -6, each with either sign: 4 of 8.
    assert signed_ranks([-4, 0, -4, 1, 0]) == SignedRanks(2, 1, pytest.approx(-6 / 15), pytest.approx(0.5))


def test_one_change_of_many_is_a_small_effect() -> None:
    # The last of 50 ranks, over 50 * 51 / 2; either sign is as likely.
    found = signed_ranks([-4.0] + [0.0] * 49)
    assert (found.rank_biserial, found.p_value) == (pytest.approx(-50 / 1275), 1.0)
    assert signed_ranks([0.0] * 9) == SignedRanks(0, 0, 0.0, 1.0)
    assert signed_ranks([-1.0] * 9) == SignedRanks(9, 0, -1.0, pytest.approx(2 / 2**9))


@pytest.mark.parametrize("n", [3, 8, 12])
def test_it_is_the_exact_permutation_test(n: int) -> None:
    generator = np.random.default_rng(n)
    for _ in range(20):
        values = generator.integers(-4, 5, n).astype(float)
        if not values.any():
            continue
        expected = wilcoxon(values, zero_method="pratt", method=PermutationMethod(n_resamples=10**6))
        assert signed_ranks(values.tolist()).p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_of_refusals_it_is_mcnemars_exact_test() -> None:
    found = signed_ranks([1.0] * 9 + [-1.0] * 2 + [0.0] * 30)
    assert found.p_value == pytest.approx(binomtest(2, 11).pvalue)


def test_beyond_it_is_the_normals_and_the_two_meet() -> None:
    generator = np.random.default_rng(1)
    for shift in (0.0, 0.3, 0.7):
        values = np.round(generator.normal(shift, 1.5, 450)).clip(-4, 4)
        expected = wilcoxon(values, zero_method="pratt", method="asymptotic", correction=False)
        assert signed_ranks(values.tolist()).p_value == pytest.approx(expected.pvalue, rel=1e-9)
    values = np.concatenate([np.repeat([1.0, 2.0], EXACT // 2), np.zeros(20)])
    values[:17] *= -1
    near = wilcoxon(values, zero_method="pratt", method="asymptotic", correction=False)
    assert signed_ranks(values.tolist()).p_value == pytest.approx(near.pvalue, abs=0.003)
