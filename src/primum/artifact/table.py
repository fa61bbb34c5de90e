"""Parquet tables that are written once, checked, and refused when a bit of them has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from primum.errors import PrimumError

SLICE_ROWS = 65_536
_ROW_GROUP = 50_000


def check_table(table: pa.Table, name: str) -> None:
    """Raise PrimumError unless ``table`` has a string column ``id`` of unique, ascending, non-null ids."""
    if "id" not in table.column_names or table.schema.field("id").type != pa.string():
        raise PrimumError(f"{name}: a table artifact needs a string column 'id'")
    ids = table.column("id").to_pylist()
    for previous, current in pairwise(ids):
        if previous is None or current is None or previous >= current:
            raise PrimumError(f"{name}: ids must be unique and ascending, but {current!r} follows {previous!r}")
    for field in table.schema:
        if not field.nullable and table.column(field.name).null_count:
            raise PrimumError(f"{name}: column {field.name!r} is required but holds nulls")


def write_table(table: pa.Table, path: Path, metadata: dict[str, str]) -> None:
    """Write ``table`` with page checksums and ``metadata`` (under ``primum.``) in its footer, fsynced, then read it back.

    Raises PrimumError when what is on the disk is not what was written.
    """
    check_table(table, path.name)
    footer = {f"primum.{key}": value for key, value in metadata.items()}
    stamped = table.replace_schema_metadata(footer)
    # Compliant nesting would rename the items of lists, and a table would not read back with its own schema.
    # Small row groups, since one that holds over 2 GB of nested text cannot be read.
    pq.write_table(
        stamped,
        path,
        compression="zstd",
        write_page_checksum=True,
        use_compliant_nested_type=False,
        row_group_size=_ROW_GROUP,
    )
    fsync(path)
    if file_hash(path) != content_hash(table):
        raise PrimumError(f"{path.name}: the file does not read back as written: check the disk")


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a table, verifying every page's checksum. Raises PrimumError if it is missing, truncated or changed."""
    with _told(path):
        table = pq.read_table(path, columns=columns, page_checksum_verification=True, memory_map=False)
    return table.replace_schema_metadata(None)


def row_count(path: Path) -> int:
    """How many rows a table has, by its footer alone. Raises PrimumError as :func:`read_table` does."""
    with _told(path):
        return int(pq.read_metadata(path).num_rows)


def slices(path: Path) -> Iterator[pa.Table]:
    """The rows of a table, ``SLICE_ROWS`` at a time, at least one slice. Raises PrimumError as :func:`read_table` does."""
    with _told(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        held = file.schema_arrow.remove_metadata().empty_table()
        for batch in file.iter_batches(batch_size=SLICE_ROWS):
            held = pa.concat_tables([held, pa.Table.from_batches([batch]).replace_schema_metadata(None)])
            if held.num_rows >= SLICE_ROWS:
                yield held.slice(0, SLICE_ROWS)
                held = held.slice(SLICE_ROWS)
        if held.num_rows or not file.metadata.num_rows:
            yield held


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PrimumError(f"{path}: no such artifact: run the stage that makes it") from None
    except (OSError, pa.ArrowException) as error:
        raise PrimumError(f"{path}: damaged ({type(error).__name__}): delete it and run again") from None


def content_hash(table: pa.Table) -> str:
    """The sha256 of the rows and their schema: the same for any chunking, row-group layout or compression."""
    return _hash_of(table.slice(start, SLICE_ROWS) for start in range(0, max(table.num_rows, 1), SLICE_ROWS))


def file_hash(path: Path) -> str:
    """The content hash of a table's file, a slice in memory at a time. Raises PrimumError as :func:`read_table` does."""
    return _hash_of(slices(path))


def _hash_of(parts: Iterable[pa.Table]) -> str:
    state = ContentHash()
    for part in parts:
        state.update(part)
    return state.hexdigest()


class ContentHash:
    """:func:`content_hash` of a table that comes in parts: slices of ``SLICE_ROWS`` rows, the last one of what is left.

    A table without rows is one part.
    """

    def __init__(self) -> None:
        self._state: Any = None
        self._rows = 0

    def update(self, part: pa.Table) -> None:
        if self._state is None:
            self._state = hashlib.sha256()
            for field in part.schema:
                self._state.update(f"{field.name}:{field.type}:{field.nullable};".encode())
        self._rows += part.num_rows
        for column in part.columns if part.num_rows else ():
            _update(self._state, column.combine_chunks())

    def hexdigest(self) -> str:
        state = self._state.copy()
        state.update(str(self._rows).encode())
        return str(state.hexdigest())


def _update(state: Any, array: pa.Array) -> None:
    """Feed ``array``'s validity, lengths and values to the hash, whatever its offsets and null slots hold."""
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=array.type)
    kind = array.type
    state.update(len(array).to_bytes(8, "little"))
    state.update(pc.is_valid(array).to_numpy(zero_copy_only=False).tobytes())
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        filled = array.fill_null("" if pa.types.is_string(kind) else b"")
        state.update(pc.binary_length(filled).to_numpy(zero_copy_only=False).tobytes())
        # Copying through take() rebases the offsets, so that the buffer holds this slice's bytes and no others.
        compact = pa.concat_arrays([filled.slice(0, 0), filled]) if filled.offset else filled
        data = compact.buffers()[2]
        if data is not None and len(filled):
            offsets = pa.Array.from_buffers(
                pa.int32(), len(compact) + 1, [None, compact.buffers()[1]], offset=compact.offset
            )
            state.update(memoryview(data)[offsets[0].as_py() : offsets[len(compact)].as_py()])
    elif pa.types.is_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        state.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        _update(state, array.flatten())
    elif pa.types.is_struct(kind):
        for child in array.flatten():
            _update(state, child)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        zero = False if pa.types.is_boolean(kind) else 0
        state.update(array.fill_null(pa.scalar(zero, type=kind)).to_numpy(zero_copy_only=False).tobytes())
    else:
        raise TypeError(f"no canonical form for column type {kind}")


def fsync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
