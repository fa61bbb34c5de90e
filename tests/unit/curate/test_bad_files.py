"""Whatever an upstream file is like, it ends as rows and counted drops, or as one line that names file and record.

Of every adapter the upstream form is written (``upstream_forms``), and broken in every way that upstream files were seen to be.
An adapter without a form fails. ``--hypothesis-profile=thorough`` tries twenty times as many files.
"""

from __future__ import annotations

import datetime
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upstream_files import Upstream
from upstream_forms import FORMS, WRITERS, Form, Record, parquet_bytes, parquet_table, without

from primum.curate.adapters import ADAPTERS
from primum.curate.adapters.columns import LEFT, unread
from primum.errors import PrimumError
from primum.text.rows import Drop

THOROUGH = settings().max_examples > 100
SECRET = "SE CRET"  # one word alone may be taken for a column's name
TEXT = st.text(st.sampled_from("aé €,;\t\n\r\"'<&>\u2028😀|[]{}:\\-!?%"), max_size=8).map(SECRET.__add__)
TABLES = ("csv", "tsv", "csv without header")
Draw = Callable[[st.SearchStrategy[Any]], Any]


@contextmanager
def upstream(files: Mapping[str, bytes]) -> Iterator[Upstream]:
    with tempfile.TemporaryDirectory() as folder:
        found = Upstream(Path(folder))
        for name, content in files.items():
            found.write(name, content)
        yield found


def outcome(form: Form, files: Mapping[str, bytes]) -> list[Any] | str:
    """The rows and drops, which a table can hold, or the error's one line, which quotes nothing that the files say."""
    with upstream(files) as found:
        try:
            return found.read(form.adapter, **form.options)
        except PrimumError as error:
            said = str(error)
    assert said.startswith(tuple(files)), said
    assert "\n" not in said
    assert said.isprintable()
    assert SECRET not in said
    return said


def records_of(draw: Draw, form: Form) -> list[Record]:
    number = count()
    return [form.record(next(number), lambda: draw(TEXT)) for _ in range(draw(st.integers(1, 4)))]


def files_of(form: Form, carrier: str, records: Sequence[Record], content: bytes | None = None) -> dict[str, bytes]:
    suffix, write = WRITERS[carrier]
    return {form.stem + suffix: write(records) if content is None else content, **form.beside(records)}


# ---- what may be wrong with a record

ODD: tuple[object, ...] = (
    *(None, float("nan"), "", " ", True, -1, 2.5, 10**400, float("inf"), "x" * 600),
    *(["x"], [None], [["x"]], {"x": "y"}, {"x": ["y"]}, [{"x": "y"}], [], {}),
)
ODD_IN_PARQUET: tuple[object, ...] = (
    *(value for value in ODD if value not in (10**400, {})),  # which it has no types for
    *(b"\xff", datetime.date(2020, 1, 1), datetime.timedelta(1)),
)


def _odd_value(draw: Draw, record: Record, carrier: str) -> Record:
    key = draw(st.sampled_from(sorted(record)))
    return {**record, key: draw(st.sampled_from(ODD_IN_PARQUET if carrier == "parquet" else ODD))}


def _odd_inside(draw: Draw, record: Record, carrier: str) -> Record:
    """The same, in a list or an object of the record."""

    def changed(value: Any) -> Any:
        if isinstance(value, list) and value:
            place = draw(st.integers(0, len(value) - 1))
            return [changed(each) if index == place else each for index, each in enumerate(value)]
        if isinstance(value, dict) and value:
            key = draw(st.sampled_from(sorted(value)))
            return {**value, key: changed(value[key])}
        return draw(st.sampled_from(ODD))

    nested = [key for key, value in record.items() if isinstance(value, list | dict) and value]
    if not nested or carrier == "parquet":  # whose columns have one type
        return record
    key = draw(st.sampled_from(nested))
    return {**record, key: changed(record[key])}


def _missing(draw: Draw, record: Record, carrier: str) -> Record:
    key = draw(st.sampled_from(sorted(record)))
    return record if len(record) == 1 else without(record, key)  # a file of no columns has no rows


def _odd_text(odd: str) -> Callable[[Draw, Record, str], Record]:
    def change(draw: Draw, record: Record, carrier: str) -> Record:
        texts = [key for key, value in record.items() if isinstance(value, str)]
        if not texts or (odd == "\ud800" and carrier == "parquet"):
            return record
        key = draw(st.sampled_from(texts))
        return {**record, key: record[key] + odd}

    return change


BROKEN_RECORDS: Mapping[str, Callable[[Draw, Record, str], Record]] = {
    "an odd value": _odd_value,
    "an odd value inside": _odd_inside,
    "a missing column": _missing,
    "a NUL": _odd_text("\0"),
    "a surrogate": _odd_text("\ud800"),
    "an unknown tag": _odd_text("<![x <|ai|> [|AI|] http://[x &nbsp"),
}

