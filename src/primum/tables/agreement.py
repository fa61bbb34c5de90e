"""How far two raters agree about the same responses: a judge with labels, or a judge with another judge.

Scores are ordered and their steps need not be equal, so alpha is Krippendorff's with the ordinal metric (Krippendorff 2011,
"Computing Krippendorff's Alpha-Reliability"). Kappa has quadratic weights (Cohen 1968). Both are none where there is nothing to
disagree about. Their 95% intervals are percentiles of a bootstrap of the items, for alpha as in Zapf et al. (2016): several
responses to one request are one item, and are drawn together. One more item that nobody saw, on which the raters differ by one
step, is drawn with them. Without it the interval of raters who always agreed would be a point; with it their share of
disagreements reaches up to 3 of n, as in the rule of three (Hanley and Lippman-Hand 1983).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from primum.tables.paired import paired
from primum.tables.sampling import sampled_mean

RESAMPLES = 2000
SEED = 20240304
_AT_ONCE = 100
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Range:
    """A statistic and the two ends of its 95% interval, None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


NONE = Range(None, None, None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What ``pairs`` of scores (first, second) say. ``exact`` and ``within_one`` are shares of the pairs.

    ``bias`` is the mean of second minus first: above 0 where the second gives the higher scores.
    """

    pairs: int
    items: int
    exact: float | None
    within_one: float | None
    kappa: Range
    alpha: Range
    bias: Range


def agreement(
    pairs: Sequence[tuple[int, int]], items: Sequence[Hashable], scale: Sequence[int], seed: int = SEED
) -> Agreement:
    """The agreement of ``pairs`` of scores on ``scale`` (ascending), each about one of ``items``; equal items belong together.

    Raises ValueError if the lengths differ, or for a score that is not on the scale.
    """
    if len(pairs) != len(items):
        raise ValueError(f"{len(pairs)} pairs about {len(items)} items")
    if not pairs:
        return Agreement(0, 0, None, None, NONE, NONE, NONE)
    numbers: dict[Hashable, int] = {}
    item = np.array([numbers.setdefault(each, len(numbers)) for each in items])
    first, second = (np.array([scale.index(pair[side]) for pair in pairs]) for side in (0, 1))
    counts = np.zeros((len(numbers), len(scale), len(scale)))
    np.add.at(counts, (item, first, second), 1.0)
    drawn = _resampled(counts, seed)
    differences = np.array([second - first for first, second in pairs], dtype=float)
    bias = paired(sampled_mean(differences[:, None], clusters=item), scale[-1] - scale[0])
    return Agreement(
        pairs=len(pairs),
        items=len(numbers),
        exact=float((differences == 0).mean()),
        within_one=float((abs(differences) <= 1).mean()),
        kappa=_range(quadratic_kappa(counts.sum(axis=0)), quadratic_kappa(drawn)),
        alpha=_range(ordinal_alpha(counts.sum(axis=0)), ordinal_alpha(drawn)),
        bias=Range(bias.value, *bias.interval()),
    )


def quadratic_kappa(counts: Floats) -> Floats:
    """Cohen's kappa with quadratic weights, of confusion matrices (..., K, K); NaN where both gave one and the same score."""
    places = np.arange(counts.shape[-1])
    weights = (places[:, None] - places) ** 2
    total = counts.sum(axis=(-1, -2))
    chance = counts.sum(axis=-1)[..., :, None] * counts.sum(axis=-2)[..., None, :]
    return _one_minus((counts * weights).sum(axis=(-1, -2)) * total, (chance * weights).sum(axis=(-1, -2)))


def ordinal_alpha(counts: Floats) -> Floats:
    """Krippendorff's alpha with the ordinal metric, of two raters without gaps, from confusion matrices (..., K, K)."""
    return alpha_of_coincidences(counts + counts.swapaxes(-1, -2))


def alpha_of_coincidences(coincidences: Floats) -> Floats:
    """Krippendorff's alpha with the ordinal metric of coincidence matrices (..., K, K), NaN where all values are one.

    The distance of two values is the number of values from the middle of the one to the middle of the other, squared.
    """
    margins = coincidences.sum(axis=-1)
    middles = margins.cumsum(axis=-1) - margins / 2
    distances = (middles[..., :, None] - middles[..., None, :]) ** 2
    total = margins.sum(axis=-1)
    observed = (coincidences * distances).sum(axis=(-1, -2)) * (total - 1)
    return _one_minus(observed, (margins[..., :, None] * margins[..., None, :] * distances).sum(axis=(-1, -2)))


def _one_minus(observed: Floats, expected: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected > 0, 1 - observed / expected, np.nan)


def _resampled(counts: Floats, seed: int) -> Floats:
    """Confusion matrices (RESAMPLES, K, K) of as many items, drawn with replacement from them and the unseen one."""
    size = counts.shape[-1]
    cells = np.concatenate([counts, _near_miss(counts.sum(axis=0))[None]]).reshape(len(counts) + 1, -1)
    random, even = np.random.default_rng(seed), np.full(len(cells), 1 / len(cells))
    parts = [random.multinomial(len(cells), even, size=_AT_ONCE) @ cells for _ in range(RESAMPLES // _AT_ONCE)]
    drawn: Floats = np.concatenate(parts).reshape(RESAMPLES, size, size)
    return drawn


def _near_miss(counts: Floats) -> Floats:
    """One pair a step apart: of the first rater's most frequent score and its more frequent neighbour."""
    given = counts.sum(axis=1)
    common = int(given.argmax())
    neighbour = max((place for place in (common - 1, common + 1) if 0 <= place < len(given)), key=lambda p: given[p])
    miss = np.zeros_like(counts)
    miss[common, neighbour] = 1.0
    return miss


def _range(value: Floats, drawn: Floats) -> Range:
    if np.isnan(value):
        return NONE
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Range(float(value), min(float(low), float(value)), max(float(high), float(value)))
