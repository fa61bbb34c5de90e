"""Upstream files as values: CSV and TSV rows, JSON and JSON Lines, streamed where the format allows, packed or not.

Files that are broken (not UTF-8, unbalanced quotes, truncated JSON) end in a one-line error that names the file and the
row. No message ever quotes what a file says: it may hold harmful requests or clinical text.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TextIO

from primum.curate.adapters.columns import Columns
from primum.curate.adapters.places import Place, element_lines, first_line, member_lines
from primum.curate.adapters.unpack import PACKED, open_bytes, without_packing
from primum.errors import PrimumError

_CHUNK = 1 << 20
_BLANK = re.compile(r"[ \t\n\r]*")

csv.field_size_limit(1 << 30)


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file on this machine; ``name`` is its path as the catalog lists it, used in messages and for labels.

    ``columns`` is told, while the file is read, which columns it has and which are asked for, and ``place`` which record comes
    next. Where the file is packed, ``stem`` and ``suffix`` are those of the file inside: ``x`` and ``.csv`` of ``x.csv.gz``.
    """

    path: Path
    name: str
    columns: Columns = field(default_factory=Columns, compare=False, repr=False)
    place: Place = field(default_factory=Place, compare=False, repr=False)

    def at(self, line: int, record: int) -> None:
        """Say where in the file the record is that is about to be given (:class:`Place`)."""
        self.place.at(self.name, line, record)

    @property
    def stem(self) -> str:
        """The file's name without its folder and suffix."""
        return self._inner.stem

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot."""
        return self._inner.suffix.lower()

    @property
    def packed(self) -> bool:
        """Whether it is to be unpacked."""
        return Path(self.name).suffix.lower() in PACKED

    @property
    def _inner(self) -> PurePosixPath:
        return without_packing(PurePosixPath(self.name))


@contextmanager
def opened(file: RawFile) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked. PrimumError where it cannot be read, or unpacked."""
    try:
        with open_bytes(file.path, file.name) as stream:
            yield stream
    except OSError as error:
        raise PrimumError(f"{file.name}: cannot be read ({error.strerror}): fetch it again") from error


@contextmanager
def _text(file: RawFile) -> Iterator[TextIO]:
    try:
        with opened(file) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError:
        raise PrimumError(
            f"{file.name} line {_undecodable(file)}: is not UTF-8: fetch it again, or convert it to UTF-8"
        ) from None


def _undecodable(file: RawFile) -> int:
    """The line, from 1, of the first byte that is not UTF-8: text is decoded ahead of the line that is being read."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with opened(file) as stream:
        while chunk := stream.read(_CHUNK):
            try:
                line += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].count(b"\n")
    return line  # the last character is cut short


def csv_rows(file: RawFile) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with its number, counted from 1, a header included; blank lines are passed over.

    Raises:
        PrimumError: unbalanced quotes (which would swallow the rows that follow), or text that is not UTF-8.
    """
    delimiter = "\t" if file.suffix == ".tsv" else ","
    with _text(file) as stream:
        ended = 0

        def lines() -> Iterator[str]:
            nonlocal ended
            for line in stream:  # a carriage return alone ends one, too, but not where people count lines
                ended += line.endswith("\n")
                yield line

        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        row = 0
        while True:
            first = ended + 1
            try:
                cells = next(reader, None)
            except csv.Error:  # whose own words have the delimiter in them, be it a tab
                problem = "is not valid CSV (a quote or a line end is out of place)"
                raise PrimumError(f"{file.name} line {reader.line_num}: {problem}: fetch it again") from None
            if cells is None:
                return
            if cells:
                row += 1
                file.at(first, row)
                yield row, cells


def _constant(_: str) -> None:
    """NaN and infinities, which JSON does not have and pandas writes for missing values, are null."""


