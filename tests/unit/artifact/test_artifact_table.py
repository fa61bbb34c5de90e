"""Tables: schema, id order, content hashes, and every single damaged bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.artifact.canonical import canonical_json, digest
from primum.artifact.table import content_hash, cut, file_hash, read_table, row_count, slices, write_table
from primum.errors import PrimumError

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("score", pa.int32()),
        pa.field("share", pa.float64()),
        pa.field("right", pa.bool_()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("turns", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    ]
)


def _table(rows: int = 50) -> pa.Table:
    made = [
        {
            "id": f"row-{index:04}",
            "text": None if index % 7 == 0 else f"text of {index} \u00e9\u4e16",
            "score": None if index % 5 == 0 else index,
            "share": index / 3,
            "right": index % 2 == 0,
            "tags": [f"tag-{tag}" for tag in range(index % 4)],
            "turns": [{"role": "user", "content": f"turn {turn}"} for turn in range(index % 3)],
        }
        for index in range(rows)
    ]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def test_a_table_reads_back_with_its_schema_and_what_traces_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(_table(), path, {"spec": "{}", "key": "k"})
    assert read_table(path).equals(_table())
    assert read_table(path).schema == SCHEMA
    assert pq.read_schema(path).metadata == {b"primum.spec": b"{}", b"primum.key": b"k"}
    assert read_table(path, ["id", "score"]).column_names == ["id", "score"]


def test_an_empty_table_keeps_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(SCHEMA.empty_table(), path, {})
    assert read_table(path).schema == SCHEMA
    assert content_hash(read_table(path)) != content_hash(SCHEMA.remove(1).empty_table())


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(_table(), tmp_path / f"{name}.parquet", {"spec": "{}"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "a"], "ids must be unique and ascending, but 'a' follows 'a'"),
        (["b", "a"], "ids must be unique and ascending, but 'a' follows 'b'"),
        (["a", None], "ids must be unique and ascending"),
        ([1, 2], "a table artifact needs a string column 'id'"),
    ],
)
def test_ids_are_unique_and_ascending(tmp_path: Path, ids: list[Any], said: str) -> None:
    with pytest.raises(PrimumError, match=said):
        write_table(pa.table({"id": ids}), tmp_path / "a.parquet", {})
    assert not (tmp_path / "a.parquet").exists()


def test_a_required_column_holds_no_nulls(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False)])
    with pytest.raises(PrimumError, match="column 'text' is required but holds nulls"):
        write_table(pa.table({"id": ["a"], "text": [None]}, schema=schema), tmp_path / "a.parquet", {})


def test_a_missing_and_a_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="no such artifact: run the stage that makes it"):
        read_table(tmp_path / "a.parquet")
    write_table(_table(), tmp_path / "a.parquet", {})
    content = (tmp_path / "a.parquet").read_bytes()
    for length in (0, 3, 4, len(content) // 2, len(content) - 1):
        (tmp_path / "a.parquet").write_bytes(content[:length])
        with pytest.raises(PrimumError, match="damaged"):
            read_table(tmp_path / "a.parquet")


def test_a_flipped_bit_anywhere_is_refused_or_changes_no_row(tmp_path: Path) -> None:
    """Pages are covered by checksums; what of the footer is not, the hash over the rows and their schema covers."""
    table = _table()
    path = tmp_path / "a.parquet"
    write_table(table, path, {"spec": "{}"})
    content = path.read_bytes()
    expected = content_hash(table)
    unnoticed = 0
    for position in random.Random(7).sample(range(len(content) * 8), 600):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            read = read_table(path)
        except PrimumError:
            continue
        if content_hash(read) == expected:
            assert read.equals(table)
            unnoticed += 1
    assert unnoticed < 300, "most flips should have been refused"


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            "score": st.none() | st.integers(-5, 5),
            "share": st.none() | st.floats(allow_nan=False),
            "right": st.none() | st.booleans(),
            "tags": st.none() | st.lists(st.none() | st.text("ab", max_size=3), max_size=3),
            "turns": st.none()
            | st.lists(
                st.fixed_dictionaries({"role": st.sampled_from("ua"), "content": st.text("ab", max_size=2)}), max_size=2
            ),
        }
    ),
    max_size=6,
)  # fmt: skip


def _of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"id": str(index), **row} for index, row in enumerate(rows)], schema=SCHEMA)


@given(ROWS, st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_the_hash_does_not_depend_on_the_layout(rows: list[dict[str, Any]], cut: int) -> None:
    table = _of(rows)
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    surrounded = _of([*rows, *rows]).slice(0, len(rows))
    assert content_hash(table) == content_hash(chunked) == content_hash(surrounded)
    inner = _of([{**dict.fromkeys(SCHEMA.names[1:]), "text": "before"}, *rows]).slice(1)
    renamed = inner.set_column(0, SCHEMA.field(0), table.column(0)) if rows else table
    assert content_hash(renamed) == content_hash(table)


@given(ROWS, ROWS)
@settings(max_examples=200, deadline=None)
def test_other_rows_have_another_hash(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    same = [repr(sorted(row.items())) for row in one] == [repr(sorted(row.items())) for row in other]  # -0.0 is not 0.0
    assert (content_hash(_of(one)) == content_hash(_of(other))) == same


def test_values_that_run_together_are_told_apart() -> None:
    pairs = [
        ([{"text": "ab"}, {"text": ""}], [{"text": "a"}, {"text": "b"}]),
        ([{"text": ""}], [{"text": None}]),
        ([{"tags": ["ab"]}], [{"tags": ["a", "b"]}]),
        ([{"tags": []}], [{"tags": None}]),
        ([{"tags": ["a"]}, {"tags": []}], [{"tags": []}, {"tags": ["a"]}]),
        ([{"score": 0}], [{"score": None}]),
        ([{"right": False}], [{"right": None}]),
        ([{"share": 0.0}], [{"share": None}]),
    ]
    for one, other in pairs:
        assert content_hash(_of(one)) != content_hash(_of(other))


def test_names_types_and_nullability_are_part_of_the_hash() -> None:
    table = pa.table({"id": ["a"], "n": pa.array([1], pa.int32())})
    assert content_hash(table) != content_hash(table.rename_columns(["id", "m"]))
    assert content_hash(table) != content_hash(table.set_column(1, "n", pa.array([1], pa.int64())))
    required = pa.schema([pa.field("id", pa.string()), pa.field("n", pa.int32(), nullable=False)])
    assert content_hash(table) != content_hash(table.cast(required))
    with pytest.raises(TypeError, match="no canonical form"):
        content_hash(pa.table({"id": pa.array(["a"], pa.large_string())}))


def test_a_hash_is_the_same_tomorrow() -> None:
    """Written down, since stores outlive versions of this package."""
    table = pa.table({"id": ["a", "b"], "n": pa.array([1, None], pa.int32())})
    assert content_hash(table) == content_hash(pa.table({"id": ["a", "b"], "n": pa.array([1, None], pa.int32())}))
    assert digest({"b": 1, "a": [1.5, "\u00e9"]}) == digest({"a": [1.5, "\u00e9"], "b": 1})
    assert canonical_json({"b": 1, "a": [1.5, "\u00e9", None, True]}) == '{"a":[1.5,"\\u00e9",null,true],"b":1}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_canonical_json_refuses_what_has_no_one_spelling() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json(value)
    with pytest.raises(TypeError):
        canonical_json({"a": {1, 2}})
    assert canonical_json(5e-6) == canonical_json(float("5e-6")) == canonical_json(0.000005)


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 25])
def test_a_file_read_in_slices_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("primum.artifact.table.SLICE_ROWS", 10)
    monkeypatch.setattr("primum.artifact.table._ROW_GROUP", 7)
    table = pa.table(
        {
            "id": pa.array([f"{i:03d}" for i in range(rows)], pa.string()),
            "n": pa.array([[i] for i in range(rows)], pa.list_(pa.int32())),
        }
    )
    write_table(table, tmp_path / "a.parquet", {"key": "k"})
    parts = list(slices(tmp_path / "a.parquet"))
    assert [part.num_rows for part in parts] == ([10] * (rows // 10) + [rows % 10] * (rows % 10 > 0) or [0])
    assert pa.concat_tables(parts) == table
    assert file_hash(tmp_path / "a.parquet") == content_hash(table) == content_hash(read_table(tmp_path / "a.parquet"))
    assert row_count(tmp_path / "a.parquet") == rows


@given(st.lists(st.lists(st.none() | st.integers(0, 9), max_size=6), max_size=4))
def test_slices_end_before_they_hold_too_much(parts: list[list[int | None]]) -> None:
    """Against a plain loop over the rows: whatever the parts, at most 4 rows and 10 values, but one row at least."""
    kind = pa.schema(
        [pa.field("id", pa.string()), pa.field("n", pa.list_(pa.int32())), pa.field("m", pa.list_(pa.bool_()))]
    )
    tables, number = [kind.empty_table()], 0
    for part in parts:
        ids = [f"{number + i:03d}" for i in range(len(part))]
        number += len(part)
        lists = [[None if count is None else [at] * count for count in part] for at in (7, True)]
        tables.append(pa.Table.from_arrays([pa.array(ids), *map(pa.array, lists, kind.types[1:])], schema=kind))
    expected: list[list[int]] = []
    for count in (2 * (count or 0) for part in parts for count in part):
        if not expected or len(expected[-1]) == 4 or sum(expected[-1]) + count > 10:
            expected.append([])
        expected[-1].append(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("primum.artifact.table.SLICE_ROWS", 4)
        patch.setattr("primum.artifact.table.SLICE_VALUES", 10)
        found = list(cut(tables))
        assert [part.num_rows for part in found] == [len(each) for each in expected] or (
            not expected and len(found) == 1
        )
        assert pa.concat_tables(found) == pa.concat_tables(tables)
        assert content_hash(pa.concat_tables(tables)) == content_hash(pa.concat_tables(tables).combine_chunks())


def test_content_hashes_stay_what_they_are() -> None:
    """Of a table with over 65,536 rows, written down when slices were cut by rows alone: every stored artifact hangs on it."""
    rows = range(70_000)
    lists = [[i, 2 * i] if i % 3 else None for i in rows]
    table = pa.table(
        {"id": [f"{i:06d}" for i in rows], "n": lists, "b": [bool(i % 2) if i % 5 else None for i in rows]}
    )
    assert content_hash(table) == "858e732c41a6f11225461b18485cc6128cf0b9da7393b8b078821198f3d5080b"


def test_a_table_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.artifact.table.SLICE_VALUES", 20)
    ids = [f"{i:03d}" for i in range(50)]
    table = pa.table({"id": ids, "n": pa.array([[i] * (i % 7) for i in range(50)], pa.list_(pa.int32()))})
    write_table((table.slice(first, 3) for first in range(0, 50, 3)), tmp_path / "a.parquet", {"key": "k"})
    write_table(table, tmp_path / "b.parquet", {"key": "k"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_table(tmp_path / "a.parquet") == table
    assert max(sum(map(len, part.column("n").to_pylist())) for part in slices(tmp_path / "a.parquet")) <= 20
    assert file_hash(tmp_path / "a.parquet") == content_hash(table)


def test_ids_ascend_from_part_to_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.artifact.table.SLICE_ROWS", 2)
    with pytest.raises(PrimumError, match="'b' follows 'b'"):
        write_table(iter([pa.table({"id": ["a", "b"]}), pa.table({"id": ["b", "c"]})]), tmp_path / "a.parquet", {})


def test_of_a_file_read_in_slices_the_memory_holds_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("primum.artifact.table.SLICE_ROWS", 1000)
    monkeypatch.setattr("primum.artifact.table._ROW_GROUP", 1000)
    # Random text, which nothing can compress by more than a half.
    rows = [{"id": f"{i:06d}", "text": random.Random(i).randbytes(500).hex()} for i in range(20_000)]
    write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", {})
    del rows
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in slices(tmp_path / "a.parquet")]
    assert len(held) == 20
    # What was read before is let go: the last slice finds no more in the memory than the third.
    assert held[-1] < 1.5 * held[2]
    assert held[-1] < (tmp_path / "a.parquet").stat().st_size / 2


def test_a_file_that_is_read_in_slices_is_checked_as_another(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="no such artifact"):
        file_hash(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    for read in (file_hash, row_count):
        with pytest.raises(PrimumError, match="damaged"):
            read(tmp_path / "a.parquet")
