"""The statistics of two models that answered the same items: exact and resampled tests, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

RESAMPLES = 9_999
ALPHA = 0.05
# Differences of shares are sums of rounded numbers: what is equal in exact arithmetic must stay equal here.
_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean paired difference, its 95% bootstrap interval, and the two-sided p-value of no difference."""

    value: float
    low: float
    high: float
    p_value: float


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test (McNemar 1947) from the two counts of discordant pairs.

    Twice the smaller tail of Binomial(both counts together, 1/2), at most 1 (Fagerland et al. 2013, "exact conditional");
    1 where no pair is discordant.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))


def paired_bootstrap(
    strata: Sequence[tuple[float, npt.NDArray[np.float64]]], seed: int, resamples: int = RESAMPLES
) -> Difference:
    """The weighted sum of the strata's mean differences, with items resampled within each stratum.

    ``strata`` are (weight, differences of shape (items,), one or more). The interval is the percentile one (Efron and
    Tibshirani 1993, chapter 13). The p-value is (b + 1) / (resamples + 1), where b resamples are as far from the
    difference as that is from zero (Davison and Hinkley 1997, section 4.4; never 0: Phipson and Smyth 2010).

    Few distinct differences exist (-1, 0, 1 with one seed), and how often a resample of n items draws each of them is
    multinomial: so a resample costs a few numbers, not n, and the order of items cannot matter.
    """
    generator = np.random.default_rng(seed)
    value, drawn = 0.0, np.zeros(resamples)
    for weight, differences in strata:
        n = len(differences)
        values, counts = np.unique(differences, return_counts=True)
        value += weight * float(counts @ values) / n
        drawn += weight * (generator.multinomial(n, counts / n, size=resamples) @ values) / n
    beyond = int(np.count_nonzero(np.abs(drawn - value) >= abs(value) - _EPSILON))
    low, high = np.quantile(drawn, (0.025, 0.975), method="weibull")
    # Rounding must not put an interval's end beyond the value it belongs to.
    return Difference(value, min(float(low), value), max(float(high), value), (beyond + 1) / (resamples + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for all of them being tested at once (Holm 1979), in their order.

    The i-th smallest of m is multiplied by m - i + 1, is no less than those before it, and at most 1. Valid however
    the tests depend on each other.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda position: p_values[position])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
