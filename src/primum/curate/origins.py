"""Where each row of a dataset came from: the raw file, and the place in it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from primum.curate.adapters.places import Place
from primum.curate.adapters.unpack import without_packing

ORIGINS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "id": pa.string(),
            "file": pa.string(),
            "line": pa.int64(),
            "unit": pa.string(),
            "record": pa.int64(),
        }.items()
    ]
)
_WRITTEN = 10_000


class Origins:
    """The places of rows in ``files``, by name, in the order in which they were read: three numbers a row."""

    def __init__(self, files: Sequence[str]) -> None:
        self._number = {name: number for number, name in enumerate(files)}
        self._places = array("q")  # of each row the file, the line, the record

    def __len__(self) -> int:
        return len(self._places) // 3

    def add(self, place: Place) -> None:
        """The next row was read from ``place``."""
        self._places.extend((self._number[place.file], place.line, place.record))

    def extend(self, more: Origins, order: Iterable[int]) -> None:
        """The rows of ``more``, of the same files, come next, in ``order``."""
        for row in order:
            self._places += more._places[3 * row : 3 * row + 3]

    def clear(self) -> None:
        """Forget all rows."""
        del self._places[:]

    def tables(self, ids: Sequence[str]) -> Iterator[pa.Table]:
        """The rows, whose ``ids`` these are, in the order of their ids: tables of some thousand, one at least."""
        names = list(self._number)
        units = ["record" if _has_no_lines(name) else "line" for name in names]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        for first in range(0, max(len(order), 1), _WRITTEN):
            rows = order[first : first + _WRITTEN]
            files, lines, records = ([self._places[3 * row + part] for row in rows] for part in range(3))
            columns = {
                "id": [ids[row] for row in rows],
                "file": [names[file] for file in files],
                "line": lines,
                "unit": [units[file] for file in files],
                "record": records,
            }
            yield pa.table(columns, schema=ORIGINS)


def _has_no_lines(name: str) -> bool:
    return without_packing(PurePosixPath(name)).suffix.lower() == ".parquet"
