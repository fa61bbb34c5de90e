"""Stage questions: what a benchmark asks that is answered in words, as conversations.

They are an artifact of their own, so that a model is asked again only where a conversation is another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.score.asked import asked, rows
from primum.score.written import conversations
from primum.text.rows import Message

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
QUESTIONS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("seed", pa.int32(), nullable=False),
        pa.field("messages", _MESSAGES, nullable=False),
    ]
)


def run(job: Job) -> Iterator[Result]:
    """One table (``QUESTIONS``) a benchmark: an item asked after the few-shot examples of a seed is a row.

    Reads ``benchmarks`` (ChoiceRow or DocumentRow) and, for a text task with examples, ``fewshot``.
    """
    for item in job.items:
        records = sorted(_records(item), key=lambda record: str(record["id"]))
        yield Result(item, table=pa.Table.from_pylist(records, schema=QUESTIONS), counts={"rows": len(records)})


def _records(item: Item) -> list[dict[str, Any]]:
    if item.spec.get("generate_until") is None:
        return [_record(each.id, each.id, 0, [Message("user", each.text)]) for each in asked(item)]
    examples = rows(item, "fewshot") if item.inputs.get("fewshot") else []
    return [_record(*each) for each in conversations(rows(item), item.spec, examples)]


def _record(id: str, of: str, seed: int, messages: list[Message]) -> dict[str, Any]:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return {"id": id, "item": of, "seed": seed, "messages": turns}
