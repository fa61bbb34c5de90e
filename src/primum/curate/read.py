"""Stage read: each dataset's raw files as rows of one type, and a list of the records that became no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.curate.adapters.columns import printable, unread
from primum.curate.spill import Spilled, write_batch
from primum.errors import PrimumError
from primum.text.rows import Drop, Row, to_table

DROPS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "reason")])

_BATCH = 2_000


def run(job: Job) -> Iterator[Result]:
    """Of each dataset its items with ``output`` ``rows`` (a table of the adapter's row type) and ``drops`` (id, reason)."""
    for name, items in groupby(job.items, lambda item: str(item.spec["dataset"])):
        yield from _dataset(job, name, list(items))


def _dataset(job: Job, name: str, items: Sequence[Item]) -> Iterator[Result]:
    raw, adapter = items[0].one("raw"), items[0].spec["adapter"]
    files = [RawFile(raw.file(each), each) for each in sorted(raw.manifest.files)]
    drops: list[Drop] = []
    items[0].work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=items[0].work) as folder:
        found = read(adapter, files, name, items[0].spec["options"])
        ids, spilled = _spilled(job, name, _kept(found, drops), ADAPTERS[adapter].row_type, Path(folder))
        reasons = Counter(drop.reason for drop in drops)
        if not ids:
            raise PrimumError(f"datasets.{name}: no record became a row ({dict(reasons)})")
        _mention(job, name, unread(adapter, {file.name: file.columns for file in files}))
        job.progress.say(f"{name}: {len(ids):,} rows, {len(drops):,} dropped {dict(reasons) or ''}")
        by_output = {item.spec["output"]: item for item in items}
        # The rows first: what they are read from is in a folder that goes with the first item.
        if "rows" in by_output:
            order = sorted(range(len(ids)), key=ids.__getitem__)
            parts = spilled.tables(order, [ids[at] for at in order])
            yield Result(by_output["rows"], parts=parts, counts={"rows": len(ids)})
        if "drops" in by_output:
            # One id may be dropped more than once, for records that share it; the number keeps ids unique and in order.
            records = [{"id": f"{i:08d}/{drop.id}", "reason": drop.reason} for i, drop in enumerate(drops)]
            table = pa.Table.from_pylist(records, schema=DROPS)
            yield Result(by_output["drops"], table=table, counts=dict(reasons))


def _kept(found: Iterator[Row | Drop], drops: list[Drop]) -> Iterator[Row]:
    """The rows; what is dropped is added to ``drops``."""
    for row in found:
        if isinstance(row, Drop):
            drops.append(row)
        else:
            yield row


def _spilled(job: Job, name: str, rows: Iterator[Row], kind: type[Row], folder: Path) -> tuple[list[str], Spilled]:
    """The ids of the rows as they lie in files, and the files."""
    ids: list[str] = []
    bounds = [0]
    files: list[Path] = []
    while batch := list(islice(rows, _BATCH)):
        table = to_table(batch, kind)
        files.append(folder / f"{len(files):06d}.arrow")
        write_batch(table, files[-1])
        ids += table.column("id").to_pylist()
        bounds.append(len(ids))
        job.progress.update(name, len(ids), len(ids) + 1, len(ids))
    return ids, Spilled(files, bounds)


def _mention(job: Job, dataset: str, new: Mapping[str, str]) -> None:
    """Say once of each column that it is ``new`` upstream, with the first file that has it."""
    shown, more = printable(list(new))
    for column in shown:
        job.progress.say(f"{dataset}: new upstream column {column!r} is not read (first in {new[column]})")
    if more:
        first = next(file for column, file in new.items() if column not in shown)
        job.progress.say(
            f"{dataset}: {more:,} more new upstream columns are not read: long or odd names (first in {first})"
        )
