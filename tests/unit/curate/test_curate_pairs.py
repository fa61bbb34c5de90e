"""Preference pairs: each pair once, and none that says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage_artifacts import table_artifact

from primum.artifact.job import Item, Job, Result
from primum.curate.pairs import run
from primum.errors import PrimumError
from primum.progress import Progress
from primum.text.rows import ChoiceRow, Message, PreferenceRow, Row, TextRow, from_table, to_table


def _pairs(work: Path, *datasets: list[Row], seed: int = 1) -> Result:
    rows = [table_artifact(work / f"{i}.parquet", to_table(d, type(d[0]))) for i, d in enumerate(datasets)]
    job = Job("pairs", {}, [Item("p", {"seed": seed}, {"rows": rows}, "p", work)], Progress("pairs"))
    return next(iter(run(job)))


def _pair(id: str, prompt: str, chosen: str, rejected: str) -> PreferenceRow:
    return PreferenceRow(id, id.partition("/")[0], (Message("user", prompt),), chosen, rejected)


def test_outcomes_by_hand(tmp_path: Path) -> None:
    first: list[Row] = [
        _pair("a/0", "Q", "good", "bad"),
        _pair("a/1", "Q", "same", "same \n"),  # equal once a template has trimmed them
        _pair("a/2", "Q", "bad", "good"),  # the other way round is another pair
    ]
    second: list[Row] = [_pair("b/0", "q?", "Good!", "bad"), _pair("b/1", "\u53d1\u70e7", "\u597d", "\u574f")]
    second.append(_pair("b/2", "\u54b3\u55fd", "\u597d", "\u574f"))
    result = _pairs(tmp_path, first, second)
    assert result.counts == {"kept": 4, "duplicate": 1, "equal-texts": 1}
    assert result.table is not None
    assert result.table.column("id").to_pylist() == ["a/0", "a/2", "b/1", "b/2"]


def test_a_question_becomes_a_pair_of_its_answer_and_a_seeded_wrong_one(tmp_path: Path) -> None:
    rows: list[Row] = [
        ChoiceRow(f"c/{i:02d}", "c", "", "", f"Question {i}?", ("w", "x", "y", "z"), 2) for i in range(30)
    ]
    table = _pairs(tmp_path / "1", rows).table
    made = from_table(table, PreferenceRow)
    assert {row.chosen for row in made} == {"y"}
    assert {row.rejected for row in made} == {"w", "x", "z"}
    assert made[0].prompt == (Message("user", "Question 0?"),)
    again, other = _pairs(tmp_path / "2", rows).table, _pairs(tmp_path / "3", rows, seed=2).table
    assert table is not None
    assert again is not None
    assert other is not None
    assert again.equals(table)
    assert not other.equals(table)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="no pair is left"):
        _pairs(tmp_path, [_pair("a/0", "Q", "same", "same")])
    with pytest.raises(PrimumError, match="neither preference pairs"):
        _pairs(tmp_path, [TextRow("t/0", "t", "x")])
