"""What is made again: some of each stage, within a budget, and what was adopted always."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from primum.artifact.manifest import Artifact, Manifest
from primum.reproduce.sample import Candidate, choose, expected


def _candidate(name: str, seconds: float, group: str = "", model: bool = False, **run: Any) -> Candidate:
    manifest = Manifest("table", name.partition("/")[0], {}, {}, "k", "c", {}, run=run)
    return Candidate(Artifact(Path(name), manifest), name, group or name, seconds, model)


CHEAP = [_candidate(f"read/{i}", 0.1, "read") for i in range(20)]
SCORES = [_candidate(f"score/{model}/{i}", 1.0, f"score/{model}", True) for model in "ab" for i in range(5)]
DEAR = [_candidate("sft/small", 20, model=True), *(_candidate(f"sft/large{i}", 500, model=True) for i in range(9))]
ALL = [*CHEAP, *SCORES, *DEAR]


def test_without_a_bound_everything_is_made_and_what_belongs_together_in_one_process() -> None:
    sample = choose(ALL, None, None, 0)
    assert len(sample.chosen) == len(ALL)
    assert sorted(map(len, sample.groups)) == [1] * 10 + [5, 5, 20]
    assert not sample.left


def test_each_stage_is_in_a_small_sample_where_the_budget_allows() -> None:
    sample = choose(ALL, 60, None, 0)
    assert {each.stage for each in sample.chosen} == {"read", "score", "sft"}
    # The nine others do not fit: the one that takes least stands for its stage.
    assert [each.name for each in sample.chosen if each.stage == "sft"] == ["sft/small"]
    assert sum(expected(group) for group in sample.groups) <= 60
    assert sample.seconds == pytest.approx(sum(expected(group) for group in sample.groups))
    assert {id(each) for each in (*sample.chosen, *sample.left)} == {id(each) for each in ALL}


def test_what_takes_least_comes_first_and_a_tiny_budget_is_kept() -> None:
    sample = choose(ALL, 4, None, 0)
    assert {each.stage for each in sample.chosen} == {"read"}
    assert choose(ALL, 0.5, None, 0).chosen == []


def test_a_number_bounds_the_sample_over_all_stages() -> None:
    assert {each.stage for each in choose(ALL, None, 3, 0).chosen} == {"read", "score", "sft"}
    assert len(choose(ALL, None, 7, 0).chosen) == 7


def test_the_seed_draws_another_sample() -> None:
    drawn = [{each.name for each in choose(ALL, None, 6, seed).chosen} for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_was_adopted_is_always_made_again() -> None:
    adopted = _candidate("dpo/adopted", 1000, model=True, adopted=[{"why": "a comment"}])
    assert adopted in choose([*ALL, adopted], 60, 1, 0).chosen
