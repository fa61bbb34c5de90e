"""Stage overlap: which benchmark items a training set holds a part of, as it is trained on.

The rule is that of decontamination (``primum.curate.overlap``), so a mixture that was decontaminated overlaps with nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from primum.artifact.job import Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import record_text
from primum.curate.overlap import BenchmarkIndex, asked, distinct_questions
from primum.errors import PrimumError

_ROWS = 10_000
OVERLAPS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {"id": pa.string(), "dataset": pa.string(), "rows": pa.int64()}.items()
    ]
)


def run(job: Job) -> Iterator[Result]:
    """One table (``OVERLAPS``): the benchmark items whose question shares an n-gram with a training row.

    ``id`` is the item's, ``rows`` how many training rows share one with its question: both turns' texts of a conversation
    count, and both responses of a preference pair. ``common`` names the ``benchmarks`` (datasets, in the inputs' order).
    Counts: training rows, those that overlap, and the items.
    """
    for item in job.items:
        names = job.common["benchmarks"]
        tables = [each.table() for each in item.inputs["benchmarks"]]
        index = BenchmarkIndex(map(distinct_questions, tables), item.spec["ngram"])
        hits: Counter[str] = Counter()
        done = overlapping = 0
        for text in _texts(item.one("data")):
            found = index.questions(text)
            hits.update(found)
            done, overlapping = done + 1, overlapping + bool(found)
            if not done % _ROWS:
                job.progress.update(item.name, done, done + 1, done)
        records = [
            {"id": id, "dataset": name, "rows": rows}
            for name, table in zip(names, tables, strict=True)
            for id, texts in asked(table)
            if (rows := max((hits[text] for text in texts), default=0))
        ]
        job.progress.say(f"{item.name}: {len(records):,} benchmark items overlap with {overlapping:,} of {done:,} rows")
        table = pa.Table.from_pylist(sorted(records, key=lambda record: record["id"]), schema=OVERLAPS)
        yield Result(item, table=table, counts={"rows": done, "overlapping": overlapping, "items": len(records)})


def _texts(artifact: Artifact) -> Iterator[str]:
    """All the text of each row of a mixture or of preference pairs, a part of the table at a time."""
    for part in artifact.slices():
        for batch in part.to_batches(max_chunksize=_ROWS):
            yield from map(_text, batch.to_pylist(), [artifact] * batch.num_rows)


def _text(row: Mapping[str, Any], artifact: Artifact) -> str:
    if "text" in row or "messages" in row:
        return record_text(row)
    if "chosen" in row:
        prompt = (message["content"] for message in row["prompt"])
        return "\n".join([*prompt, row["chosen"], row["rejected"]])
    raise PrimumError(f"{artifact.data}: holds neither training text nor preference pairs: run the stage that makes it")
