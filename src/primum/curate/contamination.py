"""Stage overlap: which benchmark items a training set holds a part of, as it is trained on.

The rule is that of decontamination (``primum.curate.overlap``), so a mixture that was decontaminated overlaps with nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import record_text
from primum.curate.overlap import BenchmarkIndex, asked, distinct_questions
from primum.curate.workers import from_ipc, in_order, processes, to_ipc
from primum.errors import PrimumError

_BATCH = 2_000
# A process takes a second or two to begin: fewer rows are done by then.
_ROWS_WORTH_PROCESSES = 20_000
OVERLAPS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {"id": pa.string(), "dataset": pa.string(), "rows": pa.int64(), "first": pa.string()}.items()
    ]
)


def run(job: Job) -> Iterator[Result]:
    """One table (``OVERLAPS``): the benchmark items whose question shares an n-gram with a training row.

    ``id`` is the item's, ``rows`` how many training rows share one with its question, ``first`` the id of the first of them:
    both turns' texts of a conversation count, and both responses of a preference pair. ``common`` names the ``benchmarks``
    (datasets, in the inputs' order). Counts: training rows, those that overlap, and the items.
    """
    for item in job.items:
        names = job.common["benchmarks"]
        tables = [each.table() for each in item.inputs["benchmarks"]]
        index = BenchmarkIndex(map(distinct_questions, tables), item.spec["ngram"])
        hits: Counter[str] = Counter()
        first: dict[str, str] = {}
        done = overlapping = 0
        for rows, found in _searched(job, item, index):
            for row, questions in found:
                hits.update(questions)
                for question in questions:
                    first.setdefault(question, row)
            done, overlapping = done + rows, overlapping + len(found)
        records = [
            {"id": id, "dataset": name, "rows": hits[most], "first": first[most]}
            for name, table in zip(names, tables, strict=True)
            for id, texts in asked(table)
            if (most := max(texts, key=hits.__getitem__, default="")) in first
        ]
        job.progress.say(f"{item.name}: {len(records):,} benchmark items overlap with {overlapping:,} of {done:,} rows")
        table = pa.Table.from_pylist(sorted(records, key=lambda record: record["id"]), schema=OVERLAPS)
        yield Result(item, table=table, counts={"rows": done, "overlapping": overlapping, "items": len(records)})


@dataclass(frozen=True, slots=True)
class _Search:
    """What rows share with benchmarks; ``data`` is their file, for errors."""

    index: BenchmarkIndex
    data: Path

    def __call__(self, rows: bytes) -> tuple[int, list[tuple[str, list[str]]]]:
        """How many rows, and of each that shares an n-gram with a question its id and these questions."""
        records = from_ipc(rows).to_pylist()
        found = ((row["id"], sorted(self.index.questions(_text(row, self.data)))) for row in records)
        return len(records), [(id, questions) for id, questions in found if questions]


def _searched(job: Job, item: Item, index: BenchmarkIndex) -> Iterator[tuple[int, list[tuple[str, list[str]]]]]:
    """What :class:`_Search` finds in the training rows, a batch at a time, in their order."""
    data = item.one("data")
    total, done = data.row_count(), 0
    several = processes() if total >= _ROWS_WORTH_PROCESSES else 1
    item.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=item.work) as folder:
        for rows, found in in_order(_Search(index, data.data), _batches(data), several, Path(folder)):
            done += rows
            job.progress.update(item.name, done, total, done)
            yield rows, found


def _batches(artifact: Artifact) -> Iterator[bytes]:
    for part in artifact.slices():
        for first in range(0, part.num_rows, _BATCH):
            yield to_ipc(part.slice(first, _BATCH))


def _text(row: Mapping[str, Any], data: Path) -> str:
    """All the text of a row of a mixture or of preference pairs."""
    if "text" in row or "messages" in row:
        return record_text(row)
    if "chosen" in row:
        prompt = (message["content"] for message in row["prompt"])
        return "\n".join([*prompt, row["chosen"], row["rejected"]])
    raise PrimumError(f"{data}: holds neither training text nor preference pairs: run the stage that makes it")
