"""A few lines of the coverage simulation are drawn again: the published figures are those of this code."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
RUNS = 300
# Five standard deviations of a share of the runs, where 95% are expected.
NOISE = 5 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", BENCHMARKS / "coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        spec.loader.exec_module(module)
    return module


def published() -> dict[tuple[str, str], tuple[float, float]]:
    """What the script printed: coverage and that of the plain interval, by kind and setting."""
    lines = (BENCHMARKS / "coverage.txt").read_text().partition("\n\n")[0].splitlines()[1:]
    return {(line[:11].strip(), line[11:67].strip()): (float(line[67:75]), float(line[84:])) for line in lines}


def test_every_line_is_of_a_case_and_holds(script: ModuleType) -> None:
    found = published()
    assert list(found) == [(case.kind, case.setting) for case in script.CASES]
    assert min(held for held, _ in found.values()) > 0.92
    assert sum(held < 0.94 for held, _ in found.values()) <= 0.1 * len(found)


@pytest.mark.parametrize(
    ("kind", "setting", "plain"),
    [
        ("share", "100 items, accuracy 0.97", 0.9),
        ("subjects", "2 subjects of 20, accuracy 0.97", 0.5),
        ("clusters", "100 passages of 5, accuracy 0.7, correlation 0.3", 0.88),
        ("seeds", "1273 items, 3 seeds, each moves all by 0.02", 0.88),
        ("difference", "1273 items, 5 seeds, each moves all by 0.02", 0.9),
        ("harm", "50 responses, 0.02 are 5", 0.75),
    ],
)
def test_it_covers_as_published_where_a_plain_interval_does_not(
    script: ModuleType, kind: str, setting: str, plain: float
) -> None:
    case = next(each for each in script.CASES if (each.kind, each.setting) == (kind, setting))
    held, _, without = script.coverage(case, RUNS)
    assert held > 0.95 - NOISE
    assert (held, without) == pytest.approx(published()[kind, setting], abs=NOISE)
    assert without < plain


def test_what_is_said_of_shares_of_fives_is_what_the_sums_give(script: ModuleType) -> None:
    text = (BENCHMARKS / "coverage.txt").read_text()
    for name, (least, mean, width) in script.fives(50).items():
        assert f"{f'50 responses, {name}':67}{least:8.3f}{mean:8.3f}{width:15.3f}\n" in text
    assert script.fives(50)["clopper-pearson"][0] >= 0.95


def test_neither_test_calls_an_unchanged_grid_changed(script: ModuleType) -> None:
    found = script.grid(30)
    assert max(found["none changed, by the mean"], found["none changed, by ranks"]) <= 0.05 + 0.12  # three errors of 30
    assert min(found["found by the mean"], found["found by ranks"]) > 0.2
