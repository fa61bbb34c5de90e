"""How often the tables' intervals hold the true value, by simulation.

    python benchmarks/coverage.py > benchmarks/coverage.txt

Each line draws a study again and again, from fixed seeds, and counts how often the 95% interval holds what it was drawn with.
Beside it is what the plain interval would cover, which knows of no clusters, seeds or subjects: Wilson's, or Student's t.
"""

from __future__ import annotations

import sys

import numpy as np
from coverage_cases import CASES, Case, two_models
from scipy.special import betaincinv
from scipy.stats import binom

from primum.tables.changes import Change, change_of
from primum.tables.paired import ALPHA, decided, holm, paired
from primum.tables.sampling import sampled_mean
from primum.tables.statistics import wilson

RUNS = 2000


def coverage(case: Case, runs: int = RUNS) -> tuple[float, float, float | None]:
    """The shares of ``runs`` studies whose interval, and whose plain one, hold the truth, and in the middle the mean width."""
    generator = np.random.default_rng([ord(letter) for letter in case.kind + case.setting])
    found = [case.draw(generator) for _ in range(runs)]
    held = sum(each.low <= each.truth <= each.high for each in found) / runs
    width = sum(each.high - each.low for each in found) / runs
    plain = [each.plain[0] <= each.truth <= each.plain[1] for each in found if each.plain is not None]
    return held, width, sum(plain) / len(plain) if plain else None


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
        shifted = [paired(sampled_mean(two_models(generator, 2000, 0.2, 0.05)[:, None])) for _ in range(10)]
        equivalent += any(row["equivalent"] for row in decided(shifted, 0.05))
    found = 0
    for _ in range(runs):
        (row,) = decided([paired(sampled_mean(two_models(generator, 1000, 0.2, 0.0)[:, None]))])
        shown = paired(sampled_mean(two_models(generator, 1000, 0.2, row["detectable"])[:, None]))
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
