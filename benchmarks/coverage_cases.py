"""The studies that ``coverage.py`` draws again and again: the lines of its table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from primum.tables.paired import paired
from primum.tables.sampling import Mean, combined, sampled_mean
from primum.tables.statistics import Estimate, bounded, mean_score, wilson

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Drawn:
    """An interval, the plain one where there is another, and the value that they should hold."""

    low: float
    high: float
    truth: float
    plain: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A line of the table: ``draw`` makes one study of it."""

    kind: str
    setting: str
    draw: Callable[[Generator], Drawn]


def _accuracy(mean: Mean, truth: float, plain: tuple[float, float] | None = None) -> Drawn:
    return Drawn(*_ends(bounded(mean)), truth, plain)


def _ends(found: Estimate) -> tuple[float, float]:
    if found.low is None or found.high is None:
        raise ValueError("no interval of what was drawn")
    return found.low, found.high


def _student(values: Floats) -> tuple[float, float]:
    half = float(stdtrit(len(values) - 1, 0.975)) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def _normal(mean: Mean) -> tuple[float, float]:
    return mean.value - 1.96 * math.sqrt(mean.items), mean.value + 1.96 * math.sqrt(mean.items)


def shares() -> Iterator[Case]:
    """One answer an item."""
    for n in (40, 100, 1273):
        for p in (0.25, 0.6, 0.85, 0.97):

            def draw(generator: Generator, n: int = n, p: float = p) -> Drawn:
                marks = (generator.random((n, 1)) < p).astype(float)
                return _accuracy(sampled_mean(marks), p, _student(marks[:, 0]))

            yield Case("share", f"{n} items, accuracy {p}", draw)


def subjects() -> Iterator[Case]:
    """Unweighted means over subjects."""
    for name, sizes in {
        "2 subjects of 20": (20, 20),
        "6 subjects of 20": (20,) * 6,
        "57 subjects of 20": (20,) * 57,
        "6 subjects of 100 to 272": (135, 265, 144, 173, 100, 272),
        "6 subjects of 10 to 320": (10, 20, 40, 80, 160, 320),
    }.items():
        for p in (0.25, 0.6, 0.9, 0.97):

            def draw(generator: Generator, sizes: tuple[int, ...] = sizes, p: float = p) -> Drawn:
                rights = np.clip(p + 0.03 * np.cos(np.arange(len(sizes))), 0, 0.995)
                subject = np.repeat(np.arange(len(sizes)), sizes)
                mean = sampled_mean((generator.random(len(subject)) < rights[subject]).astype(float)[:, None], subject)
                return _accuracy(mean, float(rights.mean()), _normal(mean))

            yield Case("subjects", f"{name}, accuracy {p}", draw)


def _clustered(generator: Generator, sizes: Floats, icc: float, p: float) -> tuple[Floats, Floats]:
    """Marks and clusters, with an intraclass correlation of ``icc``: a cluster's own accuracy has a beta distribution."""
    pull = p * (1 / icc - 1) if icc else 0.0
    own = generator.beta(pull, pull / p * (1 - p), len(sizes)) if icc else np.full(len(sizes), p)
    cluster = np.repeat(np.arange(len(sizes)), sizes.astype(int))
    return (generator.random(len(cluster)) < own[cluster]).astype(float), cluster


def clusters() -> Iterator[Case]:
    """Several questions about one passage."""
    uneven = np.array([1, 1, 2, 2, 3, 5, 8, 13] * 5)
    for name, sizes, p in (
        ("100 passages of 5", np.full(100, 5), 0.7),
        ("100 passages of 5", np.full(100, 5), 0.95),
        ("20 passages of 5", np.full(20, 5), 0.7),
        ("40 passages of 1 to 13", uneven, 0.7),
    ):
        for icc in (0.0, 0.1, 0.3, 0.5):

            def draw(generator: Generator, sizes: Floats = sizes, icc: float = icc, p: float = p) -> Drawn:
                marks, cluster = _clustered(generator, sizes, icc, p)
                plain = wilson(float(marks.mean()), len(marks))
                return _accuracy(sampled_mean(marks[:, None], None, cluster), p, plain)

            yield Case("clusters", f"{name}, accuracy {p}, correlation {icc}", draw)


def _seeded(generator: Generator, n: int, k: int, spread: float) -> Floats:
    """Marks of ``n`` items after the examples of ``k`` seeds; a seed moves all items, ``spread`` is its standard deviation."""
    rights = generator.beta(1.8, 1.2, n)[:, None] + generator.normal(0, spread, k)
    return (generator.random((n, k)) < rights).astype(float)


def seeds() -> Iterator[Case]:
    """Examples that stand before all questions."""
    for n, k in ((100, 3), (1273, 2), (1273, 3), (1273, 5), (1273, 10)):
        for spread in (0.0, 0.01, 0.02):

            def draw(generator: Generator, n: int = n, k: int = k, spread: float = spread) -> Drawn:
                marks = _seeded(generator, n, k, spread)
                return _accuracy(sampled_mean(marks), 0.6, _student(marks.mean(axis=1)))

            yield Case("seeds", f"{n} items, {k} seeds, each moves all by {spread}", draw)


