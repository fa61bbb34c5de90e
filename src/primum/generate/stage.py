"""Stage ``generate``: one model answers every request of every prompt set; the engine is opened once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, response_columns, tokens_spent
from primum.experiment.types import Sampling
from primum.text.prompts import take
from primum.text.rows import Message, RequestRow, from_table

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
        pa.field("response", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("completion_tokens", pa.int32(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
    ]
)


def run(job: Job) -> Iterator[Result]:
    """One table of :data:`SCHEMA` for each prompt set, in id order.

    Reads ``model`` (a folder) and ``prompts`` (RequestRow, one artifact an item); ``common`` holds ``engine``,
    ``sampling`` and ``seed``, an item ``system`` and ``take``. Raises PrimumError when more than 20% of a set's
    requests failed; those that an endpoint's own content filter stopped have not.
    """
    if not job.items:
        return
    sampling, seed = Sampling(**job.common["sampling"]), job.common["seed"]
    for item, engine in with_engines(job.common["engine"], job.items[0].one("model"), job.items, job.progress):
        yield _answer(job, item, engine, sampling, seed)


def _answer(job: Job, item: Item, engine: Engine, sampling: Sampling, seed: int) -> Result:
    rows = take(from_table(item.one("prompts").table(), RequestRow), item.spec.get("take"), seed)
    system = item.spec.get("system", "")
    head = [Message("system", system)] if system else []
    started, surrogates = time.monotonic(), engine.surrogates

    def report(done: int, tokens: int) -> None:
        job.progress.update(item.name, done, len(rows), tokens, "tokens")

    responses = engine.chat([[*head, Message("user", row.request)] for row in rows], sampling, seed, report)
    statuses = Counter(response.status for response in responses)
    refuse_many_errors(item.name, responses)
    return Result(
        item,
        table=to_table(rows, responses),
        counts={"rows": len(rows), **dict(sorted(statuses.items())), "surrogates": engine.surrogates - surrogates},
        cost={
            **tokens_spent(responses),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def to_table(rows: Sequence[RequestRow], responses: Sequence[Response]) -> pa.Table:
    """Requests and their responses as a table of :data:`SCHEMA`; both in the same order, by id."""
    records: list[dict[str, Any]] = [
        {
            "id": row.id,
            "category": row.category,
            "request": row.request,
            **response_columns(response),
        }
        for row, response in zip(rows, responses, strict=True)
    ]
    return pa.Table.from_pylist(records, schema=SCHEMA)
