"""Upstream files as values: CSV and TSV rows, JSON, JSON Lines and Parquet, streamed where the format allows.

Files that are broken (not UTF-8, unbalanced quotes, truncated JSON) end in a one-line error that names the file and the
row. No message ever quotes what a file says: it may hold harmful requests or clinical text.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from primum.errors import PrimumError

_CHUNK = 1 << 20
_BLANK = re.compile(r"[ \t\n\r]*")

csv.field_size_limit(1 << 30)


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file on this machine; ``name`` is its path as the catalog lists it, used in messages and for labels."""

    path: Path
    name: str

    @property
    def stem(self) -> str:
        """The file's name without its folder and last suffix."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The last suffix in lower case, with its dot."""
        return Path(self.name).suffix.lower()


@contextmanager
def _opened(file: RawFile) -> Iterator[TextIO]:
    try:
        with file.path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except OSError as error:
        raise PrimumError(f"{file.name}: cannot be read ({error.strerror}): fetch it again") from error
    except UnicodeDecodeError:
        raise PrimumError(f"{file.name}: is not UTF-8: fetch it again, or convert it to UTF-8") from None


def csv_rows(file: RawFile) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with its number, counted from 1, a header included; blank lines are passed over.

    Raises:
        PrimumError: unbalanced quotes (which would swallow the rows that follow), or text that is not UTF-8.
    """
    delimiter = "\t" if file.suffix == ".tsv" else ","
    with _opened(file) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        row = 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise PrimumError(
                    f"{file.name} line {reader.line_num}: is not valid CSV ({error}): fetch it again"
                ) from None
            if cells is None:
                return
            if cells:
                row += 1
                yield row, cells


def _constant(_: str) -> None:
    """NaN and infinities, which JSON does not have and pandas writes for missing values, are null."""


_DECODER = json.JSONDecoder(parse_constant=_constant)


def load_json(file: RawFile) -> Any:
    """The whole file as one JSON value; NaN is null.

    Raises:
        PrimumError: the file is not UTF-8 or not JSON; the message gives the line.
    """
    with _opened(file) as stream:
        return _decode(stream.read(), file.name, 1)


def _decode(text: str, name: str, line: int) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        at = line + error.lineno - 1 if isinstance(error, json.JSONDecodeError) else line
        raise PrimumError(f"{name} line {at}: is not valid JSON ({_reason(error)}): repair it") from None


def _reason(error: Exception) -> str:
    """What is wrong, without quoting it; a number of over 4,300 digits raises a plain :class:`ValueError`."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"


def json_lines(file: RawFile) -> Iterator[Any]:
    """The values of a JSON Lines file; blank lines are passed over."""
    with _opened(file) as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip(" \t\r\n"):
                yield _decode(text, file.name, line)


def json_values(file: RawFile) -> Iterator[tuple[str, Any]]:
    """The records of a ``.json`` file, with their keys where an object maps ids to records, else "".

    Several published ``.json`` files are JSON Lines, so the content decides: an array, an object whose values are all
    objects, one object a line, or a single object.
    """
    with _opened(file) as stream:
        start = stream.read(_CHUNK)
        if start.lstrip()[:1] == "[":
            for value in _array(stream, start, file.name):
                yield "", value
            return
    if _is_json_lines(file):
        for value in json_lines(file):
            yield "", value
        return
    whole = load_json(file)
    if isinstance(whole, dict) and whole and all(isinstance(value, dict) for value in whole.values()):
        yield from whole.items()
    else:
        yield "", whole


def _is_json_lines(file: RawFile) -> bool:
    """Whether the first line is a whole value and something follows it."""
    with _opened(file) as stream:
        first = next((line for line in stream if line.strip(" \t\r\n")), "")
        try:
            _DECODER.decode(first)
        except (ValueError, RecursionError):
            return False
        return any(line.strip(" \t\r\n") for line in stream)


def _array(stream: TextIO, start: str, name: str) -> Iterator[Any]:
    """The values of a JSON array whose text begins with ``start``, one at a time: arrays of over a gigabyte exist."""
    text, at, row = start, start.index("[") + 1, 0

    def more() -> bool:
        nonlocal text, at
        chunk = stream.read(max(_CHUNK, len(text) - at))  # doubling keeps the work linear in the size of one value
        text, at = text[at:] + chunk, 0
        return bool(chunk)

    def peek() -> str:
        nonlocal at
        while True:
            blank = _BLANK.match(text, at)
            at = blank.end() if blank else at
            if at < len(text) or not more():
                return text[at : at + 1]

    while True:
        mark = peek()
        if mark == "]":
            at += 1
            if peek():
                raise PrimumError(f"{name}: goes on after the end of its array: repair it")
            return
        if row and mark != ",":
            raise PrimumError(f"{name} row {row}: is not followed by ',' or ']': the file is cut short or broken")
        if row:
            at += 1
            peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(text, at)
                break
            except (ValueError, RecursionError) as error:
                # A value that ends with the text read so far may only be incomplete.
                if not isinstance(error, json.JSONDecodeError) or not more():
                    problem = f"is not valid JSON ({_reason(error)}): repair it"
                    raise PrimumError(f"{name} row {row + 1}: {problem}") from None
        at, row = end, row + 1
        yield value


def parquet_rows(file: RawFile) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file as Python values; page checksums, where the writer left any, are verified."""
    row = 0
    try:
        with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
            for batch in parquet.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    row += 1
                    yield fields
    except (pa.ArrowException, OSError) as error:
        problem = f"cannot be read as Parquet after row {row} ({type(error).__name__})"
        raise PrimumError(f"{file.name}: {problem}: fetch it again") from None
    except UnicodeDecodeError:
        raise PrimumError(f"{file.name}: text after row {row} is not UTF-8: fetch it again") from None
