"""A mixture's outcomes, ledger and rows must say the same: a fault in one of them is found, whatever its hashes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from curated_example import finished

from primum.artifact.manifest import load_manifest, save_manifest
from primum.artifact.table import read_table, write_table
from primum.verify.finding import Finding
from primum.verify.mixtures import check_mixtures
from primum.verify.study import open_study

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("mixtures") / "run")


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def found(results: Path) -> list[str]:
    top = results / "data"
    return [
        f"{each.path.relative_to(top)}: {each.wrong}" if isinstance(each, Finding) else str(each)
        for each in check_mixtures(open_study(results, None))
    ]


def forge(results: Path, name: str, change: Callable[[Rows], Rows | None], **fields: Any) -> None:
    """Another table, with a manifest as if it had been made so."""
    path = results / "data" / f"{name}.json"
    table = read_table(path.with_suffix(".parquet"))
    rows = table.to_pylist()
    rows = change(rows) or rows
    content = write_table(pa.Table.from_pylist(rows, schema=table.schema), path.with_suffix(".parquet"), {})
    save_manifest(replace(load_manifest(path), content=content, **fields), path)


def setting(row: int, **values: Any) -> Callable[[Rows], Rows | None]:
    return lambda rows: rows[row].update(values)


def test_what_is_whole_is_not_accused(results: Path) -> None:
    """Of a mixture with repeats, drops, a duplicate, rows that were not drawn, and some that no source has."""
    outcomes = read_table(results / "data/outcomes/talk.parquet").to_pylist()
    assert Counter(row["outcome"] for row in outcomes) == {"kept": 8, "duplicate": 1, "not-sampled": 1}
    assert outcomes[5]["twin_id"] == "000/chat/000"
    assert found(results) == []


TALK, ROWS = "outcomes/talk", "its rows are not those of"


@pytest.mark.parametrize(
    ("name", "change", "wrong"),
    [
        ("ledgers/talk", setting(1, rows=4), ["ledgers/talk: a/kept: its rows is 4, counted again it is 5"]),
        ("ledgers/talk", setting(2, outcome="empty"), ["ledgers/talk: a/empty: its rows is 3, counted again it is 0"]),
        ("mixtures/talk", lambda rows: rows[:-1], ["mixtures/talk: has 12 rows, and 13 are kept, or others"]),
        ("mixtures/talk", setting(0, source="b"), ["mixtures/talk: has 13 rows, and 13 are kept, or others"]),
        (
            TALK,
            setting(5, twin_id="001/other/0"),  # a later row
            [f"{TALK}: 1 of its rows repeat no earlier one, or should repeat none"],
        ),
        (
            TALK,
            setting(0, twin_id="000/chat/000"),
            [f"{TALK}: 1 of its rows repeat no earlier one, or should repeat none"],
        ),
        (
            TALK,
            setting(1, outcome="contaminated"),
            [
                f"{TALK}: its outcomes are not those that its manifest counts",
                "ledgers/talk: a/kept: its rows is 5, counted again it is 4",
                "mixtures/talk: has 13 rows, and 11 are kept, or others",
            ],
        ),
    ],
)
def test_each_fault_is_named_where_it_is(
    results: Path, name: str, change: Callable[[Rows], Rows | None], wrong: list[str]
) -> None:
    forge(results, name, change)
    assert [each.replace(".parquet", "") for each in found(results)] == wrong


def test_a_row_without_outcome_is_missed(results: Path) -> None:
    forge(results, TALK, lambda rows: rows[1:])
    assert any(each.startswith(f"{TALK}.parquet: a: {ROWS} ") for each in found(results))
    forge(results, "outcomes/corpus", lambda rows: [{**row, "source": "other"} for row in rows])
    wrong = [each for each in found(results) if "outcomes/corpus" in each]
    assert wrong[0].startswith(f"outcomes/corpus.parquet: plain: {ROWS} ")
    assert "are of others" in wrong[1]


def test_what_cannot_be_counted_again_is_said(results: Path) -> None:
    for path in (results / "data/outcomes").glob("corpus.*"):
        path.unlink()
    forge(results, "ledgers/talk", lambda rows: rows, inputs={})
    (results / "data/outcomes/harm.parquet").write_bytes(b"")
    assert sorted(found(results)) == [
        "1 mixture counted again: an artifact of theirs, or an input, is damaged, or not here",
        "1 mixture counted again: what became of each row is not here",
        "1 mixture counted again: what became of each row was made of other rows",
    ]
