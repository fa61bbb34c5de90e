"""``phi`` of a mixture: what identifies somebody is counted, kept by place, redacted, or stops the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stage_artifacts import table_artifact, whole

from primum.artifact.job import Item, Job, Result
from primum.curate.identified import PHI
from primum.curate.mix import run
from primum.curate.read import DROPS
from primum.errors import PrimumError
from primum.experiment.types import Mixture
from primum.progress import Progress
from primum.text.rows import ChatRow, Message, TextRow, from_table, to_table

ROWS = [
    ChatRow(
        "a/1",
        "a",
        (Message("user", "Mr. Smith, seen on 3/14/2019, coughs."), Message("assistant", "Call 212-555-0123.")),
    ),
    ChatRow("a/2", "a", (Message("user", "What is 120/80?"), Message("assistant", "A normal pressure."))),
    # The same but for the name and the date: once these are marks, a duplicate.
    ChatRow(
        "a/3",
        "a",
        (Message("user", "Mr. Jones, seen on 4/1/2020, coughs."), Message("assistant", "Call 312-555-0199.")),
    ),
    ChatRow("a/4", "a", (Message("user", "No answer for Dr. Brown"),)),
]


def mix(folder: Path, rows: list[Any], silent: bool = True, **settings: Any) -> dict[str, Result]:
    """The results of the stage by output, for one source ``a``."""
    common = Mixture.model_validate({"sources": {"a": {"dataset": "a"}}, **settings}).model_dump(mode="json")
    common |= {"mixture": "m", "seed": 1, "order": ["a"], "judges": {}}
    inputs = {
        "rows": [table_artifact(folder / "rows.parquet", to_table(rows, type(rows[0])))],
        "drops": [table_artifact(folder / "drops.parquet", DROPS.empty_table())],
    }
    outputs = ("rows", "ledger", "phi") if common["phi"] else ("rows", "ledger")
    more = {"ledger": {"licences": {"a": "a licence"}}}
    items = [
        Item(name, {**common, "output": name, **more.get(name, {})}, inputs, name, folder / name) for name in outputs
    ]
    job = Job("mix", {}, items, Progress("mix", interval=0, silent=silent))
    return {result.item.name: whole(result) for result in run(job)}


def found(result: Result) -> list[tuple[Any, ...]]:
    assert result.table is not None
    assert result.table.schema == PHI
    return [tuple(row.values()) for row in result.table.to_pylist()]


def test_a_warning_leaves_the_rows_and_keeps_the_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warned = mix(tmp_path, ROWS, silent=False, phi="warn", deduplicate="exact")
    assert warned["rows"].table == mix(tmp_path, ROWS, deduplicate="exact")["rows"].table
    # a/2 has none, and a/4, which has no answer, is dropped.
    assert found(warned["phi"]) == [
        ("a/1/0/19", "a/1", "a", 0, 19, 28, "date"),
        ("a/1/0/4", "a/1", "a", 0, 4, 9, "name"),
        ("a/1/1/5", "a/1", "a", 1, 5, 17, "phone"),
        ("a/3/0/19", "a/3", "a", 0, 19, 27, "date"),
        ("a/3/0/4", "a/3", "a", 0, 4, 9, "name"),
        ("a/3/1/5", "a/3", "a", 1, 5, 17, "phone"),
    ]
    assert warned["phi"].counts == {"places": 6, "rows": 2, "date": 2, "name": 2, "phone": 2}
    said = capsys.readouterr().err
    assert "m: a: 6 identifiers in 2 rows (date 2, name 2, phone 2)" in said
    assert not any(text in said for text in ("Smith", "Jones", "2019", "555"))


def test_redaction_comes_before_duplicates(tmp_path: Path) -> None:
    made = mix(tmp_path, ROWS, phi="redact", deduplicate="exact")
    assert made["rows"].table is not None
    kept = from_table(made["rows"].table, ChatRow)
    assert [row.id for row in kept] == ["a/1", "a/2"]
    assert [m.content for m in kept[0].messages] == ["Mr. <NAME>, seen on <DATE>, coughs.", "Call <PHONE>."]
    assert kept[1].messages == ROWS[1].messages
    # The places are those of the rows that are kept, in their text as it was.
    assert {row[1] for row in found(made["phi"])} == {"a/1"}
    assert made["ledger"].table is not None
    outcomes = {row["outcome"]: row["rows"] for row in made["ledger"].table.to_pylist()}
    assert outcomes == {"kept": 2, "duplicate": 1, "empty": 1}


def test_what_is_stopped_names_rows_and_kinds(tmp_path: Path) -> None:
    with pytest.raises(PrimumError) as caught:
        mix(tmp_path, ROWS, phi="stop", deduplicate="exact")
    assert str(caught.value) == (
        "mixtures.m: 6 identifiers in 2 rows (date 2, name 2, phone 2): a/1, a/3: take them out, or say 'phi: redact'"
    )
    assert mix(tmp_path, [ROWS[1]], phi="stop")["phi"].counts == {"places": 0, "rows": 0}


def test_rows_that_are_not_sampled_are_not_counted(tmp_path: Path) -> None:
    made = mix(tmp_path, ROWS, phi="warn", sources={"a": {"dataset": "a", "take": 1}}, deduplicate="none")
    assert made["rows"].table is not None
    (kept,) = made["rows"].table["id"].to_pylist()
    assert {row[1] for row in found(made["phi"])} == ({kept} if kept in ("a/1", "a/3") else set())


def test_plain_text_has_places_too(tmp_path: Path) -> None:
    text = "Line one.\nMRN: 12345678, born March 3, 1950."
    made = mix(tmp_path, [TextRow("a/1", "a", text)], phi="redact")
    assert made["rows"].table is not None
    assert made["rows"].table["text"].to_pylist() == ["Line one.\nMRN: <RECORD>, born <DATE>."]
    assert [text[start:end] for _, _, _, _, start, end, _ in found(made["phi"])] == ["12345678", "March 3, 1950"]


def test_many_rows_by_several_processes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.curate.mix._BATCH", 7)
    monkeypatch.setattr("primum.curate.mix._ROWS_WORTH_PROCESSES", 1)
    rows = [
        TextRow(f"a/{i:03}", "a", f"Row {i * 7919} of Dr. Smith{'' if i % 3 else ' on 3/14/2019'}.") for i in range(50)
    ]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = mix(tmp_path, rows, phi="redact", deduplicate="none")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    two = mix(tmp_path, rows, phi="redact", deduplicate="none")
    assert one["rows"].table == two["rows"].table
    assert found(one["phi"]) == found(two["phi"])
    assert one["phi"].counts == {"places": 67, "rows": 50, "date": 17, "name": 50}
