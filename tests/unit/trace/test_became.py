"""What became of a record: the filter that dropped it, the row that it repeats, and why it became no row, each with its line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from traced_results import Made

from primum.cli import main
from primum.errors import PrimumError
from primum.trace.explain import explained
from primum.trace.page import page

# Of two sources one dataset: a record is told of each.
SOURCES = {"first": {"dataset": "d"}, "again": {"dataset": "d"}, "own": {"dataset": "e/f"}}
ROWS = [
    ("000/d/0", "first", "kept", None),
    ("000/d/1", "first", "near-duplicate", "000/d/0"),
    ("001/d/0", "again", "duplicate", "000/d/0"),
    ("001/d/1", "again", "duplicate", "000/d/1"),
    ("002/e/f/1", "own", "not-sampled", None),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("became") / "results" / "tiny")
    file = {"path": "d.jsonl", "url": None, "sha256": None, "hub": None, "revision": None}
    made.folder("data/raw/d", "fetch", {"d.jsonl": "a\nb\n"}, {"files": [file]}, {})
    read = {"dataset": "d", "adapter": "text"}
    ids = ["00000000/d/8", "00000001/d/0", "d/0", "d/1"]
    places = {"id": ids, "file": ["d.jsonl"] * 4, "line": [8, 9, 10, 11], "unit": ["line"] * 4}
    drops = {"id": ids[:2], "reason": ["no-answer", "duplicate-id"]}
    for output, table in {"rows": {"id": ids[2:]}, "origins": places, "drops": drops}.items():
        made.table(f"data/{output}/d", "read", pa.table(table), {**read, "output": output}, {"raw": ["data/raw/d"]})
    mixture = {"mixture": "m", "sources": SOURCES, "order": list(SOURCES), "seed": 7}
    names = ("id", "source", "outcome", "twin_id")
    outcomes = pa.table({name: [row[at] for row in ROWS] for at, name in enumerate(names)})
    ledger = pa.table({"id": ["m/000/first/kept"], "rows": [1]})
    rows = pa.table({"id": ["d/0", "d/0+1"], "source": ["first"] * 2})
    for output, folder, table in (
        ("rows", "mixtures", rows),
        ("ledger", "ledgers", ledger),
        ("outcomes", "outcomes", outcomes),
    ):
        inputs = {"rows": ["data/rows/d"]}
        made.table(f"data/{folder}/m", "mix", table, {**mixture, "output": output}, inputs, {"kept": 1})
    (made.results / "experiment.json").write_text("{}")
    return made


def told(made: Made, data: str, id: str) -> list[str]:
    item = explained(made.results, data, {}, 0, id).item
    assert item is not None
    return [f"{each.artifact.removeprefix('data/')}: {each.sentence}" for each in item.became]


@pytest.mark.parametrize("data", ["mixtures/m", "ledgers/m", "outcomes/m", "rows/d", "drops/d", "origins/d", "raw/d"])
def test_a_record_is_followed_from_all_data_that_is_made_of_it(made: Made, data: str) -> None:
    assert told(made, f"data/{data}", "d/1") == [
        "outcomes/m: near-duplicate, of the source first: repeats d/0 of first, which was kept",
        "outcomes/m: duplicate, of the source again: repeats d/1 of first, which was near-duplicate of d/0",
    ]


def test_it_is_told_with_its_line_and_that_of_what_it_repeats(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no line of these is broken, wherever the results lie
    main(["explain", str(made.results / "data/outcomes/m"), "--item", "d/1"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "repeats d/0 of first, which was kept d/0: from line 10 of data/raw/d/d.jsonl, sha256 " in shown
    assert "which was near-duplicate of d/0 d/1: from line 11 of data/raw/d/d.jsonl" in shown
    assert "Wrote down what became of each row of the sources of m: 1 row kept, 0 left out." in shown
    html = page(explained(made.results, "data/outcomes/m", {}, 0, "d/1"))
    assert "which was kept, from line 10 of <code>data/raw/d/d.jsonl</code>" in html
    assert "d/1: from line 11 of <code>" in html


def test_a_record_that_became_no_row_says_why_and_shares_its_id_with_one_that_did(made: Made) -> None:
    assert told(made, "data/drops/d", "d/8") == ["drops/d: became no row: no-answer"]
    item = explained(made.results, "data/mixtures/m", {}, 0, "00000000/d/8").item
    assert item is not None
    assert item.origin is not None
    assert (item.origin.line, item.became[0].id) == (8, "d/8")
    assert told(made, "data/rows/d", "d/0")[-1] == "drops/d: became no row: duplicate-id"


def test_a_copy_is_the_row_that_is_repeated_and_one_of_several_sources_is_named_by_its_number(made: Made) -> None:
    assert told(made, "data/mixtures/m", "d/0+1") == told(made, "data/mixtures/m", "d/0")
    assert told(made, "data/outcomes/m", "001/d/0") == [
        "outcomes/m: duplicate, of the source again: repeats d/0 of first, which was kept"
    ]
    # What ends alike is another row.
    with pytest.raises(PrimumError, match=r"items are called as d/0, d/1$"):
        told(made, "data/ledgers/m", "f/1")


def test_without_outcomes_nothing_is_said_of_them(tmp_path: Path) -> None:
    made = Made(tmp_path)
    item = {"mixture": "m", "sources": {}, "output": "rows"}
    made.table("data/mixtures/m", "mix", pa.table({"id": ["d/0"]}), item, {})
    assert told(made, "data/mixtures/m", "d/0") == []


def test_rows_that_repeat_each_other_come_to_an_end(tmp_path: Path) -> None:
    made = Made(tmp_path)
    columns = {"id": ["000/d/0", "000/d/1"], "source": ["s"] * 2, "outcome": ["duplicate"] * 2}
    table = pa.table({**columns, "twin_id": ["000/d/1", "000/d/0"]})
    made.table("data/outcomes/m", "mix", table, {"mixture": "m", "sources": {}, "output": "outcomes"}, {})
    assert len(told(made, "data/outcomes/m", "d/0")) == 1
