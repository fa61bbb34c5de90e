"""Upstream Parquet files as values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.curate.adapters.files import RawFile
from primum.errors import PrimumError
from primum.reading import regular

# A date of the year 10,000, a time zone that nobody knows, two fields of one name inside a column.
_NO_VALUE = (ValueError, OverflowError, LookupError)


def parquet_rows(file: RawFile) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file as Python values; page checksums, where the writer left any, are verified.

    Raises:
        PrimumError: a file that is packed, no Parquet or damaged, two columns of one name, a value that Python cannot hold.
    """
    if file.packed:
        raise PrimumError(f"{file.name}: Parquet cannot be read while it is packed: unpack it")
    row = 0
    try:
        with pq.ParquetFile(regular(file.path), page_checksum_verification=True) as parquet:
            names = parquet.schema_arrow.names
            if len(set(names)) != len(names):
                raise PrimumError(f"{file.name}: two of its columns have the same name: rename one")
            for batch in parquet.iter_batches(batch_size=1024):
                for fields in _values(batch, file.name, row):
                    row += 1
                    file.at(row, row)
                    yield fields
    except (pa.ArrowException, OSError) as error:
        problem = f"cannot be read as Parquet after row {row} ({type(error).__name__})"
        raise PrimumError(f"{file.name}: {problem}: fetch it again") from None
    except UnicodeDecodeError:
        raise PrimumError(f"{file.name}: the name of a column is not UTF-8: fetch it again") from None


def _values(batch: pa.RecordBatch, name: str, row: int) -> list[dict[str, Any]]:
    """The rows of ``batch``, which come after ``row`` others of the file ``name``."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except _NO_VALUE:
        at, problem = _unreadable(batch)
        raise PrimumError(f"{name} row {row + at + 1}: {problem}: fetch it again, or repair it") from None


def _unreadable(batch: pa.RecordBatch) -> tuple[int, str]:
    """The first row, from 0, with a value that cannot be read, and what is wrong with it."""
    for at in range(batch.num_rows):
        for number, column in enumerate(batch.columns, 1):
            try:
                column[at].as_py()
            except UnicodeDecodeError:
                return at, f"text in column {number} is not UTF-8"
            except _NO_VALUE as error:
                return at, f"the value in column {number} cannot be read ({type(error).__name__})"
    return 0, "has values that cannot be read"
