"""Variances of means over clusters, subjects and seeds: against statsmodels, against the definition, and by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from statsmodels.api import OLS
from statsmodels.stats.sandwich_covariance import cov_cluster_2groups

from primum.tables.sampling import combined, grouped, sampled_mean, satterthwaite

Floats = npt.NDArray[np.float64]
MARKS = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=30)


def one(values: list[float]) -> Floats:
    return np.array(values)[:, None]


def test_a_plain_mean_by_hand() -> None:
    # 1, 0, 0, 1, 1: mean 3/5, squared deviations 2 x 9/25 + 3 x 4/25 = 6/5, s² = 3/10
    mean = sampled_mean(one([1, 0, 0, 1, 1]))
    assert mean.value == pytest.approx(0.6)
    assert (mean.items, mean.items_df) == (pytest.approx(0.3 / 5), pytest.approx(4))
    assert (mean.seeds, mean.crossed, mean.n) == (0.0, False, 5)
    assert (mean.per_item, mean.per_free, mean.per_cluster, mean.per_pair) == pytest.approx(
        (1 / 5, 1 / 4, 1 / 5, 1 / 25)
    )


def test_equal_clusters_are_as_statsmodels_has_them() -> None:
    generator = np.random.default_rng(1)
    clusters = np.repeat(np.arange(12), 5)
    values = generator.random(12)[clusters] + generator.random(60)
    fitted = OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    mean = sampled_mean(values[:, None], None, clusters)
    assert math.sqrt(mean.items) == pytest.approx(float(fitted.bse[0]))
    assert mean.items_df == pytest.approx(11)
    # The same as of the clusters' own means.
    assert mean.items == pytest.approx(values.reshape(12, 5).mean(axis=1).var(ddof=1) / 12)


def test_unequal_clusters_are_as_bell_and_mccaffrey_define_them() -> None:
    """CR2 and its degrees of freedom, written with the matrices of the definition, of which a mean needs none."""
    generator = np.random.default_rng(2)
    sizes = [1, 1, 2, 3, 5, 9]
    clusters, n = np.repeat(np.arange(6), sizes), sum(sizes)
    values = generator.random(n)
    residuals = np.eye(n) - np.full((n, n), 1 / n)
    columns = []
    for cluster in range(6):
        rows = np.flatnonzero(clusters == cluster)
        root = np.linalg.inv(sqrtm(residuals[np.ix_(rows, rows)]).real)
        # What cluster adds to the mean, as a combination of all values.
        columns.append(residuals[rows].T @ root @ np.ones(len(rows)) / n)
    variance = sum(float(column @ values) ** 2 for column in columns)
    eigen = np.linalg.eigvalsh(np.array(columns) @ np.array(columns).T)
    mean = sampled_mean(values[:, None], None, clusters)
    assert mean.items == pytest.approx(variance)
    assert mean.items_df == pytest.approx(eigen.sum() ** 2 / (eigen**2).sum())
    assert mean.items_df < 5, "clusters of unequal sizes tell less than as many equal ones"


def test_items_and_seeds_are_those_of_two_way_clustering() -> None:
    generator = np.random.default_rng(3)
    n, k = 40, 5
    values = generator.random((n, 1)) + 0.3 * generator.random(k) + generator.random((n, k))
    item, seed = (index.ravel() for index in np.indices((n, k)))
    fitted = OLS(values.ravel(), np.ones(n * k)).fit()
    both, items, seeds = (float(np.squeeze(found)) for found in cov_cluster_2groups(fitted, item, seed))
    mean = sampled_mean(values)
    assert (mean.items, mean.seeds) == (pytest.approx(items), pytest.approx(seeds))
    assert mean.items + mean.seeds > both, "what both count is not taken away"
    assert (mean.items_df, mean.seeds_df) == (pytest.approx(n - 1), k - 1)


def test_items_and_seeds_by_hand() -> None:
    # Items are right in 2, 1, 0 of 2 seeds: means 1, 1/2, 0, s² = 1/4; seeds are right on 2 and 1 of 3: s² = (1/3)² / 2.
    mean = sampled_mean(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    assert (mean.value, mean.items, mean.seeds) == pytest.approx((0.5, 1 / 4 / 3, 1 / 18 / 2))
    assert (mean.answers, mean.crossed) == (2, True)


def test_subjects_by_hand() -> None:
    # Subject x: 1, 1, 0, 0 with s² = 1/3; y: 1, 0 with s² = 1/2. The mean of 1/2 and 1/2 has (1/3/4 + 1/2/2) / 4.
    mean = sampled_mean(one([1, 1, 0, 0, 1, 0]), np.array(list("xxxxyy")))
    assert (mean.value, mean.items) == pytest.approx((0.5, (1 / 12 + 1 / 4) / 4))
    # Satterthwaite: (1/12 + 1/4)² / ((1/12)²/3 + (1/4)²/1) = (1/9) / (1/432 + 1/16) = 48/28
    assert mean.items_df == pytest.approx(48 / 28)
    assert mean.per_item == pytest.approx((1 / 4 + 1 / 2) / 4)
    assert mean.per_pair == pytest.approx(((1 / 8) ** 2 + (1 / 4) ** 2) / 2)


def test_a_subject_of_one_item_is_as_far_off_as_it_lies() -> None:
    # x: 1, 0 (mean 1/2), y: 1 alone. The mean is 3/4; y lies 1/4 above it. (1/2/2 + 1/16) / 4
    mean = sampled_mean(one([1, 0, 1]), np.array(list("xxy")))
    assert mean.items == pytest.approx((1 / 4 + 1 / 16) / 4)


def test_a_cluster_in_two_subjects_counts_as_one() -> None:
    # Each passage has a question of both subjects, and both questions are always answered alike: as if there were one subject.
    marks, subjects = [1.0, 0.0, 1.0, 1.0], np.repeat(["x", "y"], 4)
    passages = np.tile(np.arange(4), 2)
    mean = sampled_mean(one(marks * 2), subjects, passages)
    assert mean.items == pytest.approx(sampled_mean(one(marks)).items)
    assert mean.items == pytest.approx(2 * sampled_mean(one(marks * 2), subjects).items)


def test_independent_means_add_up() -> None:
    first, second = sampled_mean(one([1, 0, 0, 1, 1])), sampled_mean(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    both = combined([first, second])
    assert both.value == pytest.approx((0.6 + 0.5) / 2)
    assert both.items == pytest.approx((0.06 + 1 / 12) / 4)
    assert both.seeds == pytest.approx(1 / 36 / 4)
    assert both.items_df == pytest.approx((0.06 + 1 / 12) ** 2 / (0.06**2 / 4 + (1 / 12) ** 2 / 2))
    assert (both.n, both.answers, both.crossed) == (8, 1, True)


@pytest.mark.parametrize(("by_size", "sizes"), [(True, [12, 12, 12]), (False, [5, 12, 30])])
def test_the_tasks_of_a_group_are_as_subjects_of_one_benchmark(by_size: bool, sizes: list[int]) -> None:
    """Of subjects of one size the mean over items is that over subjects."""
    generator = np.random.default_rng(4)
    parts = [(generator.random((n, 1)) < 0.6).astype(float) for n in sizes]
    whole = sampled_mean(np.concatenate(parts), np.repeat(np.arange(3), sizes))
    found = grouped([sampled_mean(part) for part in parts], by_size)
    # Without several seeds these have no variance that their degrees of freedom would be of.
    for name in (field.name for field in dataclasses.fields(whole) if field.name != "seeds_df"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name)), name


def test_a_group_by_size_by_hand() -> None:
    # 1, 0 and 1, 1, 0, 0, 0, 0: 3 of 8 items. Variances 1/2 / 2 and (6 x 1/3 x 2/3 / 5) / 6, weighed 1/4 and 3/4, squared.
    found = grouped([sampled_mean(one([1, 0])), sampled_mean(one([1, 1, 0, 0, 0, 0]))], True)
    assert (found.value, found.n) == (pytest.approx(3 / 8), 8)
    assert found.items == pytest.approx(1 / 4 / 16 + (4 / 15) / 6 * 9 / 16)
    assert (found.per_item, found.per_pair) == pytest.approx((1 / 8, 1 / 64))


def test_satterthwaite_by_hand() -> None:
    assert satterthwaite([1.0, 1.0], [3.0, 3.0]) == pytest.approx(6)
    assert satterthwaite([1.0, 0.0], [3.0, 1.0]) == pytest.approx(3)
    assert satterthwaite([0.0, 0.0], [3.0, 1.0]) == 4


@given(MARKS, st.randoms())
def test_the_order_of_items_changes_nothing(marks: list[list[bool]], chance: object) -> None:
    rows = [(marks[i], f"s{i % 3}", f"c{i % 4}") for i in range(len(marks))]
    moved = list(rows)
    chance.shuffle(moved)  # type: ignore[attr-defined]
    found = [
        sampled_mean(
            np.array([m for m, _, _ in each], dtype=float), *(np.array([row[i] for row in each]) for i in (1, 2))
        )
        for each in (rows, moved)
    ]
    for name in found[0].__slots__:
        assert getattr(found[0], name) == pytest.approx(getattr(found[1], name), abs=1e-12)


@given(MARKS)
def test_clustering_by_item_is_millers_formula(marks: list[list[bool]]) -> None:
    # Miller 2024: sqrt(sum over clusters of (sum of the cluster's deviations)²) / number of answers, here with n - 1.
    values = np.array(marks, dtype=float)
    n = len(marks)
    deviations = (values - values.mean()).sum(axis=1)
    clustered = (deviations**2).sum() / values.size**2
    assert sampled_mean(values).items == pytest.approx(clustered * n / (n - 1), abs=1e-12)
    # Each answer an item, and each item a cluster of its answers: the same.
    apart = sampled_mean(values.ravel()[:, None], None, np.repeat(np.arange(n), 3))
    assert apart.items == pytest.approx(sampled_mean(values).items, abs=1e-12)
