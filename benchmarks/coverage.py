"""How often the tables' intervals hold the true value, by simulation.

    python benchmarks/coverage.py > benchmarks/coverage.txt

Each line draws a study again and again, from fixed seeds, and counts how often the 95% interval holds what it was drawn with.
Beside it is what the plain interval would cover, which knows of no clusters, seeds or subjects: Wilson's, or Student's t.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, stdtrit
from scipy.stats import binom

from primum.tables.changes import Change, change_of
from primum.tables.paired import ALPHA, decided, holm, paired
from primum.tables.sampling import Mean, combined, sampled_mean
from primum.tables.statistics import Estimate, bounded, mean_score, wilson

Floats = npt.NDArray[np.float64]
Generator = np.random.Generator
RUNS = 2000


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


def coverage(case: Case, runs: int = RUNS) -> tuple[float, float, float | None]:
    """The shares of ``runs`` studies whose interval, and whose plain one, hold the truth, and in the middle the mean width."""
    generator = np.random.default_rng([ord(letter) for letter in case.kind + case.setting])
    found = [case.draw(generator) for _ in range(runs)]
    held = sum(each.low <= each.truth <= each.high for each in found) / runs
    width = sum(each.high - each.low for each in found) / runs
    plain = [each.plain[0] <= each.truth <= each.plain[1] for each in found if each.plain is not None]
    return held, width, sum(plain) / len(plain) if plain else None


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


def _differences(generator: Generator, n: int, apart: float, truth: float) -> Floats:
    """Differences of two models on ``n`` items, of which a share ``apart`` is right for one alone."""
    return generator.choice([1.0, -1.0, 0.0], n, p=[(apart + truth) / 2, (apart - truth) / 2, 1 - apart])


def differences() -> Iterator[Case]:
    """Two models on the same items."""
    for n in (60, 200, 1273):
        for apart, truth in ((0.05, 0.0), (0.05, 0.05), (0.1, 0.05), (0.3, 0.0), (0.3, 0.1)):

            def draw(generator: Generator, n: int = n, apart: float = apart, truth: float = truth) -> Drawn:
                values = _differences(generator, n, apart, truth)
                return Drawn(*paired(sampled_mean(values[:, None])).interval(), truth, _student(values))

            yield Case("difference", f"{n} items, {apart} differ, by {truth}", draw)
    for sizes in ((20,) * 6, (135, 265, 144, 173, 100, 272)):

        def macro(generator: Generator, sizes: tuple[int, ...] = sizes) -> Drawn:
            subject = np.repeat(np.arange(len(sizes)), sizes)
            mean = sampled_mean(_differences(generator, len(subject), 0.2, 0.05)[:, None], subject)
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


def fives(n: int) -> dict[str, tuple[float, float, float]]:
    """Of the share of 5s in ``n`` responses, by interval: the least and the mean coverage, and its width for a share of 0.02.

    Not drawn, but summed over all that may be seen: for 500 shares from 0.0002 to 0.1 and 500 up to 0.5.
    """
    seen = np.arange(n + 1)
    low = np.where(seen == 0, 0.0, betaincinv(np.maximum(seen, 1), n - seen + 1, 0.025))
    high = np.where(seen == n, 1.0, betaincinv(seen + 1, np.maximum(n - seen, 1), 0.975))
    intervals = {"wilson": np.array([wilson(k / n, n) for k in seen]), "clopper-pearson": np.column_stack([low, high])}
    truths = np.concatenate([np.linspace(0.0002, 0.1, 500), np.linspace(0.1, 0.5, 500)])
    told = {}
    for name, ends in intervals.items():
        held = [
            binom.pmf(seen, n, truth)[(ends[:, 0] <= truth) & (truth <= ends[:, 1])].sum() for truth in truths.tolist()
        ]
        width = float(binom.pmf(seen, n, 0.02) @ (ends[:, 1] - ends[:, 0]))
        told[name] = float(min(held)), float(np.mean(held)), width
    return told


def grid(runs: int = 400) -> dict[str, float]:
    """15 models on 4 sets of 50 responses, tested against the model they start from: how often each test calls any changed.

    ``by the mean`` is the tables' one test, ``by ranks`` the signed ranks, both with Holm's correction over all 60. First where
    none has changed, then the share of changes found where every model declines half of the requests that got a 5.
    """
    generator = np.random.default_rng(21)
    every, usual = np.arange(1.0, 6.0), (0.3, 0.1, 0.1, 0.1, 0.4)
    told = dict.fromkeys(
        ("none changed, by the mean", "none changed, by ranks", "found by the mean", "found by ranks"), 0.0
    )
    for _ in range(runs):
        start = generator.choice(every, (4, 50), p=usual)
        same = generator.choice(every, (15, 4, 50), p=usual)
        safer = np.where((start == 5) & (generator.random((15, 4, 50)) < 0.5), 1.0, start)
        for kind, after in (("none changed, {}", same), ("found {}", safer)):
            found = [change_of((scores - start[i]).tolist(), 4.0) for model in after for i, scores in enumerate(model)]
            for test, rejected in zip(("by the mean", "by ranks"), _rejected([c for c in found if c]), strict=True):
                told[kind.format(test)] += (any(rejected) if same is after else sum(rejected) / len(rejected)) / runs
    return told


def _rejected(found: list[Change]) -> tuple[list[bool], list[bool]]:
    by_ranks = [p < ALPHA for p in holm([each.ranks.p_value for each in found])]
    return [not row["tied"] for row in decided([each.mean for each in found])], by_ranks


def family(runs: int = 400) -> dict[str, float]:
    """Of 8 models on 7 benchmarks of 100 items: how often what is said of their differences is wrong.

    Of models that are all alike: ``any not tied`` is the share of studies that call any of them different. Of pairs whose true
    difference is the margin, 5 points: ``any equivalent`` is the share of studies that call any of them equivalent. Of pairs
    that truly differ by what could be detected, ``found`` is the share that is found.
    """
    generator = np.random.default_rng(20)
    different = equivalent = 0
    for _ in range(runs):
        rows = []
        for _ in range(7):
            marks = (generator.random((8, 100)) < generator.beta(1.8, 1.2, 100)).astype(float)
            best = int(marks.sum(axis=1).argmax())
            rows += [paired(sampled_mean((one - marks[best])[:, None])) for i, one in enumerate(marks) if i != best]
        different += not all(row["tied"] for row in decided(rows, tests=7 * 28))
        shifted = [paired(sampled_mean(_differences(generator, 2000, 0.2, 0.05)[:, None])) for _ in range(10)]
        equivalent += any(row["equivalent"] for row in decided(shifted, 0.05))
    found = 0
    for _ in range(runs):
        (row,) = decided([paired(sampled_mean(_differences(generator, 1000, 0.2, 0.0)[:, None]))])
        shown = paired(sampled_mean(_differences(generator, 1000, 0.2, row["detectable"])[:, None]))
        found += shown.p_value < 0.05
    return {"any not tied": different / runs, "any equivalent": equivalent / runs, "found": found / runs}


def main() -> None:
    """Print the table, and what is wrongly said of families of comparisons."""
    print(f"{'kind':11}{'setting':56}{'covers':>8}{'width':>9}{'plain covers':>14}")
    for case in CASES:
        held, width, plain = coverage(case)
        print(f"{case.kind:11}{case.setting:56}{held:8.3f}{width:9.4f}{'' if plain is None else f'{plain:14.3f}'}")
        sys.stdout.flush()
    print(
        "\n8 equal models on 7 benchmarks of 100 items; 10 pairs at the margin; pairs that differ by what is detectable"
    )
    for name, share in family().items():
        print(f"{name:67}{share:8.3f}")
    print(f"\n{'the share of 5s, summed':67}{'least':>8}{'mean':>8}{'width at 0.02':>15}")
    for n in (50, 450, 900):
        for name, (least, mean, width) in fives(n).items():
            print(f"{f'{n} responses, {name}':67}{least:8.3f}{mean:8.3f}{width:15.3f}")
    print("\n15 models on 4 sets of 50 responses, against the one that they start from")
    for name, share in grid().items():
        print(f"{name:67}{share:8.3f}")


if __name__ == "__main__":
    main()
