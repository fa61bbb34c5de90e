"""Kappa and alpha: by hand, by a published example, by another library, and how their intervals behave."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from primum.tables.agreement import agreement, alpha_of_coincidences, ordinal_alpha, quadratic_kappa

SCALE = (1, 2, 3, 4, 5)
Pairs = list[tuple[int, int]]

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section E: four observers, twelve units, 0 for a gap.
PUBLISHED = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
    (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
)


def _matrix(pairs: Pairs) -> np.ndarray:
    counts = np.zeros((5, 5))
    for first, second in pairs:
        counts[first - 1, second - 1] += 1
    return counts


def _alpha_by_definition(units: Sequence[Sequence[int]]) -> float | None:
    """Alpha over units of any number of values, written out pair by pair."""
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]

    def distance(a: int, b: int) -> float:
        low, high = sorted((a, b))
        between = sum(values.count(v) for v in range(low, high + 1)) - (values.count(a) + values.count(b)) / 2
        return float(between**2) if a != b else 0.0

    observed = sum(sum(distance(a, b) for a, b in itertools.permutations(u, 2)) / (len(u) - 1) for u in units)
    expected = sum(distance(a, b) for a, b in itertools.permutations(values, 2)) / (len(values) - 1)
    return 1 - observed / expected if expected else None


def test_alpha_is_the_published_one() -> None:
    """The ordinal alpha of the published example is 0.815."""
    units = [[value for value in column if value] for column in zip(*PUBLISHED, strict=True)]
    coincidences = np.zeros((5, 5))
    for unit in units:
        for a, b in itertools.permutations(unit, 2):
            coincidences[a - 1, b - 1] += 1 / (len(unit) - 1)
    assert float(alpha_of_coincidences(coincidences)) == pytest.approx(0.815, abs=5e-4)
    assert _alpha_by_definition(units) == pytest.approx(float(alpha_of_coincidences(coincidences)))


def test_alpha_and_kappa_by_hand() -> None:
    """Pairs (1,1) (1,2) (2,2): the values are three 1s and three 2s.

    The distance of 1 and 2 is (3 + 3 - 3)^2 = 9. Observed: 2 of 6 ordered pairs, 2 x 9 / 6 = 3. Expected: 18 of the 30 ordered
    pairs of values differ, 18 x 9 / 30 = 5.4. Alpha is 1 - 3 / 5.4. Kappa: observed 1/3; first 2, 1, second 1, 2: expected
    (2 x 2 + 1 x 1) / 9; 1 - 3 / 5.
    """
    found = agreement([(1, 1), (1, 2), (2, 2)], "abc", SCALE)
    assert found.alpha.value == pytest.approx(1 - 3 / 5.4)
    assert found.kappa.value == pytest.approx(0.4)
    assert (found.exact, found.within_one, found.bias.value) == (pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3))


PAIRS = st.lists(st.tuples(st.sampled_from(SCALE), st.sampled_from(SCALE)), min_size=1, max_size=30)


@given(PAIRS)
def test_they_are_those_of_other_code(pairs: Pairs) -> None:
    counts = _matrix(pairs)
    alpha = _alpha_by_definition(pairs)
    assert (np.isnan(ordinal_alpha(counts)) and alpha is None) or float(ordinal_alpha(counts)) == pytest.approx(alpha)
    if len({score for pair in pairs for score in pair}) > 1:
        first, second = zip(*pairs, strict=True)
        other = cohen_kappa_score(first, second, weights="quadratic", labels=SCALE)
        assert float(quadratic_kappa(counts)) == pytest.approx(other)


def test_a_judge_that_always_says_four_agrees_by_chance() -> None:
    """Kappa is 0 whatever is drawn but for the unseen item; alpha is below 0, and no end of an interval reaches 0.2."""
    found = agreement([(score, 4) for score in SCALE * 20], list(range(100)), SCALE)
    assert found.kappa.value == pytest.approx(0.0)
    assert found.alpha.value is not None
    assert found.alpha.value < 0
    assert found.alpha.high is not None
    assert found.kappa.high is not None
    assert found.alpha.high < 0.2
    assert found.kappa.high < 0.2


def test_a_judge_that_is_always_right_has_no_point_for_an_interval() -> None:
    """Fewer items, a lower end: ten right answers say less than a thousand. A constant pair says nothing at all."""
    ends = []
    for rounds in (2, 20, 200):
        found = agreement([(score, score) for score in SCALE * rounds], list(range(5 * rounds)), SCALE)
        assert found.alpha.value == 1.0
        assert found.alpha.high == 1.0
        assert found.alpha.low is not None
        ends.append(found.alpha.low)
    assert ends == sorted(ends)
    assert ends[0] < 0.95
    assert 0.99 < ends[2] < 1
    assert agreement([(2, 2), (2, 2)], "ab", SCALE).alpha.value is None
    assert agreement([], [], SCALE).kappa.value is None


def test_responses_to_one_request_are_drawn_together() -> None:
    """The same pairs five times over are no new items: the interval stays as wide, while that of 5 x as many narrows."""
    random = np.random.default_rng(1)
    pairs = [(int(a), int(min(5, max(1, a + b)))) for a, b in random.integers((1, -1), (6, 2), size=(60, 2))]
    alone = agreement(pairs, list(range(60)), SCALE)
    together = agreement(pairs * 5, list(range(60)) * 5, SCALE)
    apart = agreement(pairs * 5, list(range(300)), SCALE)
    assert (together.pairs, together.items, apart.items) == (300, 60, 300)

    def width(found: object) -> float:
        return found.alpha.high - found.alpha.low  # type: ignore[attr-defined, no-any-return]

    assert width(together) == pytest.approx(width(alone), rel=0.1)
    assert width(apart) < 0.6 * width(together)


def test_the_interval_holds_the_truth() -> None:
    """Of 60 samples of 80 pairs of a judge whose alpha is known from 200,000, about 95% hold it: 51 or more."""
    random = np.random.default_rng(3)

    def drawn(count: int) -> Pairs:
        given_, off = random.integers(1, 6, count), random.choice((-1, 0, 0, 0, 1, 2), count)
        return list(zip(given_.tolist(), np.clip(given_ + off, 1, 5).tolist(), strict=True))

    truth = float(ordinal_alpha(_matrix(drawn(200_000))))
    found = [agreement(drawn(80), list(range(80)), SCALE).alpha for _ in range(60)]
    held = sum(each.low <= truth <= each.high for each in found if each.low is not None and each.high is not None)
    assert held >= 51
