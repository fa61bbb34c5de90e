"""The readers below the adapters: round trips of arbitrary text, broken files, HTML."""

import csv
import gzip
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.curate.adapters.files import _CHUNK, RawFile
from primum.curate.adapters.markup import html_text
from primum.curate.adapters.records import records
from primum.errors import PrimumError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ROWS = st.lists(st.tuples(TEXT, TEXT), max_size=8)


def written(content: bytes, name: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return [dict(record.fields) for record in records(RawFile(path, name))]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, delimiter=st.sampled_from([",", "\t"]), bom=st.booleans())
def test_csv_round_trip(rows: list[tuple[str, str]], delimiter: str, bom: bool) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["", "b"])
    writer.writerows(rows)
    content = stream.getvalue().encode("utf-8-sig" if bom else "utf-8")
    expected = [{"": a, "b": b} for a, b in rows]
    assert written(content, "x.tsv" if delimiter == "\t" else "x.csv") == expected


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, escaped=st.booleans())
def test_json_round_trips(rows: list[tuple[str, str]], escaped: bool) -> None:
    expected = [{"a": a, "b": b} for a, b in rows]
    lines = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in expected).encode()
    assert written(lines, "x.jsonl") == expected
    for indent in (None, 1):
        assert written(json.dumps(expected, ensure_ascii=escaped, indent=indent).encode(), "x.json") == expected
    if expected:
        assert written(lines, "x.json") == expected  # several published .json files are JSON Lines
        keyed = {str(number): row for number, row in enumerate(expected)}
        assert written(json.dumps(keyed, ensure_ascii=escaped).encode(), "x.json") == expected


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3)), min_size=1, max_size=8))
def test_parquet_round_trip(rows: list[tuple[str, list[str]]]) -> None:
    expected = [{"a": a, "b": b} for a, b in rows]
    stream = io.BytesIO()
    schema = pa.schema([("a", pa.string()), ("b", pa.list_(pa.string()))])
    pq.write_table(pa.Table.from_pylist(expected, schema=schema), stream)
    assert written(stream.getvalue(), "x.parquet") == expected


