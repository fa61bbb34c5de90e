"""Where each row came from: the line and the record at which its raw file is to be opened, whatever the file's format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_artifacts import folder_artifact, make_job, whole
from upstream_forms import FORMS, WRITERS, Form, Record

from primum.curate import read as stage
from primum.curate.adapters import RawFile, files, read
from primum.curate.adapters.places import Place
from primum.curate.origins import ORIGINS, Origins

# Line ends of all kinds: only a line feed is one to `sed -n 7p`.
ENDS = ("a\nb", "c", "d\r\ne\r\nf", "g\rh", "\u2028i\u0085")
FORMS_AND_CARRIERS = [
    pytest.param(form, carrier, id=f"{form.adapter}-{number}-{carrier}")
    for number, form in enumerate(FORMS)
    for carrier in form.carriers
]


def places(folder: Path, adapter: str, names: Sequence[str], **options: object) -> list[tuple[str, int, int]]:
    """(file, line, record) of each row and drop, in upstream order."""
    place = Place()
    given = [RawFile(folder / name, name, place=place) for name in names]
    return [(place.file, place.line, place.record) for _ in read(adapter, given, "d", options)]


def line_of(content: bytes, at: int) -> int:
    assert at >= 0
    return 1 + content.count(b"\n", 0, at)


def begins(form: Form, carrier: str, records: Sequence[Record], content: bytes, at: int) -> int:
    """The line at which the record ``at`` begins: behind those before it, or where its first bracket is."""
    if carrier in ("lines", "lines in .json", "csv", "tsv", "csv without header"):
        return 1 + WRITERS[carrier][1](records[:at]).count(b"\n")
    if carrier == "by id":
        return line_of(content, content.index(b'"%s": {' % str(records[at]["pmid"]).encode()))
    if carrier == "xml":
        return line_of(content, content.index(b'<QAPair pid="%d"' % (at + 1)))
    if carrier == "array":
        return 1
    bracket = {"array in lines": b"\n {", "task": b"\n  {"}[carrier]
    return line_of(content, content.rindex(bracket, 0, content.index(b"@%d@" % at)) + 1)


@pytest.mark.parametrize(("form", "carrier"), FORMS_AND_CARRIERS)
def test_every_adapter_in_every_format(form: Form, carrier: str, tmp_path: Path) -> None:
    ends = cycle(ENDS)
    records = [form.record(n, lambda n=n: f"@{n}@ {next(ends)}") for n in range(7)]  # type: ignore[misc]
    suffix, write = WRITERS[carrier]
    name, content = form.stem + suffix, write(records)
    for file, held in {name: content, **form.beside(records)}.items():
        (tmp_path / file).write_bytes(held)
    found = places(tmp_path, form.adapter, sorted({name, *form.beside(records)}), **form.options)
    assert [record for _, _, record in found] == [n + 1 for n in range(7) for _ in range(form.rows)]
    assert {file for file, _, _ in found} == {name}
    lines = range(1, 8) if carrier == "parquet" else [begins(form, carrier, records, content, n) for n in range(7)]
    assert [line for _, line, _ in found] == [line for line in lines for _ in range(form.rows)]


CELL = st.text(st.sampled_from('a,"\n\r é'), max_size=6)
BLANK = st.text(st.sampled_from(" \n\t\r"), max_size=5)


@given(st.lists(st.tuples(CELL, CELL, st.integers(0, 2)), min_size=1, max_size=6), st.booleans())
def test_a_table_of_quoted_line_ends_and_blank_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int]], packed: bool
) -> None:
    text, lines = "id,text\n", []
    for number, (end, more, blank) in enumerate(rows):
        text += "\n" * blank
        lines.append(1 + text.count("\n"))
        cells = io.StringIO(newline="")
        csv.writer(cells).writerow((f"t{number}", f"x{end}{more}"))  # a row ends in \r\n
        text += cells.getvalue()
    folder = tmp_path_factory.mktemp("table")
    name = "t.csv.gz" if packed else "t.csv"
    (folder / name).write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert places(folder, "text", [name]) == [(name, line, row) for row, line in enumerate(lines, 1)]


@given(st.lists(st.tuples(BLANK, BLANK), min_size=1, max_size=6), BLANK, st.integers(1, 9))
def test_an_array_that_is_read_in_pieces(
    tmp_path_factory: pytest.TempPathFactory, blanks: list[tuple[str, str]], first: str, chunk: int
) -> None:
    text, lines = f"{first}[", []
    for number, (before, behind) in enumerate(blanks):
        text += f"{',' if number else ''}{before}"
        lines.append(1 + text.count("\n"))
        text += f'{{"id": "t{number}",\n"text": "é\\n"}}{behind}'
    folder = tmp_path_factory.mktemp("array")
    (folder / "t.json").write_text(text + "]", newline="")
    with pytest.MonkeyPatch.context() as patched:
        # Blanks alone are not known to be an array.
        patched.setattr(files, "_CHUNK", chunk + len(first))
        found = places(folder, "text", ["t.json"])
    assert found == [("t.json", line, row) for row, line in enumerate(lines, 1)]


@given(st.lists(st.tuples(BLANK, BLANK, BLANK), min_size=1, max_size=5), BLANK)
def test_an_object_of_records_and_one_record(
    tmp_path_factory: pytest.TempPathFactory, blanks: list[tuple[str, str, str]], first: str
) -> None:
    text, lines = f"{first}{{", []
    for number, (before, between, behind) in enumerate(blanks):
        text += f"{',' if number else ''}{before}"
        lines.append(1 + text.count("\n"))
        text += f'"k":{between}{{"id": "t{number}", "text": "[{{\\"k\\": 1"}}{behind}'
    folder = tmp_path_factory.mktemp("object")
    (folder / "t.json").write_text(text + "}", newline="")
    (folder / "u.json").write_text(f'{first}{{"id": "u",\n "text": "x"}}', newline="")
    assert places(folder, "text", ["t.json", "u.json"]) == [
        *(("t.json", line, row) for row, line in enumerate(lines, 1)),
        ("u.json", 1 + first.count("\n"), 1),
    ]


def test_a_row_is_found_by_its_id_and_a_drop_by_its_own(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = [{"id": f"t{n}", "text": "x"} for n in (3, 1, 2)]
    lines += [{"id": "t1", "text": "again"}, {"id": "t4", "text": ""}]
    (raw / "b.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    (raw / "a.jsonl").write_text('{"id": "t5", "text": "x"}\n')
    items = {
        f"d/{o}": ({"dataset": "d", "adapter": "text", "options": {}, "output": o}, {"raw": folder_artifact(raw)})
        for o in ("rows", "drops", "origins")
    }
    made = {result.item.name: whole(result) for result in stage.run(make_job(tmp_path, {}, items))}
    table = made["d/origins"].table
    assert table is not None
    assert table.schema == ORIGINS
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("00000000/d/t1", "b.jsonl", 7, "line", 4),
        ("00000001/d/t4", "b.jsonl", 9, "line", 5),
        ("d/t1", "b.jsonl", 3, "line", 2),
        ("d/t2", "b.jsonl", 5, "line", 3),
        ("d/t3", "b.jsonl", 1, "line", 1),
        ("d/t5", "a.jsonl", 1, "line", 1),
    ]
    others = [made[f"d/{output}"].table for output in ("rows", "drops")]
    ids = [id for each in others if each is not None for id in each.column("id").to_pylist()]
    assert sorted(ids) == table.column("id").to_pylist()
    assert made["d/origins"].counts == {"rows": 4, "drops": 2}


def test_origins_come_in_parts_and_name_their_unit() -> None:
    origins, place = Origins(["a.parquet", "b.csv.gz"]), Place()
    for row in range(25_000):
        place.at("b.csv.gz" if row % 2 else "a.parquet", row, row)
        origins.add(place)
    ids = [f"{n:05d}" for n in reversed(range(25_000))]
    parts = list(origins.tables(ids))
    assert [part.num_rows for part in parts] == [10_000, 10_000, 5_000]
    rows = pa.concat_tables(parts).to_pylist()
    assert rows[0] == {"id": "00000", "file": "b.csv.gz", "line": 24_999, "unit": "line", "record": 24_999}
    assert rows[1]["unit"] == "record"
