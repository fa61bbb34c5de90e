"""The rows of an artifact as the Parquet files that a hub's dataset has: ``data/train-00000-of-0000N.parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Artifact

SPLIT = "train"
SHARD_BYTES = 256 * 1024 * 1024
# A reader that wants few rows reads one group of them.
_GROUP_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Shard:
    """A file under its ``path`` in the folder. ``size`` in bytes, ``sha256`` in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Shards:
    """All files of a table, its ``rows``, their ``size`` in memory in bytes, and how many are of which source."""

    files: tuple[Shard, ...]
    schema: pa.Schema
    rows: int
    size: int
    by_source: Mapping[str, int]


def write_shards(artifact: Artifact, folder: Path, limit: int) -> Shards:
    """Write the rows to ``folder``/data, a new file after each ``limit`` bytes. No more than two slices are in the memory.

    The items of lists keep their name, so that the rows read back have the artifact's own content hash. Pages are cut by
    content, and have an index, as the library datasets writes them for the hub. PrimumError where the artifact is damaged.
    """
    (folder / "data").mkdir()
    by_source: Counter[str] = Counter()
    size = 0

    def groups() -> Iterator[pa.Table]:
        nonlocal size
        for part in artifact.slices():
            size += part.nbytes
            by_source.update(
                {each["values"]: each["counts"] for each in part.column("source").value_counts().to_pylist()}
            )
            for first in range(0, max(part.num_rows, 1), _GROUP_ROWS):
                yield part.slice(first, _GROUP_ROWS)

    rest = groups()
    group = next(rest)
    schema = group.schema
    written: list[Path] = []
    while group is not None:
        path = folder / "data" / f"{len(written):05d}"
        written.append(path)
        with path.open("wb") as sink, _writer(sink, schema) as writer:
            while group is not None:
                writer.write_table(group)
                group = next(rest, None)
                if sink.tell() >= limit:
                    break
    files = []
    for number, path in enumerate(written):
        name = f"data/{SPLIT}-{number:05d}-of-{len(written):05d}.parquet"
        target = path.rename(folder / name)
        files.append(Shard(name, target.stat().st_size, file_sha256(target)))
    return Shards(tuple(files), schema, by_source.total(), size, dict(by_source))


def _writer(sink: object, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_compliant_nested_type=False,
        use_content_defined_chunking=True,
        write_page_checksum=True,
        write_page_index=True,
    )
