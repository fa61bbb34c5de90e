"""Stage read: one dataset's raw files as rows of one type, and a list of the records that became no row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from primum.artifact.job import Job, Result
from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.errors import PrimumError
from primum.text.rows import Drop, Row, to_table

DROPS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "reason")])


def run(job: Job) -> Iterator[Result]:
    """Items ``rows`` (a table of the adapter's row type) and ``drops`` (id, reason)."""
    common = job.common
    raw = job.items[0].one("raw")
    files = [RawFile(raw.file(name), name) for name in sorted(raw.manifest.files)]
    rows: list[Row] = []
    drops: list[Drop] = []
    for row in read(common["adapter"], files, common["dataset"], common["options"]):
        if isinstance(row, Drop):
            drops.append(row)
        else:
            rows.append(row)
        if not (len(rows) + len(drops)) % 10_000:
            job.progress.update(common["dataset"], len(rows), len(rows) + 1, len(rows))
    if not rows:
        raise PrimumError(
            f"datasets.{common['dataset']}: no record became a row ({dict(Counter(d.reason for d in drops))})"
        )
    reasons = Counter(drop.reason for drop in drops)
    job.progress.say(f"{common['dataset']}: {len(rows):,} rows, {len(drops):,} dropped {dict(reasons) or ''}")
    # One id may be dropped more than once, for records that share it; the number keeps ids unique and in order.
    records = [{"id": f"{i:08d}/{drop.id}", "reason": drop.reason} for i, drop in enumerate(drops)]
    tables = {
        "rows": to_table(rows, ADAPTERS[common["adapter"]].row_type),
        "drops": pa.Table.from_pylist(records, schema=DROPS),
    }
    for item in job.items:
        counts = {"rows": len(rows)} if item.name == "rows" else dict(reasons)
        yield Result(item, table=tables[item.spec["output"]], counts=counts)
