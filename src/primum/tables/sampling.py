"""How far a mean over items may be off: by which items were drawn, alone or in clusters, and by which few-shot seeds.

Items are drawn within subjects, several at once where they share a passage, a vignette or a patient. The examples of a seed
stand before all questions, so a seed moves all items together: items and seeds are crossed, and each has a variance. Their sum
counts what is left over twice. That errs on the safe side, and is never negative: the "two-term" variance of two-way clustering
(Davezies et al. 2021; Cameron et al. 2011 subtract a third), and what min F' divides by (Clark 1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mean:
    """A weighted mean over items, each the mean of its seeds, with what is needed to say how far it may be off.

    ``items`` and ``seeds`` are its variances from the two, each with degrees of freedom. ``n`` counts items, ``answers`` the
    seeds of each. The others are sums of squared weights, all 1/n or so in a plain mean: ``per_item`` over items, the inverse of
    Kish's effective number of items; ``per_free`` with n - 1 for each subject's n; ``per_cluster`` with its number of clusters
    for n; ``per_pair``, 1/n² in a plain mean, is that of one item, which in a mean over subjects is spread over all of them.
    ``crossed`` says whether there are several seeds.
    """

    value: float
    items: float
    items_df: float
    seeds: float
    seeds_df: float
    n: int
    answers: int
    per_item: float
    per_free: float
    per_cluster: float
    per_pair: float
    crossed: bool = False


def sampled_mean(
    values: Floats, strata: npt.NDArray[Any] | None = None, clusters: npt.NDArray[Any] | None = None
) -> Mean:
    """The unweighted mean over ``strata`` of their means over items; ``values`` has the shape (items, seeds), one or more each.

    The items' variance is cluster-robust (Liang and Zeger 1986; for evaluations Miller 2024, arXiv 2411.00640, section 2.2) with
    the correction CR2 of Bell and McCaffrey (2002) and their degrees of freedom. Both have a closed form for a mean: where each
    item is a cluster of its own they are s²/n and n - 1, with G equal clusters s²/G of their means and G - 1. Strata add up as
    in stratified sampling (Cochran 1977, section 5.3), their degrees of freedom as in Satterthwaite (1946). Where a stratum has
    one cluster alone, its distance to the whole mean stands for its variance ("adjust" in Lumley's package survey).
    """
    n, answers = values.shape
    _, stratum, sizes = np.unique(np.zeros(n) if strata is None else strata, return_inverse=True, return_counts=True)
    _, cluster = np.unique(np.arange(n) if clusters is None else clusters, return_inverse=True)
    weight = 1 / (len(sizes) * sizes)
    by_item = values.mean(axis=1)
    centres = np.bincount(stratum, by_item) / sizes
    value = float(centres.mean())
    # A cell is what a cluster has in a stratum: most clusters lie in one stratum alone, and then are their cell.
    cells, cell, held = np.unique(stratum * n + cluster, return_inverse=True, return_counts=True)
    within, owner = np.divmod(cells, n)
    groups = np.bincount(within)
    centre = np.where(groups == 1, value, centres)
    share = np.where(groups[within] == 1, 0.0, held / sizes[within])
    scaled = weight[within] * np.bincount(cell, by_item - centre[stratum]) / np.sqrt(1 - share)
    spread = np.bincount(within, scaled**2)
    freedom = [_freedom(held[within == each]) for each in range(len(sizes))]
    by_seed = weight[stratum] @ values
    return Mean(
        value=value,
        items=float((np.bincount(owner, scaled) ** 2).sum()),
        items_df=satterthwaite(spread.tolist(), freedom),
        seeds=float(by_seed.var(ddof=1)) / answers if answers > 1 else 0.0,
        seeds_df=max(answers - 1, 1),
        n=n,
        answers=answers,
        per_item=float((weight**2 * sizes).sum()),
        per_free=float((weight**2 * sizes**2 / np.maximum(sizes - 1, 1)).sum()),
        per_cluster=float((weight**2 * sizes**2 / groups).sum()),
        per_pair=float((weight**2).mean()),
        crossed=answers > 1,
    )


def share_of(value: float, stderr: float, n: int) -> Mean:
    """A share of ``n`` items of which no more is known than its standard error: a row of a table."""
    return Mean(value, stderr**2, max(n - 1, 1), 0.0, 1, n, 1, 1 / n, 1 / max(n - 1, 1), 1 / n, 1 / n**2)


def _freedom(sizes: npt.NDArray[np.int64]) -> float:
    """Bell and McCaffrey's degrees of freedom of a mean over clusters of these sizes: G - 1 where they are equal."""
    if len(sizes) == 1:
        return 1.0
    n, squares = float(sizes.sum()), sizes.astype(float) ** 2
    pulls = squares / (n - sizes)
    return float(n * n / (squares.sum() + pulls.sum() ** 2 - (pulls**2).sum()))


def satterthwaite(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """The degrees of freedom of a sum of independent variances (Satterthwaite 1946); without any variance, those of all."""
    total = sum(variances)
    if total == 0:
        return sum(freedoms)
    # By shares, since the square of a variance may be too small a number.
    return 1 / sum((v / total) ** 2 / df for v, df in zip(variances, freedoms, strict=True))


def combined(parts: Sequence[Mean], weights: Sequence[float] | None = None) -> Mean:
    """The mean of independent means (of other items, asked after other examples), by default unweighted."""
    shares = [1 / len(parts)] * len(parts) if weights is None else list(weights)

    def total(pick: str) -> float:
        return float(sum(w * w * getattr(part, pick) for w, part in zip(shares, parts, strict=True)))

    def freedom(pick: str) -> float:
        found = [
            (w * w * getattr(part, pick), getattr(part, f"{pick}_df")) for w, part in zip(shares, parts, strict=True)
        ]
        return satterthwaite([v for v, _ in found], [df for _, df in found])

    return Mean(
        value=sum(w * part.value for w, part in zip(shares, parts, strict=True)),
        items=total("items"),
        items_df=freedom("items"),
        seeds=total("seeds"),
        seeds_df=freedom("seeds"),
        n=sum(part.n for part in parts),
        answers=min(part.answers for part in parts),
        per_item=total("per_item"),
        per_free=total("per_free"),
        per_cluster=total("per_cluster"),
        per_pair=total("per_pair"),
        crossed=any(part.crossed for part in parts),
    )


def grouped(parts: Sequence[Mean], by_size: bool) -> Mean:
    """The mean of the parts of one group of tasks, as :func:`sampled_mean` has it of subjects: each part is a stratum.

    ``by_size``: over all items, so that a part weighs as many as it has; else over parts. The parts' examples are their own.
    """
    n = sum(part.n for part in parts)
    weights = [part.n / n if by_size else 1 / len(parts) for part in parts]
    # What speaks for each side is one item of the whole group, which is of any of its parts.
    whole = combined(parts, weights)
    return replace(whole, per_pair=whole.per_pair / len(parts))
