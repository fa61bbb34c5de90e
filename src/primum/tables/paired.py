"""Two models on the same items: one test, and the interval that belongs to it, at the level of Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtr, stdtrit

from primum.tables.sampling import Mean, satterthwaite

ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean paired difference, its standard error and the degrees of freedom of Student's t, in the unit of the values.

    It lies between -``span`` and ``span``.
    """

    value: float
    stderr: float
    df: float
    span: float = 1.0

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference."""
        return float(2 * stdtr(self.df, -abs(self.value) / self.stderr))

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """The 1 - ``alpha`` interval: it excludes 0 exactly where the p-value is below ``alpha``."""
        half = -float(stdtrit(self.df, alpha / 2)) * self.stderr
        return max(self.value - half, -self.span), min(self.value + half, self.span)

    def p_equivalent(self, margin: float) -> float:
        """Of a difference of ``margin`` or more, either way: the larger of two one-sided tests (TOST, Schuirmann 1987)."""
        return float(stdtr(self.df, (abs(self.value) - margin) / self.stderr))

    def detectable(self, alpha: float = ALPHA) -> float:
        """The smallest true difference that such a test finds at 80% power (Bloom 1995), ``alpha`` two-sided."""
        return float(stdtrit(self.df, POWER) - stdtrit(self.df, alpha / 2)) * self.stderr


def paired(mean: Mean, span: float = 1.0) -> Difference:
    """The difference whose mean by item is ``mean``; ``span`` is the largest difference that an item can have.

    The variance is that of the items and two more, one that speaks for each side (as in Bonett and Price 2012, whose estimate
    moves, too; here it stays): without them, where few items differ the interval would be too narrow, and where none does it
    would be a point. With one answer an item the p-value is then within a hair of McNemar's exact one, on its safe side. That of
    the seeds is added, with Satterthwaite's degrees of freedom: min F' (Clark 1973), where items and seeds are both drawn.
    """
    items = mean.items + 2 * span * span * mean.per_pair
    df = satterthwaite([items, mean.seeds], [mean.items_df, mean.seeds_df])
    return Difference(mean.value, math.sqrt(items + mean.seeds), df, span)


def holm(p_values: Sequence[float], tests: int = 0) -> list[float]:
    """The p-values adjusted for all of them being tested at once (Holm 1979), in their order.

    The i-th smallest of m is multiplied by m - i + 1, is no less than those before it, and at most 1. Valid however the tests
    depend on each other. m is ``tests`` where it is more than there are p-values: the others then count as not rejected.
    """
    count = max(tests, len(p_values))
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda position: p_values[position])):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def holm_levels(p_values: Sequence[float], tests: int = 0) -> list[float]:
    """The level at which Holm's procedure decided on each test, in their order: 5% / (tests not yet rejected).

    Where it stops, all that are left have the level at which it stopped. So an interval at this level excludes 0 exactly where
    :func:`holm` is below 5%, and is no narrower than an unadjusted one.
    """
    ordered, rejected = sorted(p_values), sum(adjusted < ALPHA for adjusted in holm(p_values, tests))
    count = max(tests, len(p_values))
    # Equal p-values have one level, whichever comes first.
    return [ALPHA / (count - min(ordered.index(p), rejected)) for p in p_values]


def decided(family: Sequence[Difference], margin: float = 0.0, tests: int = 0) -> Iterator[dict[str, Any]]:
    """What Holm's procedure says of each test of a ``family``, in their order: one rule for every table.

    ``tests`` is how many there are in all, where these were chosen among more by the same answers.

    ``tied`` is whether it does not tell the two apart, and whether the interval holds 0; ``equivalent`` whether, in a family of
    its own, it shows that they differ by less than ``margin``.
    """
    p_values = [each.p_value for each in family]
    equivalent = holm([each.p_equivalent(margin) for each in family], tests)
    corrected, levels = holm(p_values, tests), holm_levels(p_values, tests)
    for each, p_value, p_holm, level, p_equivalent in zip(family, p_values, corrected, levels, equivalent, strict=True):
        low, high = each.interval(level)
        yield {
            "difference": each.value,
            "stderr": each.stderr,
            "level": 1 - level,
            "ci_low": low,
            "ci_high": high,
            "p_value": p_value,
            "p_holm": p_holm,
            "tied": p_holm >= ALPHA,
            "detectable": each.detectable(level),
            "p_equivalent": p_equivalent,
            "equivalent": p_equivalent < ALPHA,
        }
