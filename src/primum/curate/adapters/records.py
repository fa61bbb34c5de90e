"""Upstream files as records: objects with named columns, whatever format they came in.

Messages name file, row and column, and never quote what a record says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.curate.adapters.columns import Fields
from primum.curate.adapters.files import RawFile, csv_rows, json_lines, json_values
from primum.curate.adapters.parquet import parquet_rows
from primum.errors import PrimumError

_MAX_ID = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One upstream record.

    ``row`` counts from 1 in its file; ``key`` is the record's id where a JSON object maps ids to records, else "". The names of
    ``unnamed`` fields are those of a first line that may be no header, but text.
    """

    file: str
    row: int
    fields: Fields
    key: str = ""
    unnamed: bool = False

    def value(self, column: str) -> Any:
        """The column's value; a :class:`PrimumError` if the record has no such column."""
        try:
            return self.fields[column]
        except KeyError:
            known = not self.unnamed or self.fields.are_known()
            found = f"found {', '.join(self.fields.names()) or 'none'}" if known else "is its first line a header?"
            raise PrimumError(
                f"{self.file} row {self.row}: no column {column!r}; {found}: check the dataset's adapter"
            ) from None

    def text(self, column: str) -> str:
        """The column as text without outer blanks; null and NaN are "", a number its digits, anything else an error."""
        return self.as_text(self.value(column), column)

    def as_text(self, value: object, column: str) -> str:
        """``value``, found in or under ``column``, as :meth:`text` gives it."""
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas writes NaN for what is missing
            return ""
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        raise self.error(column, f"is a {type(value).__name__} where text is expected")

    def id(self, column: str) -> str:
        """The column as an id: text that is printable, not empty and of at most 200 characters, else an error."""
        text = self.text(column)
        if not text or not text.isprintable() or len(text) > _MAX_ID:
            raise self.error(column, "is not an id")
        return text

    def structs(self, column: str) -> list[Fields]:
        """A list of objects; Parquet writers also store it as one object of equally long lists. Null is no objects."""
        value = self.value(column)
        if value is None:
            return []
        if isinstance(value, Mapping) and all(isinstance(part, list) for part in value.values()):
            if len({len(part) for part in value.values()}) > 1:
                raise self.error(column, "holds lists of different lengths")
            value = [dict(zip(value, parts, strict=True)) for parts in zip(*value.values(), strict=True)]
        if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            return [self.fields.inside(column, item) for item in value]
        raise self.error(column, "is not a list of objects")

    def strings(self, column: str) -> list[str]:
        """A list of texts, each without outer blanks. Null is an empty list."""
        value = self.value(column)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(column, "is not a list of texts")
        return [self.as_text(item, column) for item in value]

    def error(self, column: str, problem: str) -> PrimumError:
        """An error about this record's ``column``."""
        return PrimumError(f"{self.file} row {self.row}: column {column!r} {problem}: check the dataset's adapter")


def records(file: RawFile) -> Iterator[Record]:
    """The file's records in file order, by suffix: .csv, .tsv, .json (an array, an object of records, or lines),
    .jsonl, .parquet; all but the last with .gz or .zst behind it, too.

    Raises:
        PrimumError: a suffix that is none of these, or a file that cannot be read.
    """
    if file.suffix in (".csv", ".tsv"):
        return _csv(file)
    if file.suffix == ".json":
        return (one_record(file, row, value, key) for row, (key, value) in enumerate(json_values(file), start=1))
    if file.suffix == ".jsonl":
        return (one_record(file, row, value) for row, value in enumerate(json_lines(file), start=1))
    if file.suffix == ".parquet":
        return (one_record(file, row, value) for row, value in enumerate(parquet_rows(file), start=1))
    valid = ".csv, .tsv, .json, .jsonl, .parquet (or the first four with .gz or .zst)"
    raise PrimumError(f"{file.name}: its suffix is none of {valid}: rename it")


def _csv(file: RawFile) -> Iterator[Record]:
    rows = csv_rows(file)
    _, header = next(rows, (0, []))
    if len(set(header)) != len(header):
        raise PrimumError(f"{file.name}: two columns of the header have the same name: rename one")
    for row, cells in rows:
        if len(cells) != len(header):
            raise PrimumError(f"{file.name} row {row - 1}: has {len(cells)} cells, the header {len(header)}: repair it")
        fields = Fields(dict(zip(header, cells, strict=True)), file.columns)
        file.at(file.place.line, row - 1)
        yield Record(file.name, row - 1, fields, unnamed=True)


def one_record(file: RawFile, row: int, value: Any, key: str = "") -> Record:
    """The record at ``row``, counted from 1. PrimumError if ``value`` is no object."""
    if not isinstance(value, dict):
        raise PrimumError(f"{file.name} row {row}: is a {type(value).__name__} where an object is expected: repair it")
    return Record(file.name, row, Fields(value, file.columns), key)


def all_records(files: Sequence[RawFile]) -> Iterator[tuple[int, Record]]:
    """All records of ``files`` with their positions, counted from 0 over the whole dataset."""
    position = 0
    for file in files:
        for record in records(file):
            yield position, record
            position += 1
