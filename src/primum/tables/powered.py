"""The mean score of responses of which people labelled some and a judge scored the others: prediction-powered inference.

Angelopoulos et al. 2023 (Science 382, 669) with the weight of PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453). It is
right whatever the judge does, if those that were labelled are a random sample of the responses: of a judge that tells nothing the
weight goes to 0, and the mean to that of the labels alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from primum.tables.agreement import NONE, Range

FEWEST = 10  # labels below which no interval from a variance means anything


def powered_mean(labelled: Sequence[tuple[float, float]], others: Sequence[float], low: float, high: float) -> Range:
    """The mean and its 95% interval, cut to [``low``, ``high``]; none with fewer than ten labels, or without others.

    ``labelled`` are (label, judge's score), ``others`` the judge's scores of what has no label. The interval is by Student's t,
    with the degrees of freedom of the labels: the paper's is normal, which few labels are too few for.
    """
    n, more = len(labelled), len(others)
    if n < FEWEST or more < 2:
        return NONE
    labels, judged = np.array(labelled, dtype=float).T
    unlabelled = np.array(others, dtype=float)
    spread = float(np.concatenate([judged, unlabelled]).var(ddof=1))
    covered = float(np.cov(labels, judged)[0, 1])
    weight = min(max(covered / (spread * (1 + n / more)), 0.0), 1.0) if spread > 0 else 0.0
    value = float(labels.mean() + weight * (unlabelled.mean() - judged.mean()))
    # As if two more labels lay a step off: of ten alike the interval would else be a point.
    own = (float((labels - weight * judged).var(ddof=1)) + 2 / n) / n
    half = float(stdtrit(n - 1, 0.975)) * (own + weight**2 * float(unlabelled.var(ddof=1)) / more) ** 0.5
    value = min(max(value, low), high)
    return Range(value, max(value - half, low), min(value + half, high))
