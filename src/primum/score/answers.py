"""Stage answer: a model answers a benchmark in words. What it says is kept as it is, and read by the stage ``parse``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, response_columns, tokens_spent
from primum.experiment.types import Sampling
from primum.text.rows import Message

ANSWERS = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "id": pa.string(),
            "question": pa.string(),
            "item": pa.string(),
            "seed": pa.int32(),
            "repeat": pa.int32(),
            "response": pa.string(),
            "reasoning": pa.string(),
            "status": pa.string(),
            "prompt_tokens": pa.int32(),
            "completion_tokens": pa.int32(),
            "error": pa.string(),
        }.items()
    ]
)
# An item without an answer counts as wrong, so that only few may lack one because a request failed.
MOST_ERRORS = 0.05


def run(job: Job) -> Iterator[Result]:
    """One table (``ANSWERS``) a benchmark, a row for each question and each time that it is asked.

    Reads ``model`` (a folder) and ``questions`` (one artifact an item); ``common`` holds ``engine`` and ``seed``, an item
    ``sampling`` and ``repeats``. ``reasoning`` is what an endpoint gives apart from the answer. Counts: rows, rows by the
    engine's status, errors by class. PrimumError when over 5% of the requests failed.
    """
    if not job.items:
        return
    for item, engine in with_engines(job.common["engine"], job.items[0].one("model"), job.items, job.progress):
        yield _answer(job, item, engine)


def _answer(job: Job, item: Item, engine: Engine) -> Result:
    asked = item.one("questions").table().to_pylist()
    sampling, repeats = Sampling(**item.spec["sampling"]), item.spec["repeats"]
    conversations = [[Message(turn["role"], turn["content"]) for turn in row["messages"]] for row in asked]
    started, total = time.monotonic(), len(asked) * repeats
    responses: list[Response] = []
    records: list[dict[str, Any]] = []
    for repeat in range(repeats):

        def report(done: int, tokens: int, before: int = len(responses)) -> None:
            job.progress.update(item.name, before + done, total, tokens, "tokens")

        # An answer's seed is that of its conversation: each time that one is asked has a seed of its own.
        found = engine.chat(conversations, sampling, job.common["seed"] + repeat, report)
        responses += found
        records += [_record(*pair, repeat, repeats) for pair in zip(asked, found, strict=True)]
    refuse_many_errors(item.name, responses, MOST_ERRORS)
    records.sort(key=lambda record: record["id"])
    counts: dict[str, Any] = {"rows": len(records)}
    counts |= dict(sorted(Counter(response.status for response in responses).items()))
    if errors := Counter(response.error for response in responses if response.error):
        counts["errors"] = dict(sorted(errors.items()))
    return Result(
        item,
        table=pa.Table.from_pylist(records, schema=ANSWERS),
        counts=counts,
        cost={
            **tokens_spent(responses),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def _record(asked: dict[str, Any], response: Response, repeat: int, repeats: int) -> dict[str, Any]:
    return {
        "id": asked["id"] if repeats == 1 else f"{asked['id']}*{repeat:04d}",
        "question": asked["id"],
        "item": asked["item"],
        "seed": asked["seed"],
        "repeat": repeat,
        **response_columns(response),
        "reasoning": response.reasoning,
    }
