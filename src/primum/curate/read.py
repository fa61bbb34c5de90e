"""Stage read: each dataset's raw files as rows of one type, and a list of the records that became no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.curate.adapters.columns import printable, unread
from primum.errors import PrimumError
from primum.text.rows import Drop, Row, to_table

DROPS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "reason")])


def run(job: Job) -> Iterator[Result]:
    """Of each dataset its items with ``output`` ``rows`` (a table of the adapter's row type) and ``drops`` (id, reason)."""
    for name, items in groupby(job.items, lambda item: str(item.spec["dataset"])):
        yield from _dataset(job, name, list(items))


def _dataset(job: Job, name: str, items: Sequence[Item]) -> Iterator[Result]:
    raw, adapter = items[0].one("raw"), items[0].spec["adapter"]
    files = [RawFile(raw.file(each), each) for each in sorted(raw.manifest.files)]
    rows: list[Row] = []
    drops: list[Drop] = []
    for row in read(adapter, files, name, items[0].spec["options"]):
        if isinstance(row, Drop):
            drops.append(row)
        else:
            rows.append(row)
        if not (len(rows) + len(drops)) % 10_000:
            job.progress.update(name, len(rows), len(rows) + 1, len(rows))
    if not rows:
        raise PrimumError(f"datasets.{name}: no record became a row ({dict(Counter(d.reason for d in drops))})")
    _mention(job, name, unread(adapter, {file.name: file.columns for file in files}))
    reasons = Counter(drop.reason for drop in drops)
    job.progress.say(f"{name}: {len(rows):,} rows, {len(drops):,} dropped {dict(reasons) or ''}")
    # One id may be dropped more than once, for records that share it; the number keeps ids unique and in order.
    records = [{"id": f"{i:08d}/{drop.id}", "reason": drop.reason} for i, drop in enumerate(drops)]
    tables = {"rows": to_table(rows, ADAPTERS[adapter].row_type), "drops": pa.Table.from_pylist(records, schema=DROPS)}
    for item in items:
        output = item.spec["output"]
        yield Result(item, table=tables[output], counts={"rows": len(rows)} if output == "rows" else dict(reasons))


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