# ---- what may be wrong with a file


def _replaced(old: bytes, new: bytes) -> Callable[[Draw, bytes], bytes]:
    return lambda draw, content: content.replace(old, new)


def _flipped(draw: Draw, content: bytes) -> bytes:
    place = draw(st.integers(0, len(content) - 1))
    return content[:place] + bytes([content[place] ^ draw(st.integers(1, 255))]) + content[place + 1 :]


def _inserted(draw: Draw, content: bytes) -> bytes:
    place = draw(st.integers(0, len(content)))
    more = draw(
        st.sampled_from([b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"{", b"]", b"<x>", b"&y;", b"\\ud800", b"1e999"])
    )
    return content[:place] + more + content[place:]


def _ragged(delimiter: bytes) -> Callable[[Draw, bytes], bytes]:
    """A cell more at the end of a table's last row."""
    return lambda draw, content: content[:-1] + delimiter + b'"x"\n' if content.endswith(b'"\n') else content


def _without_some(draw: Draw, content: bytes) -> bytes:
    first, last = sorted((draw(st.integers(0, len(content))), draw(st.integers(0, len(content)))))
    return content[:first] + content[last:]


BROKEN_FILES: Mapping[str, Callable[[Draw, bytes], bytes]] = {
    "CRLF": _replaced(b"\n", b"\r\n"),
    "lone carriage returns": _replaced(b"\n", b"\r"),
    "blank lines": _replaced(b"\n", b"\n\n"),
    "a ragged row": _ragged(b","),
    "a ragged row, tabs": _ragged(b"\t"),
    "a document type": _replaced(b"?>\n<", b'?>\n<!DOCTYPE Document [<!ENTITY y "z">]>\n<'),
    "Latin-1": lambda draw, content: content.decode("utf-8", "replace").encode("latin-1", "replace"),
    "UTF-16": lambda draw, content: content.decode("utf-8", "replace").encode("utf-16"),
    "nothing in it": lambda draw, content: b"",
    "more behind its end": lambda draw, content: content + draw(st.sampled_from([b"\0", b"x", b"[]", b"{}", b"<a/>"])),
    "a flipped byte": _flipped,
    "a few bytes more": _inserted,
    "a few bytes less": _without_some,
}


def _pack(name: str, content: bytes, packing: str) -> dict[str, bytes]:
    """The file, packed where it may be."""
    if name.endswith(".parquet"):
        return {name: content}
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, packing) as stream:
        stream.write(content)
    return {name + {"gzip": ".gz", "zstd": ".zst"}[packing]: sink.getvalue().to_pybytes()}


# ---- the properties


def examples(number: int) -> settings:
    return settings(max_examples=20 * number if THOROUGH else number, derandomize=not THOROUGH, database=None)


each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.adapter)


def test_every_adapter_has_a_form() -> None:
    assert {form.adapter for form in FORMS} == set(ADAPTERS)
    assert set(LEFT) <= set(ADAPTERS)


@each_form
@given(data=st.data())
@examples(8)
def test_every_record_of_a_whole_file_becomes_a_row(form: Form, data: st.DataObject) -> None:
    records = records_of(data.draw, form)
    plain = [outcome(form, files_of(form, carrier, records)) for carrier in form.carriers]
    assert all(isinstance(rows, list) and not any(isinstance(row, Drop) for row in rows) for rows in plain), plain
    assert [len(rows) for rows in plain] == [form.rows * len(records)] * len(plain)


@each_form
@given(data=st.data())
@examples(3)
def test_a_column_that_no_adapter_knows_is_found(form: Form, data: st.DataObject) -> None:
    """And no other: what the form has is read, or left on purpose."""
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from([each for each in form.carriers if each != "csv without header"] or [None]))
    if carrier is None or form.adapter == "documents":
        return
    assert new_columns(form, files_of(form, carrier, records)) == {}
    place = data.draw(st.integers(0, len(records) - 1))
    more = [{**record, "novel": "x"} if n == place else record for n, record in enumerate(records)]
    files = files_of(form, carrier, more)
    column = "Instances.novel" if carrier == "task" else "novel"
    assert new_columns(form, files) == {column: next(iter(files))}
    assert outcome(form, files) == outcome(form, files_of(form, carrier, records))


def new_columns(form: Form, files: Mapping[str, bytes]) -> Mapping[str, str]:
    with upstream(files) as found:
        found.read(form.adapter, **form.options)
        columns = {file.name: file.columns for file in found.files}
        assert not any(LEFT.get(form.adapter, frozenset()) & each.asked for each in columns.values())
        return unread(form.adapter, columns)


