"""Files in gz and zst, unpacked while they are read, never on the disk and never more than a chunk at a time.

What a file may unpack to is bounded by its own size. Text shrinks to a tenth or a twentieth: what shrinks to less than a 200th
was made to fill a memory. A catalog's checksum says that a file is the pinned one, not that it is harmless.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, BinaryIO, cast

import pyarrow as pa

from primum.errors import PrimumError
from primum.reading import regular

# The suffixes, and what pyarrow calls them.
PACKED: Mapping[str, str] = MappingProxyType({".gz": "gzip", ".zst": "zstd"})
_BUFFER = 1 << 20
_RATIO = 200
_HARMLESS = 64 << 20  # bytes that any file may unpack to: a short one of blanks is no attack


def without_packing(name: PurePosixPath) -> PurePosixPath:
    """The name of the file inside: ``x.csv`` of ``x.csv.gz``."""
    return name.with_suffix("") if name.suffix.lower() in PACKED else name


def open_bytes(path: Path, name: str) -> BinaryIO:
    """The file at ``path`` as bytes, unpacked if ``name`` ends in one of :data:`PACKED`.

    Raises:
        OSError: there is no such file, or it may not be read.
        PrimumError: later, while reading, a packed file that is damaged, cut short, empty, or unpacks to more than 200 times
            its size (and 64 MiB).
    """
    packing = PACKED.get(Path(name).suffix.lower())
    file = regular(path).open("rb")
    return file if packing is None else cast("BinaryIO", io.BufferedReader(_Unpacked(file, name, packing), _BUFFER))


class _Unpacked(io.RawIOBase):
    def __init__(self, file: BinaryIO, name: str, packing: str) -> None:
        self._file, self._name = file, name
        self._size, self._given = os.fstat(file.fileno()).st_size, 0
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), packing)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            chunk: bytes = self._stream.read(len(view))
        except (pa.ArrowException, OSError):
            chunk, damaged = b"", True
        else:
            damaged = not self._size
        if damaged:
            problem = f"is damaged or cut short (after {self._given:,} bytes, unpacked)"
            raise PrimumError(f"{self._name}: {problem}: fetch it again")
        self._given += len(chunk)
        if self._given > max(_HARMLESS, _RATIO * self._size):
            problem = f"unpacks to more than {_RATIO} times its size"
            raise PrimumError(f"{self._name}: {problem}: unpack it by hand, if it is meant to")
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()
