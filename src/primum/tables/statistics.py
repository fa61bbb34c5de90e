"""Shares and mean scores with 95% intervals that do not collapse. What was not measured is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from primum.tables.sampling import Mean, sampled_mean

Z95 = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, its standard error and its 95% interval, all in the unit of the values. None where undefined.

    ``interval`` says how the interval was made: ``wilson``, ``effective``, ``crossed`` (see :func:`bounded`), or "" where there
    is none.
    """

    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    interval: str = ""


MISSING = Estimate(None, None, None, None)


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95% score interval of a share of ``n`` > 0 items (Wilson 1927). It never leaves [0, 1]."""
    z2 = Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(max(share * (1 - share), 0.0) / n + z2 / (4 * n * n))
    # Rounding must not put an interval's end beyond the value it belongs to.
    return (0.0 if share <= 0 else min(centre - half, share)), (1.0 if share >= 1 else max(centre + half, share))


def proportion(successes: int, n: int) -> Estimate:
    """A share with its Wilson interval; the standard error is the sample's, sqrt(p(1-p)/(n-1)), None for ``n`` < 2."""
    if n == 0:
        return MISSING
    share = successes / n
    return Estimate(share, math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None, *wilson(share, n), "wilson")


def effective_items(mean: Mean, low: float = 0.0, high: float = 1.0, shares: bool = True) -> float:
    """How many items drawn one by one would tell as much of a mean of values in [``low``, ``high``].

    Kish's number of items over the design effect, the variance over that of as many items drawn one by one, with Korn and
    Graubard's (1998) correction for the variance's degrees of freedom. Of ``shares`` right the design effect is no less than 1
    (1/k for means of k answers): a subject that is all right by luck would else make it too small. Scores on a scale of whole
    numbers may vary less than shares; their variance is that of two more, each a step off. Where all answers are alike there is
    no telling, and a cluster counts as one item.
    """
    share = (mean.value - low) / (high - low)
    alone = (high - low) ** 2 * share * (1 - share) * mean.per_free
    if mean.items == 0 or alone <= 0 or mean.n < 2:
        return 1 / mean.per_cluster
    spread = float(stdtrit(mean.items_df, 0.975))
    if shares:
        ratio = min(alone / mean.items, float(mean.answers))
        return ratio / mean.per_item * (float(stdtrit(mean.n - 1, 0.975)) / spread) ** 2
    return alone / (mean.items + 2 * mean.per_pair) / mean.per_item * (Z95 / spread) ** 2


def bounded(mean: Mean, low: float = 0.0, high: float = 1.0, shares: bool = True) -> Estimate:
    """The interval of a mean of values in [``low``, ``high``], such as accuracy or harm.

    For the items it is Wilson's with the effective number of items (Franco et al. 2019): with one answer an item, no clusters
    and no subjects exactly Wilson's own (``wilson``), else ``effective``. With several seeds (``crossed``) it is drawn further
    out by Student's t of the seeds, with one degree of freedom less than seeds: the squares of both distances add up (Zou and
    Donner 2008). ``stderr`` is the sample's: zero where all answers are alike, when only the interval tells anything.
    """
    share = min(max((mean.value - low) / (high - low), 0.0), 1.0)
    below, above = wilson(share, effective_items(mean, low, high, shares))
    seeds = float(stdtrit(mean.seeds_df, 0.975)) * math.sqrt(mean.seeds) / (high - low)
    ends = max(share - math.hypot(share - below, seeds), 0.0), min(share + math.hypot(above - share, seeds), 1.0)
    plain = math.isclose(mean.per_free * max(mean.n - 1, 1), 1) and math.isclose(mean.per_cluster * mean.n, 1)
    kind = "crossed" if mean.crossed else "wilson" if plain else "effective"
    stderr = math.sqrt(mean.items + mean.seeds) if mean.n > 1 else None
    return Estimate(mean.value, stderr, low + (high - low) * ends[0], low + (high - low) * ends[1], kind)


def mean_score(values: Sequence[float], low: float, high: float) -> Estimate:
    """The mean of scores in [``low``, ``high``], one a response, with the interval of :func:`bounded`."""
    if not values:
        return MISSING
    return bounded(sampled_mean(np.array(values, dtype=float)[:, None]), low, high, shares=False)


def thin(length: int, limit: int) -> list[int]:
    """At most ``limit`` (2 or more) evenly spaced indices of a sequence, its first and last among them."""
    if length <= limit:
        return list(range(length))
    return [round(index * (length - 1) / (limit - 1)) for index in range(limit)]