class _Repeating(dict[str, Any]):
    """An object with a key twice. A dict keeps the last of its values: where they are records, one would be lost."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Repeating(pairs)


_DECODER = json.JSONDecoder(parse_constant=_constant)
_WHOLE = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_object)


def load_json(file: RawFile) -> Any:
    """The whole file as one JSON value; NaN is null.

    Raises:
        PrimumError: the file is not UTF-8 or not JSON; the message gives the line.
    """
    return _decode(_whole(file), file.name)


def load_json_list(file: RawFile, column: str) -> tuple[Any, list[int]]:
    """As :func:`load_json`, and the lines at which the elements of the list ``column`` of the object begin.

    Where it is no list, the line of its value alone.
    """
    text = _whole(file)
    value = _decode(text, file.name)
    return value, element_lines(text, column) if isinstance(value, dict) else []


def _whole(file: RawFile) -> str:
    with _text(file) as stream:
        return stream.read()


def _decode(text: str, name: str, line: int | None = None) -> Any:
    """The value of ``text``, which is one ``line`` of the file ``name``, or all of it."""
    try:
        return (_WHOLE if line is None else _DECODER).decode(text)
    except (ValueError, RecursionError) as error:
        if line is None and isinstance(error, json.JSONDecodeError):
            line = error.lineno
        at = "" if line is None else f" line {line}"
        raise PrimumError(f"{name}{at}: is not valid JSON ({_reason(error)}): repair it") from None


def _reason(error: Exception) -> str:
    """What is wrong, without quoting it; a number of over 4,300 digits raises a plain :class:`ValueError`."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"


def json_lines(file: RawFile) -> Iterator[Any]:
    """The values of a JSON Lines file; blank lines are passed over."""
    row = ended = 0
    with _text(file) as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip(" \t\r\n"):
                value = _decode(text, file.name, line)
                row += 1
                file.at(ended + 1, row)
                yield value
            ended += text.endswith("\n")


def json_values(file: RawFile) -> Iterator[tuple[str, Any]]:
    """The records of a ``.json`` file, with their keys where an object maps ids to records, else "".

    Several published ``.json`` files are JSON Lines, so the content decides: an array, an object whose values are all
    objects, one object a line, or a single object.
    """
    with _text(file) as stream:
        start = stream.read(_CHUNK)
        if start.lstrip()[:1] == "[":
            for value in _array(stream, start, file):
                yield "", value
            return
    if _is_json_lines(file):
        for value in json_lines(file):
            yield "", value
        return
    text = _whole(file)
    whole = _decode(text, file.name)
    pairs = whole.pairs if isinstance(whole, _Repeating) else list(whole.items()) if isinstance(whole, dict) else []
    if pairs and all(isinstance(value, dict) for _, value in pairs):
        for row, (pair, line) in enumerate(zip(pairs, member_lines(text), strict=True), start=1):
            file.at(line, row)
            yield pair
    else:
        file.at(first_line(text), 1)
        yield "", whole


def _is_json_lines(file: RawFile) -> bool:
    """Whether the first line is a whole value and something follows it."""
    with _text(file) as stream:
        first = next((line for line in stream if line.strip(" \t\r\n")), "")
        try:
            _DECODER.decode(first)
        except (ValueError, RecursionError):
            return False
        return any(line.strip(" \t\r\n") for line in stream)


def _array(stream: TextIO, start: str, file: RawFile) -> Iterator[Any]:
    """The values of a JSON array whose text begins with ``start``, one at a time: arrays of over a gigabyte exist."""
    text, at, row = start, start.index("[") + 1, 0
    line, counted = 1, 0  # the line of text[counted]
    name = file.name

    def count() -> None:
        nonlocal line, counted
        line += text.count("\n", counted, at)
        counted = at

    def more() -> bool:
        nonlocal text, at, counted
        count()
        chunk = stream.read(max(_CHUNK, len(text) - at))  # doubling keeps the work linear in the size of one value
        text, at, counted = text[at:] + chunk, 0, 0
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
        count()
        at, row = end, row + 1
        file.at(line, row)
        yield value