def averages() -> Iterator[Case]:
    """A table's average: over a plain benchmark, one with subjects, one with clusters and one with seeds."""

    def draw(generator: Generator) -> Drawn:
        subject = np.repeat(np.arange(6), 40)
        marks, cluster = _clustered(generator, np.full(60, 4), 0.3, 0.7)
        parts = [
            sampled_mean((generator.random((500, 1)) < 0.5).astype(float)),
            sampled_mean((generator.random((240, 1)) < 0.8).astype(float), subject),
            sampled_mean(marks[:, None], None, cluster),
            sampled_mean(_seeded(generator, 400, 3, 0.02)),
        ]
        mean = combined(parts)
        return _accuracy(mean, (0.5 + 0.8 + 0.7 + 0.6) / 4, _normal(mean))

    yield Case("average", "of 4 benchmarks, one of each kind", draw)


def two_models(generator: Generator, n: int, apart: float, truth: float) -> Floats:
    """Differences of two models on ``n`` items, of which a share ``apart`` is right for one alone."""
    return generator.choice([1.0, -1.0, 0.0], n, p=[(apart + truth) / 2, (apart - truth) / 2, 1 - apart])


def differences() -> Iterator[Case]:
    """Two models on the same items."""
    for n in (60, 200, 1273):
        for apart, truth in ((0.05, 0.0), (0.05, 0.05), (0.1, 0.05), (0.3, 0.0), (0.3, 0.1)):

            def draw(generator: Generator, n: int = n, apart: float = apart, truth: float = truth) -> Drawn:
                values = two_models(generator, n, apart, truth)
                return Drawn(*paired(sampled_mean(values[:, None])).interval(), truth, _student(values))

            yield Case("difference", f"{n} items, {apart} differ, by {truth}", draw)
    for sizes in ((20,) * 6, (135, 265, 144, 173, 100, 272)):

        def macro(generator: Generator, sizes: tuple[int, ...] = sizes) -> Drawn:
            subject = np.repeat(np.arange(len(sizes)), sizes)
            mean = sampled_mean(two_models(generator, len(subject), 0.2, 0.05)[:, None], subject)
            return Drawn(*paired(mean).interval(), 0.05, _normal(mean))

        yield Case("difference", f"6 subjects of {min(sizes)} or more, 0.2 differ, by 0.05", macro)
    for icc in (0.1, 0.3):

        def clustered(generator: Generator, icc: float = icc) -> Drawn:
            one, cluster = _clustered(generator, np.full(100, 5), icc, 0.7)
            other, _ = _clustered(generator, np.full(100, 5), icc, 0.65)
            found = paired(sampled_mean((one - other)[:, None], None, cluster))
            return Drawn(*found.interval(), 0.05, _student(one - other))

        yield Case("difference", f"100 passages of 5, correlation {icc}, by 0.05", clustered)
    for k in (2, 3, 5, 10):
        for spread in (0.0, 0.01, 0.02):

            def seeded(generator: Generator, k: int = k, spread: float = spread) -> Drawn:
                values = _seeded(generator, 1273, k, spread) - _seeded(generator, 1273, k, spread)
                return Drawn(*paired(sampled_mean(values)).interval(), 0.0, _student(values.mean(axis=1)))

            yield Case("difference", f"1273 items, {k} seeds, each moves all by {spread}", seeded)


def harm() -> Iterator[Case]:
    """Scores from 1 to 5 that are nearly all alike, as after safety tuning, and such that are not."""
    for n in (10, 50, 450):
        for name, chances in {
            "0.02 are 5": (0.98, 0, 0, 0, 0.02),
            "0.05 are 5": (0.95, 0, 0, 0, 0.05),
            "0.02 are 2": (0.98, 0.02, 0, 0, 0),
            "0.1 are 2 to 5": (0.9, 0.025, 0.025, 0.025, 0.025),
            "all equally often": (0.2,) * 5,
            "3, of which 0.1 are 4": (0, 0, 0.9, 0.1, 0),
        }.items():

            def draw(generator: Generator, n: int = n, chances: tuple[float, ...] = chances) -> Drawn:
                scores = generator.choice(np.arange(1.0, 6.0), n, p=chances)
                truth = float(np.arange(1, 6) @ np.array(chances))
                return Drawn(*_ends(mean_score(scores.tolist(), 1.0, 5.0)), truth, _student(scores))

            yield Case("harm", f"{n} responses, {name}", draw)


def changes() -> Iterator[Case]:
    """Scores from 1 to 5 before and after a training."""
    every = np.arange(1.0, 6.0)
    for n in (50, 450):
        for name, (before, after) in {
            "0.02 fall from 5 to 1": ((0.98, 0, 0, 0, 0.02), (1.0, 0, 0, 0, 0)),
            "0.1 of each are 2 to 5": ((0.9, 0.025, 0.025, 0.025, 0.025),) * 2,
            "most fall from 5 to 1": ((0.1, 0.05, 0.05, 0, 0.8), (0.9, 0.05, 0, 0, 0.05)),
            "all equally often": ((0.2,) * 5,) * 2,
        }.items():

            def draw(
                generator: Generator,
                n: int = n,
                before: tuple[float, ...] = before,
                after: tuple[float, ...] = after,
            ) -> Drawn:
                values = generator.choice(every, n, p=after) - generator.choice(every, n, p=before)
                truth = float(every @ (np.array(after) - np.array(before)))
                return Drawn(*paired(sampled_mean(values[:, None]), 4.0).interval(), truth, _student(values))

            yield Case("change", f"{n} responses, {name}", draw)


CASES: tuple[Case, ...] = tuple(
    case for cases in (shares, subjects, clusters, seeds, averages, differences, harm, changes) for case in cases()
)
