"""Parquet tables that are written once, checked, and refused when a bit of them has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from primum.errors import PrimumError
from primum.reading import IrregularError, regular

_T = TypeVar("_T")
SLICE_ROWS = 65_536
# So many chunks of a packed mixture would be gigabytes: a slice ends earlier where its rows have long lists.
SLICE_VALUES = 1 << 25
_ROW_GROUP = 50_000


def ahead(parts: Iterable[_T]) -> Iterator[_T]:
    """The same parts, each made by another thread while the one before it is used."""
    iterator = iter(parts)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(next, iterator, None)
        while (part := under_way.result()) is not None:
            under_way = thread.submit(next, iterator, None)
            yield part


def cut(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of a table that comes in ``parts`` in slices, the same ones whatever the parts are, one at least.

    A slice is as many of the next rows as are at most ``SLICE_ROWS`` and have at most ``SLICE_VALUES`` values in their lists,
    and one row at least. ValueError where there is no part.
    """
    held: pa.Table | None = None
    values = np.zeros(0, dtype=np.int64)
    given = 0
    for part in parts:
        held = part if held is None else pa.concat_tables([held, part])
        values = np.concatenate([values, _values(part)])
        ends, first = np.cumsum(values), 0
        while first < len(ends):
            before = ends[first - 1] if first else 0
            fits = int(np.searchsorted(ends, before + SLICE_VALUES, side="right"))
            stop = min(max(fits, first + 1), first + SLICE_ROWS)
            if stop == len(ends) and stop - first < SLICE_ROWS:
                break  # a row of the next part may be one of this slice's
            yield held.slice(first, stop - first)
            given += 1
            first = stop
        held, values = held.slice(first), values[first:]
    if held is None:
        raise ValueError("a table of no parts has no schema")
    if held.num_rows or not given:
        yield held


def _values(part: pa.Table) -> npt.NDArray[np.int64]:
    """How many values the lists of each row have."""
    found = np.zeros(part.num_rows, dtype=np.int64)
    for column in part.columns:
        if pa.types.is_list(column.type):
            found += pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    return found


def _check(table: pa.Table, name: str, last: str | None) -> str | None:
    """Raise PrimumError unless ``table`` has a string column ``id`` of unique, ascending, non-null ids above ``last``.

    Returns its last id.
    """
    if "id" not in table.column_names or table.schema.field("id").type != pa.string():
        raise PrimumError(f"{name}: a table artifact needs a string column 'id'")
    ids = table.column("id").to_pylist()
    for previous, current in pairwise(ids if last is None else [last, *ids]):
        if previous is None or current is None or previous >= current:
            raise PrimumError(f"{name}: ids must be unique and ascending, but {current!r} follows {previous!r}")
    for field in table.schema:
        if not field.nullable and table.column(field.name).null_count:
            raise PrimumError(f"{name}: column {field.name!r} is required but holds nulls")
    return ids[-1] if ids else last


def write_table(table: pa.Table | Iterable[pa.Table], path: Path, metadata: dict[str, str]) -> str:
    """Write ``table`` with page checksums and ``metadata`` (under ``primum.``) in its footer, fsynced, then read it back.

    A table may come in parts of any number of rows: a slice of it (:func:`cut`) is held at a time. Returns the content hash of
    what is on the disk; raises PrimumError when that is not what was written.
    """
    footer = {f"primum.{key}": value for key, value in metadata.items()}
    state = ContentHash()
    last: str | None = None
    with ExitStack() as opened:
        writer: pq.ParquetWriter | None = None
        for part in ahead(cut([table] if isinstance(table, pa.Table) else table)):
            last = _check(part, path.name, last)
            if writer is None:
                # Compliant nesting would rename the items of lists, and a table would not read back with its own schema.
                writer = opened.enter_context(
                    pq.ParquetWriter(
                        path,
                        part.schema.with_metadata(footer),
                        compression="zstd",
                        write_page_checksum=True,
                        use_compliant_nested_type=False,
                    )
                )
            # Small row groups, since one that holds over 2 GB of nested text cannot be read.
            writer.write_table(part.replace_schema_metadata(footer), row_group_size=_ROW_GROUP)
            state.update(part)
    fsync(path)
    content = file_hash(path)
    if content != state.hexdigest():
        raise PrimumError(f"{path.name}: the file does not read back as written: check the disk")
    return content


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a table, verifying every page's checksum. Raises PrimumError if it is missing, truncated or changed."""
    with _told(path):
        table = pq.read_table(regular(path), columns=columns, page_checksum_verification=True, memory_map=False)
    return table.replace_schema_metadata(None)


def row_count(path: Path) -> int:
    """How many rows a table has, by its footer alone. Raises PrimumError as :func:`read_table` does."""
    with _told(path):
        return int(pq.read_metadata(regular(path)).num_rows)


def column_names(path: Path) -> list[str]:
    """The columns of a table, by its footer alone. Raises PrimumError as :func:`read_table` does."""
    with _told(path):
        return list(pq.read_schema(regular(path)).names)


def slices(path: Path) -> Iterator[pa.Table]:
    """The rows of a table in slices (:func:`cut`), at least one. Raises PrimumError as :func:`read_table` does."""
    # A buffer that is filled ahead keeps what it has read: all of the file in the end.
    with _told(path), pq.ParquetFile(regular(path), pre_buffer=False, page_checksum_verification=True) as file:
        yield from cut(_batches(file))


def _batches(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """No more rows at a time than a row group has, which was written with its rows' length in mind."""
    yield file.schema_arrow.remove_metadata().empty_table()
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    for batch in file.iter_batches(batch_size=min(SLICE_ROWS, max(groups, default=1) or 1)):
        yield pa.Table.from_batches([batch]).replace_schema_metadata(None)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise PrimumError(f"{path}: no such artifact: run the stage that makes it") from None
    except IrregularError as error:
        raise PrimumError(f"{path}: is {error.strerror}: delete it and run again") from None
    except (OSError, pa.ArrowException) as error:
        raise PrimumError(f"{path}: damaged ({type(error).__name__}): delete it and run again") from None


def content_hash(table: pa.Table) -> str:
    """The sha256 of the rows and their schema: the same for any chunking, row-group layout or compression."""
    return _hash_of(cut([table]))


def file_hash(path: Path) -> str:
    """The content hash of a table's file, a slice in memory at a time. Raises PrimumError as :func:`read_table` does."""
    return _hash_of(ahead(slices(path)))


def _hash_of(parts: Iterable[pa.Table]) -> str:
    state = ContentHash()
    for part in parts:
        state.update(part)
    return state.hexdigest()


class ContentHash:
    """:func:`content_hash` of a table that comes in the slices of :func:`cut`."""

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
    state.update(_bytes(pc.is_valid(array)) if array.null_count else b"\x01" * len(array))
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        filled = array.fill_null("" if pa.types.is_string(kind) else b"")
        state.update(_bytes(pc.binary_length(filled)))
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
        state.update(_bytes(array.fill_null(pa.scalar(zero, type=kind)) if array.null_count else array))
    else:
        raise TypeError(f"no canonical form for column type {kind}")


def _bytes(array: pa.Array) -> npt.NDArray[np.uint8]:
    """The values of an array without nulls, a byte for each boolean, as they lie in the memory where they can."""
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).view(np.uint8)


def fsync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
