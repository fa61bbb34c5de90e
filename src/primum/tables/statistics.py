"""The statistics of one group of values, as small functions of numbers. What was not measured is None, never zero."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

Z95 = float(ndtri(0.975))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, its standard error and its 95% interval, all in the unit of the values. None where undefined.

    ``interval`` says how the interval was made: ``wilson``, ``t``, ``normal``, or "" where there is none.
    """

    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    interval: str = ""


MISSING = Estimate(None, None, None, None)


def wilson(successes: int, n: int) -> tuple[float, float] | None:
    """The 95% score interval of a proportion (Wilson 1927), None for ``n`` = 0. It never leaves [0, 1]."""
    if n == 0:
        return None
    share, z2 = successes / n, Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # Rounding must not put an interval's end beyond the value it belongs to.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def proportion(successes: int, n: int) -> Estimate:
    """A share with its Wilson interval; the standard error is the sample's, sqrt(p(1-p)/(n-1)), None for ``n`` < 2."""
    interval = wilson(successes, n)
    if interval is None:
        return MISSING
    share = successes / n
    stderr = math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None
    return Estimate(share, stderr, *interval, "wilson")


def mean(values: Sequence[float], low: float = -math.inf, high: float = math.inf) -> Estimate:
    """The mean with sample sd / sqrt(n) and Student's t interval (Student 1908), cut to the scale [``low``, ``high``].

    Where a value is itself a mean over few-shot seeds, this is the standard error clustered by item (Miller 2024,
    arXiv 2411.00640, section 2.2): with as many answers in every cluster, both are the sd of the clusters' means over
    the root of their number, but for the small sample's n - 1. One value alone has neither standard error nor interval.
    """
    n = len(values)
    if n == 0:
        return MISSING
    centre = math.fsum(values) / n
    if n == 1:
        return Estimate(centre, None, None, None)
    stderr = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (n - 1) / n)
    half = float(stdtrit(n - 1, 0.975)) * stderr
    return Estimate(centre, stderr, max(centre - half, low), min(centre + half, high), "t")


def unweighted_mean(parts: Sequence[Estimate], low: float = 0.0, high: float = 1.0) -> Estimate:
    """The unweighted mean of independent estimates: stderr sqrt(sum of squared stderrs) / k, with a normal interval.

    The parts are disjoint samples, so the variance of (X1 + ... + Xk) / k is the sum of their variances over k squared:
    stratified sampling with equal weights (Cochran 1977, section 5.3). Missing if any part has no value: a mean over
    unequal sets compares with nothing.
    """
    values = [part.value for part in parts if part.value is not None]
    if not parts or len(values) < len(parts):
        return MISSING
    centre = math.fsum(values) / len(values)
    errors = [part.stderr for part in parts if part.stderr is not None]
    if len(errors) < len(parts):
        return Estimate(centre, None, None, None)
    stderr = math.sqrt(math.fsum(error * error for error in errors)) / len(errors)
    return Estimate(centre, stderr, max(centre - Z95 * stderr, low), min(centre + Z95 * stderr, high), "normal")


def quadratic_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968) of two raters' scores for the same things, in order.

    None for no pairs, and where both raters always gave one and the same score (chance agreement is then total).
    Raises ValueError if the lengths differ.
    """
    n = len(first)
    if n != len(second):
        raise ValueError(f"{n} scores against {len(second)}")
    if n == 0:
        return None
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / n
    # The mean squared difference over all n x n pairs, written out so that no matrix of counts is needed.
    expected = (n * (sum(a * a for a in first) + sum(b * b for b in second)) - 2 * sum(first) * sum(second)) / (n * n)
    return None if expected == 0 else 1 - observed / expected


def thin(length: int, limit: int) -> list[int]:
    """At most ``limit`` (2 or more) evenly spaced indices of a sequence, its first and last among them."""
    if length <= limit:
        return list(range(length))
    return [round(index * (length - 1) / (limit - 1)) for index in range(limit)]