def test_an_array_is_read_across_chunks() -> None:
    expected = [{"a": "x" * (_CHUNK // 3 + n), "b": n} for n in range(9)]
    assert written(json.dumps(expected).encode(), "x.json") == expected


def test_keys_of_an_object_of_records(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"11": {"a": 1}, "12": {"a": 2}}')
    found = list(records(RawFile(tmp_path / "x.json", "x.json")))
    assert [(record.key, record.row) for record in found] == [("11", 1), ("12", 2)]


def test_nan_is_null_and_blank_lines_are_passed_over() -> None:
    assert written(b'{"a": NaN}\n\n \n{"a": 1}\n', "x.jsonl") == [{"a": None}, {"a": 1}]
    assert written(b"a\n\n1\n\n", "x.csv") == [{"a": "1"}]
    assert written(b"", "x.csv") == written(b"", "x.jsonl") == written(b"[]", "x.json") == []


def test_a_cell_longer_than_the_csv_modules_default() -> None:
    assert written(b'a\n"' + b"x" * 200_000 + b'"\n', "x.csv") == [{"a": "x" * 200_000}]


SECRET = "SECRET"
BROKEN = {
    "not UTF-8": ("x.csv", b"a\nSECRET\xff\n", "line 2: is not UTF-8"),
    "not UTF-8 lines": ("x.jsonl", b'{}\n{}\n{"a": "SECRET\xff"}\n', "line 3: is not UTF-8"),
    "cut in a character": ("x.csv", b"a\nSECRET\n\xe2\x82", "line 3: is not UTF-8"),
    "unbalanced quote": ("x.csv", b'a,b\n1,"SECRET\n2,3\n4,5\n', r"line \d+: is not valid CSV"),
    "text after a quote": ("x.csv", b'a,b\n1,"SECRET" x\n', r"line 2: is not valid CSV"),
    "text after a quote, tabs": ("x.tsv", b'a\tb\n1\t"SECRET" x\n', r"line 2: is not valid CSV \(a quote"),
    "a lone carriage return": ("x.csv", b"a,b\n1,SECRET\rx\n", "row 2: has 1 cells, the header 2"),
    "short row": ("x.csv", b"a,b\nSECRET\n", "row 1: has 1 cells, the header 2"),
    "long row": ("x.tsv", b"a\tb\n1\t2\nSECRET\t2\t3\n", "row 2: has 3 cells, the header 2"),
    "repeated header": ("x.csv", b"a,a\nSECRET,2\n", "same name"),
    "broken line": ("x.jsonl", b'{"a": 1}\n\n{"a": SECRET}\n', "line 3: is not valid JSON"),
    "half a line": ("x.jsonl", b'{"a": 1}\n{"a": "SECR', "line 2: is not valid JSON"),
    "not an object": ("x.jsonl", b'"SECRET"\n', "row 1: is a str where an object is expected"),
    "deep": ("x.jsonl", b'{"a": ' + b"[" * 200_000 + b"\n", "nested too deeply"),
    "deep object": ("x.json", b'{\n"a":\n' + b"[" * 200_000, "x.json: is not valid JSON"),
    "deep array": ("x.json", b"[" * 200_000, "nested too deeply"),
    "long number": ("x.jsonl", b'{"a": ' + b"1" * 5000 + b"}\n", "a number is too long"),
    "cut array": ("x.json", b'[{"a": 1}, {"a": "SECRET"}', "row 2: is not followed by"),
    "array cut in a value": ("x.json", b'[{"a": 1}, {"a": "SECRET', "row 2: is not valid JSON"),
    "array without commas": ("x.json", b'[{"a": 1} {"a": "SECRET"}]', "row 1: is not followed by"),
    "array with a comma too many": ("x.json", b'[{"a": "SECRET"},]', "row 2: is not valid JSON"),
    "text after the array": ("x.json", b'[{"a": 1}] SECRET', "goes on after the end of its array"),
    "array of texts": ("x.json", b'["SECRET"]', "row 1: is a str"),
    "cut object": ("x.json", b'{\n"a": {"b": "SECRET"', "line 2: is not valid JSON"),
    "not Parquet": ("x.parquet", b"SECRET", "cannot be read as Parquet"),
    "suffix": ("x.txt", b"SECRET", "suffix"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_line_without_their_text(case: str) -> None:
    name, content, problem = BROKEN[case]
    with pytest.raises(PrimumError, match=problem) as caught:
        written(content, name)
    message = str(caught.value)
    assert message.startswith(name)
    assert message.isprintable()
    assert SECRET not in message


def test_the_line_that_is_not_utf_8_is_found_beyond_the_first_chunk() -> None:
    euros = "\u20ac".encode() * (_CHUNK // 3)  # a character lies across the end of the chunk
    with pytest.raises(PrimumError, match=r"^x.csv line 3: "):
        written(b"a\n" + euros + b"\n1,\xff\n", "x.csv")


IN_PARQUET = {
    "the year 10,000": (
        pa.table({"b": [1, 2], "a": pa.array([0, 2_932_897], pa.date32())}),
        "row 2: the value in column 2",
    ),
    "no such zone": (pa.table({"a": pa.array([1], pa.timestamp("s", "Mars/Deimos"))}), "row 1: the value in column 1"),
    "a column twice": (pa.table([[1], [2]], ["a", "a"]), "two of its columns have the same name"),
    "a field twice": (
        pa.table({"a": pa.StructArray.from_arrays([[1], [2]], ["b", "b"])}),
        "row 1: the value in column 1",
    ),
    "not UTF-8": (
        pa.table(
            {"a": pa.Array.from_buffers(pa.string(), 1, [None, *map(pa.py_buffer, (b"\0\0\0\0\1\0\0\0", b"\xff"))])}
        ),
        "row 1: text in column 1 is not UTF-8",
    ),
}


@pytest.mark.parametrize("case", IN_PARQUET)
def test_what_python_cannot_hold_of_parquet_is_one_line(case: str) -> None:
    table, problem = IN_PARQUET[case]
    stream = io.BytesIO()
    pq.write_table(table, stream)
    with pytest.raises(PrimumError, match=f"^x.parquet:? {problem}"):
        written(stream.getvalue(), "x.parquet")


def test_a_column_of_parquet_whose_name_is_not_utf_8_is_one_line() -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table({"column": [1]}), stream, store_schema=False)
    with pytest.raises(PrimumError, match=r"^x.parquet: the name of a column is not UTF-8"):
        written(stream.getvalue().replace(b"column", b"c\xfflumn"), "x.parquet")


def test_an_id_that_an_object_has_twice_is_two_records(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"11": {"a": 1}, "12": {"a": 2}, "11": {"a": 3}}')
    found = list(records(RawFile(tmp_path / "x.json", "x.json")))
    assert [(record.key, record.fields) for record in found] == [("11", {"a": 1}), ("12", {"a": 2}), ("11", {"a": 3})]


def test_a_flipped_bit_in_a_checksummed_page_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"a": ["SECRET"] * 100})
    pq.write_table(
        table, path, write_page_checksum=True, compression="none", use_dictionary=False, write_statistics=False
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"SECRET") + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PrimumError, match=r"^x.parquet: cannot be read as Parquet"):
        list(records(RawFile(path, "x.parquet")))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_packed_files_have_the_name_of_what_is_inside(suffix: str) -> None:
    file = RawFile(Path("a/b.x.CSV" + suffix), "a/b.x.CSV" + suffix)
    assert (file.stem, file.suffix, file.packed) == ("b.x", ".csv", True)


def test_files_packed_by_the_usual_tools(tmp_path: Path) -> None:
    """Several members, as bgzip, pigz and pzstd write them, and frames that hold nothing."""
    lines = [b'{"a": 1}\n', b'{"a": 2}\n']
    assert written(b"".join(map(gzip.compress, [*lines, b""])), "x.jsonl.gz") == [{"a": 1}, {"a": 2}]
    tool = shutil.which("zstd")
    if tool is not None:
        packed = [
            subprocess.run([tool, "-19", "--long=27"], input=line, capture_output=True, check=True).stdout
            for line in lines
        ]
        assert written(b"".join(packed), "x.jsonl.zst") == [{"a": 1}, {"a": 2}]


def test_the_line_that_is_not_utf_8_is_found_in_a_packed_file() -> None:
    with pytest.raises(PrimumError, match=r"^x.csv.gz line 3: is not UTF-8"):
        written(gzip.compress(b"a\nb\n\xff\n"), "x.csv.gz")


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json.zst", "x.csv.gz"])
def test_what_unpacks_to_far_more_than_text_does_is_refused(name: str) -> None:
    """In bounded memory: 300 MB are in these files, and no more than 64 MiB of them are read."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "gzip" if name.endswith("gz") else "zstd") as stream:
        stream.write(b'[{"a": "')
        for _ in range(300):
            stream.write(b" " * 1_000_000)
    with pytest.raises(PrimumError, match=rf"^{name}: unpacks to more than 200 times its size: unpack it by hand"):
        written(sink.getvalue().to_pybytes(), name)


def test_what_unpacks_to_much_more_is_read_where_it_is_small() -> None:
    blanks = b'{"a": 1}' + b" " * 10_000_000
    assert written(gzip.compress(blanks), "x.jsonl.gz") == [{"a": 1}]


def test_packed_parquet_is_refused() -> None:
    with pytest.raises(PrimumError, match=r"^x.parquet.gz: Parquet cannot be read while it is packed: unpack it$"):
        written(gzip.compress(b"PAR1"), "x.parquet.gz")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for name in ("x.csv", "x.json", "x.jsonl", "x.parquet", "x.csv.gz", "x.jsonl.zst"):
        with pytest.raises(PrimumError, match=rf"^{name}: cannot be read"):
            list(records(RawFile(tmp_path / name, name)))


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("plain &amp; simple", "plain & simple"),
        ("<p>One\n  two</p>\n\n<p>Three</p>\n", "One two\n\nThree"),
        ("<ul>\n<li>a</li>\n<li><b>b</b></li>\n</ul>", "- a\n- b"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<pre><code>if x:\n    y &lt; 1\n</code></pre><p>z</p>", "if x:\n    y < 1\n\nz"),
        ('<p>see <a href="https://x">this</a><img src="y"></p>', "see this"),
        ("<script>alert(1)</script><style>p{}</style>a<!-- b -->", "a"),
        ("<p>unclosed <b>bold", "unclosed bold"),
        ("&nbsp;a&#39;s 3 < 4", "a's 3 < 4"),
        ("<p>a</p> <pre>  b\n\n  c</pre> d", "a\n\n  b\n\n  c\n\nd"),
        ("<table><tr><td>a</td> <td>b</td></tr> <tr><td>c</td></tr></table>", "a b\nc"),
        ("", ""),
        ("a <![x b]> c", "a c"),
        ("a <![ b", "a <![ b"),
        ("a <![CDATA[b > c]]> d", "a d"),
    ],
)
def test_html_text(html: str, text: str) -> None:
    assert html_text(html) == text


@settings(max_examples=300, deadline=None)
@given(TEXT)
def test_html_text_never_fails(html: str) -> None:
    assert html_text(html) == html_text(html).strip()
