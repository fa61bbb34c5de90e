"""Rows that are too many for the memory: written in batches, and read in another order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_OPEN = 64
_WRITTEN = 10_000


def write_batch(rows: pa.Table, file: Path) -> None:
    """Write rows, one at least, for :class:`Spilled`."""
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks(), max_chunksize=rows.num_rows)


class Spilled:
    """The rows of many batches, read where they are asked for. ``bounds`` are the batches' first rows, and the end."""

    def __init__(self, files: Sequence[Path], bounds: Sequence[int]) -> None:
        self._bounds = np.array(bounds, dtype=np.int64)

        # Mapped files are let go again: what is mapped counts as this process's memory.
        @lru_cache(maxsize=_OPEN)
        def opened(number: int) -> pa.RecordBatch:
            return pa.ipc.open_file(pa.memory_map(str(files[number]))).get_batch(0)

        self._opened = opened

    def row(self, at: int) -> dict[str, Any]:
        """One row as it is in its table, column by column."""
        number = int(np.searchsorted(self._bounds, at, side="right")) - 1
        found: dict[str, Any] = self._opened(number).slice(at - int(self._bounds[number]), 1).to_pylist()[0]
        return found

    def tables(self, rows: Sequence[int], ids: Sequence[str]) -> Iterator[pa.Table]:
        """The rows at ``rows``, in that order, with new ``ids``: tables of some thousand rows."""
        for first in range(0, len(rows), _WRITTEN):
            end = first + _WRITTEN
            yield pa.Table.from_batches([self._take(np.array(rows[first:end], dtype=np.int64), ids[first:end])])

    def _take(self, rows: npt.NDArray[np.int64], ids: Sequence[str]) -> pa.RecordBatch:
        numbers = np.searchsorted(self._bounds, rows, side="right") - 1
        parts, places = [], []
        for number in np.unique(numbers):
            mine = np.flatnonzero(numbers == number)
            parts.append(self._opened(int(number)).take(pa.array(rows[mine] - self._bounds[number])))
            places.append(mine)
        back = np.empty(len(rows), dtype=np.int64)
        back[np.concatenate(places)] = np.arange(len(rows))
        batch = pa.Table.from_batches(parts).combine_chunks().to_batches()[0].take(pa.array(back))
        return batch.set_column(0, batch.schema.field(0), pa.array(ids, type=pa.string()))
