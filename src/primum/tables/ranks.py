"""The signed-rank test of paired scores and its effect size: what stands beside the tables' one test, and decides nothing.

Scores from 1 to 5 are ordinal: that 5 is as far from 4 as 2 is from 1 is an assumption of every mean. Ranks need less of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

# Up to so many pairs that differ, the p-value is exact; beyond, the normal's is within a thousandth of it.
EXACT = 50


@dataclass(frozen=True, slots=True)
class SignedRanks:
    """How many pairs went down and how many up, the effect size in [-1, 1], and the two-sided p-value of no change."""

    lower: int
    higher: int
    rank_biserial: float
    p_value: float


def signed_ranks(differences: Sequence[float]) -> SignedRanks:
    """Wilcoxon's (1945) signed-rank test of paired ``differences``, one or more, with ties and with pairs that do not differ.

    These are ranked with the others and then count for neither side (Pratt 1959). The effect size is the matched-pairs
    rank-biserial correlation, the ranks that went up less those that went down over all ranks (Kerby 2014): ranks of pairs that
    do not differ are in the denominator, or one changed response of many would be the largest effect there is.

    The p-value is exact given the ranks, each sign being as likely as the other (for refusals McNemar's exact test), and the
    normal's with the same variance where over 50 pairs differ.
    """
    values = np.asarray(differences, dtype=float)
    _, group, sizes = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    # Twice the mean rank of each group of ties, so that it is a whole number.
    doubled = 2 * np.cumsum(sizes) - sizes + 1
    ranks = doubled[group][values != 0]
    signs = np.sign(values[values != 0]).astype(int)
    found = int((signs * ranks).sum())
    return SignedRanks(
        lower=int((signs < 0).sum()),
        higher=int((signs > 0).sum()),
        rank_biserial=found / (len(values) * (len(values) + 1)),
        p_value=_two_sided(ranks, abs(found)),
    )


def _two_sided(ranks: np.ndarray, found: int) -> float:
    """How likely a sum of ``ranks`` with random signs is at least as far from 0 as ``found``."""
    if len(ranks) > EXACT:
        return float(2 * ndtr(-found / math.sqrt(float((ranks.astype(float) ** 2).sum()))))
    # The chance of each sum of the ranks that went up: one rank after the other.
    chances = np.ones(1)
    for rank in ranks.tolist():
        grown = np.zeros(len(chances) + rank)
        grown[: len(chances)] += chances / 2
        grown[rank:] += chances / 2
        chances = grown
    total = len(chances) - 1
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(float(chances[sums >= found].sum()), 1.0)