@each_form
@given(data=st.data())
@examples(6)
def test_what_leaves_a_file_whole_changes_nothing(form: Form, data: st.DataObject) -> None:
    """A byte order mark; in Parquet the other types of text."""
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from(form.carriers))
    files = files_of(form, carrier, records)
    plain = outcome(form, files)
    name = next(iter(files))
    if carrier != "parquet":
        assert outcome(form, {**files, name: b"\xef\xbb\xbf" + files[name]}) == plain
        return
    table = parquet_table(records)
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        fields = [field.with_type(kind) if field.type == pa.string() else field for field in table.schema]
        assert outcome(form, {**files, name: parquet_bytes(table.cast(pa.schema(fields)))}) == plain


@each_form
@given(data=st.data())
@examples(6)
def test_a_record_that_is_there_twice_is_counted(form: Form, data: st.DataObject) -> None:
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from(form.carriers))
    records.append(data.draw(st.sampled_from(records)))
    found = outcome(form, files_of(form, carrier, records))
    assert isinstance(found, list)
    assert len(found) == form.rows * len(records)
    assert all(row.reason == "duplicate-id" for row in found if isinstance(row, Drop))
    kept = [row.id for row in found if not isinstance(row, Drop)]
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize("kind", BROKEN_RECORDS)
@each_form
@given(data=st.data())
@examples(4)
def test_a_broken_record_is_counted_or_named(form: Form, kind: str, data: st.DataObject) -> None:
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from(form.carriers))
    place = data.draw(st.integers(0, len(records) - 1))
    broken = BROKEN_RECORDS[kind](data.draw, records[place], carrier)
    if carrier == "parquet":
        # The column is of the type that its values have.
        keys = [key for key in records[place] if broken.get(key, ...) is not records[place][key]]
        records = [{**record, **{key: broken[key] for key in keys if key in broken}} for record in records]
        records = [{key: record[key] for key in record if key in broken} for record in records]
        place = 0
    else:
        records[place] = broken
    found = outcome(form, files_of(form, carrier, records))
    if isinstance(found, list):
        assert len(found) == form.rows * len(records)
    elif "same name" not in found and "no question" not in found and carrier != "xml":
        where = re.search(r"\b(?:row|line) (\d+)\b", found)
        assert where, found
        if " row " in found:
            assert int(where[1]) == place + 1, found


@pytest.mark.parametrize("kind", BROKEN_FILES)
@each_form
@given(data=st.data())
@examples(4)
def test_a_broken_file_is_read_or_named(form: Form, kind: str, data: st.DataObject) -> None:
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from(form.carriers))
    files = files_of(form, carrier, records)
    name = data.draw(st.sampled_from(sorted(files)))
    found = outcome(form, {**files, name: BROKEN_FILES[kind](data.draw, files[name])})
    if isinstance(found, list) and kind in ("CRLF", "blank lines"):
        assert len(found) == form.rows * len(records)
    if (kind == "a ragged row" and carrier.startswith("csv")) or (kind == "a ragged row, tabs" and carrier == "tsv"):
        assert re.search(rf" row {len(records)}: has \d+ cells", str(found))
    if kind == "a document type" and carrier == "xml":
        assert "declares a document type" in found


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
@each_form
@given(data=st.data())
@examples(3)
def test_a_packed_file_is_the_file_inside(form: Form, packing: str, data: st.DataObject) -> None:
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from([carrier for carrier in form.carriers if carrier != "parquet"]))
    files = files_of(form, carrier, records)
    packed = {name: content for plain in files.items() for name, content in _pack(*plain, packing).items()}
    assert outcome(form, packed) == outcome(form, files)
    name = next(name for name in packed if name.endswith((".gz", ".zst")))
    cut = packed[name][: data.draw(st.integers(0, len(packed[name]) - 1))]
    assert "is damaged or cut short" in outcome(form, {**packed, name: cut})
    more = packed[name] + data.draw(st.sampled_from([b"x", b"\0", b"\x1f\x8b", b"\x28\xb5"])) * 20
    assert "is damaged or cut short" in outcome(form, {**packed, name: more})
    outcome(form, {**packed, name: _flipped(data.draw, packed[name])})


@each_form
@given(data=st.data())
@examples(10)
def test_a_file_that_is_cut_short_is_refused(form: Form, data: st.DataObject) -> None:
    """But for a table of text, of which nobody can tell: a part of its last row may be a row."""
    records = records_of(data.draw, form)
    carrier = data.draw(st.sampled_from(form.carriers))
    files = files_of(form, carrier, records)
    name, content = next(iter(files.items()))
    whole = content if carrier == "parquet" else content.rstrip()
    first = whole.rfind(b"\n") + 2 if carrier.startswith("lines") else 1  # a file that ends with a line is whole
    cut = whole[: data.draw(st.integers(first, len(whole) - 1))]
    found = outcome(form, {**files, name: cut})
    if carrier in TABLES:
        assert isinstance(found, str) or len(found) <= form.rows * len(records)
    else:
        assert isinstance(found, str)
