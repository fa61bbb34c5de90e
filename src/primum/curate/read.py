"""Stage read: each dataset's raw files as rows of one type, the records that became no row, and where each came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.curate.adapters.columns import printable, unread
from primum.curate.adapters.places import Place
from primum.curate.origins import Origins
from primum.curate.spill import Spilled, write_batch
from primum.curate.workers import in_order, processes
from primum.errors import PrimumError
from primum.progress import Progress
from primum.text.rows import Drop, Row, to_table

DROPS = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("id", "reason")])

_BATCH = 2_000
# A process takes a second or two to begin: less is read by then.
_BYTES_WORTH_PROCESSES = 50_000_000


@dataclass(frozen=True, slots=True)
class _Dataset:
    """What is read, and the ``folder`` that its rows go to."""

    name: str
    adapter: str
    options: Mapping[str, Any]
    raw: Artifact
    folder: Path


@dataclass(frozen=True, slots=True)
class _Found:
    """The ids of a dataset's rows as they lie in files, the files, what became no row, and columns that nobody asked for.

    ``origins`` are those of the rows, then those of the drops.
    """

    ids: Sequence[str]
    files: Sequence[Path]
    bounds: Sequence[int]
    drops: Sequence[Drop]
    origins: Origins
    new: Mapping[str, str]


def run(job: Job) -> Iterator[Result]:
    """Of each dataset its items with ``output`` ``rows`` (a table of the adapter's row type) and ``drops`` (id, reason).

    And ``origins``: of each row, and under its id in ``drops`` of each drop, the raw ``file``, the ``line`` at which its record
    begins (``unit`` is ``line``; in Parquet, which has no lines, ``record``), and the number of the ``record`` in the file. Where
    an adapter joins files, it is the record that became the row, not those that it was joined with.

    Several datasets are read by as many processes as the job has threads, the largest first.
    """
    wanted = {name: list(items) for name, items in groupby(job.items, lambda item: str(item.spec["dataset"]))}
    with ExitStack() as opened:
        datasets = [_dataset(name, items, opened) for name, items in wanted.items()]
        sizes = {each.name: _bytes(each.raw) for each in datasets}
        datasets.sort(key=lambda each: -sizes[each.name])
        several = min(processes(), len(datasets)) if sum(sizes.values()) >= _BYTES_WORTH_PROCESSES else 1
        # One that reads in another process says nothing until it is done.
        reader = partial(_read, progress=job.progress) if several == 1 else _read
        # What the processes need is in the folder that goes last.
        for each, found in zip(datasets, in_order(reader, datasets, several, datasets[-1].folder), strict=True):
            yield from _results(job, each.name, wanted[each.name], found)


def _dataset(name: str, items: Sequence[Item], opened: ExitStack) -> _Dataset:
    item = items[0]
    item.work.mkdir(parents=True, exist_ok=True)
    folder = Path(opened.enter_context(TemporaryDirectory(dir=item.work)))
    return _Dataset(name, item.spec["adapter"], item.spec["options"], item.one("raw"), folder)


def _bytes(raw: Artifact) -> int:
    files = [raw.data / name for name in raw.manifest.files]
    return sum(file.stat().st_size for file in files if file.exists())


def _read(dataset: _Dataset, progress: Progress | None = None) -> _Found:
    raw = dataset.raw
    place = Place()
    files = [RawFile(raw.file(each), each, place=place) for each in sorted(raw.manifest.files)]
    ids: list[str] = []
    drops: list[Drop] = []
    names = [file.name for file in files]
    origins, dropped = Origins(names), Origins(names)
    spilled: list[Path] = []
    bounds = [0]
    found = read(dataset.adapter, files, dataset.name, dataset.options)
    kept = Origins(names)
    rows = _kept(found, drops, place, kept, dropped)
    while batch := list(islice(rows, _BATCH)):
        table = to_table(batch, ADAPTERS[dataset.adapter].row_type)
        # The table is in the order of the ids.
        origins.extend(kept, sorted(range(len(batch)), key=[row.id for row in batch].__getitem__))
        kept.clear()
        spilled.append(dataset.folder / f"{len(spilled):06d}.arrow")
        write_batch(table, spilled[-1])
        ids += table.column("id").to_pylist()
        bounds.append(len(ids))
        if progress is not None:
            progress.update(dataset.name, len(ids), len(ids) + 1, len(ids))
    origins.extend(dropped, range(len(dropped)))
    new = unread(dataset.adapter, {file.name: file.columns for file in files})
    return _Found(ids, spilled, bounds, drops, origins, new)


def _kept(
    found: Iterator[Row | Drop], drops: list[Drop], place: Place, origins: Origins, dropped: Origins
) -> Iterator[Row]:
    """The rows; what is dropped is added to ``drops``. The places of both are added to ``origins`` and to ``dropped``."""
    # No adapter reads further before it has given what a record became: that is where the files are now.
    for row in found:
        if isinstance(row, Drop):
            drops.append(row)
            dropped.add(place)
        else:
            origins.add(place)
            yield row


def _results(job: Job, name: str, items: Sequence[Item], found: _Found) -> Iterator[Result]:
    ids, drops = found.ids, found.drops
    reasons = Counter(drop.reason for drop in drops)
    if not ids:
        raise PrimumError(f"datasets.{name}: no record became a row ({dict(reasons)})")
    _mention(job, name, found.new)
    job.progress.say(f"{name}: {len(ids):,} rows, {len(drops):,} dropped {dict(reasons) or ''}")
    by_output = {item.spec["output"]: item for item in items}
    # The rows first: what they are read from is in a folder that goes with the first item.
    if "rows" in by_output:
        order = sorted(range(len(ids)), key=ids.__getitem__)
        parts = Spilled(found.files, found.bounds).tables(order, [ids[at] for at in order])
        yield Result(by_output["rows"], parts=parts, counts={"rows": len(ids)})
    # One id may be dropped more than once, for records that share it; the number keeps ids unique and in order.
    dropped = [f"{i:08d}/{drop.id}" for i, drop in enumerate(drops)]
    if "drops" in by_output:
        records = [{"id": id, "reason": drop.reason} for id, drop in zip(dropped, drops, strict=True)]
        table = pa.Table.from_pylist(records, schema=DROPS)
        yield Result(by_output["drops"], table=table, counts=dict(reasons))
    if "origins" in by_output:
        counts = {"rows": len(ids), "drops": len(drops)}
        yield Result(by_output["origins"], parts=found.origins.tables([*ids, *dropped]), counts=counts)


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
