"""Raw documents: the records of every carrier as they are; and benchmarks of them, against which mixtures are cleaned."""

import json
from pathlib import Path

import pytest
from upstream_files import Upstream

from primum.curate.overlap import asked, distinct_questions
from primum.text.rows import ChoiceRow, DocumentRow, Drop, to_table

QUESTION = "Which nerve supplies the deltoid muscle of the shoulder?"


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path)


def test_records_keep_all_columns_of_every_carrier(tmp_path: Path) -> None:
    record = {"q": "  What? ", "n": 3, "list": ["a", None], "nested": {"text": ["\u00e9"], "label": ["A"]}}
    for name in ("lines", "parquet"):
        upstream = Upstream(tmp_path / name)
        (tmp_path / name).mkdir()
        (row,) = (upstream.lines("t.jsonl", record) if name == "lines" else upstream.parquet("t.parquet", record)).read(
            "documents"
        )
        assert isinstance(row, DocumentRow)
        assert (row.id, row.source, json.loads(row.document)) == ("d/0000000", "d", record)
    (tmp_path / "csv").mkdir()
    rows = Upstream(tmp_path / "csv").write("t.csv", "q,n\nWhat?,3\n").read("documents")
    assert [json.loads(row.document) for row in rows] == [{"q": "What?", "n": "3"}]


def test_what_json_cannot_hold_is_dropped(tmp_path: Path) -> None:
    assert Upstream(tmp_path).parquet("t.parquet", {"image": b"\x00\xff"}).read("documents") == [
        Drop("d/0000000", "not-json")
    ]


def test_every_text_of_a_document_counts_as_a_question() -> None:
    record = {"stem": QUESTION, "choices": {"text": ["axillary", "the radial"]}, "n": 3, "none": None}
    table = to_table([DocumentRow("b/0", "b", json.dumps(record))], DocumentRow)
    assert asked(table) == [("b/0", [QUESTION, "axillary", "the radial"])]
    assert distinct_questions(table) == [QUESTION, "axillary", "the radial"]
    twice = [ChoiceRow(f"b/{i}", "b", "", "", QUESTION, ("a", "b"), i) for i in range(2)]
    assert asked(to_table(twice, ChoiceRow)) == [("b/0", [QUESTION]), ("b/1", [QUESTION])]
    assert distinct_questions(to_table(twice, ChoiceRow)) == [QUESTION]


def test_mmlu_pro_by_category(upstream: Upstream) -> None:
    record = {"question": "Q", "options": ["a", "b"], "answer_index": 1}
    kinds = ("law", "health")
    upstream.lines("t.jsonl", *({**record, "question_id": i, "category": kind} for i, kind in enumerate(kinds)))
    rows = upstream.read("mmlu_pro", category="health")
    assert rows == [Drop("d/0", "other-category"), ChoiceRow("d/1", "d", "health", "", "Q", ("a", "b"), 1)]
    assert [row.id for row in upstream.read("mmlu_pro")] == ["d/0", "d/1"]
