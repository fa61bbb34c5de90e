"""Stage ``generate``: one model answers every request or conversation of every prompt set; the engine is opened once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, response_columns, tokens_spent
from primum.errors import PrimumError
from primum.experiment.types import CHOICE_PROMPT, Sampling
from primum.text.criteria import transcript
from primum.text.prompts import Prompt, prompts_of, take
from primum.text.published import Wording, family, filled, is_text
from primum.text.rows import Message

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

    Reads ``model`` (a folder) and ``prompts`` (rows that hold prompts, one artifact an item); ``common`` holds ``engine``,
    ``sampling`` and ``seed``, an item ``system`` and ``take``, and the ``family`` where it reads a ``wording`` (published code).
    What was asked is the column ``request``, a conversation as text, without a wording. Raises PrimumError when more than 20% of
    a set's requests failed; those that an endpoint's own content filter stopped have not.
    """
    if not job.items:
        return
    sampling, seed = Sampling(**job.common["sampling"]), job.common["seed"]
    for item, engine in with_engines(job.common["engine"], job.items[0].one("model"), job.items, job.progress):
        yield _answer(job, item, engine, sampling, seed)


def _answer(job: Job, item: Item, engine: Engine, sampling: Sampling, seed: int) -> Result:
    try:
        found = list(prompts_of(item.one("prompts").table(), CHOICE_PROMPT))
    except PrimumError as error:
        raise PrimumError(f"{item.name}: {error}") from None
    rows = take([prompt for prompt in found if prompt is not None], item.spec.get("take"), seed)
    silent = found.count(None)
    system = item.spec.get("system", "")
    started, surrogates = time.monotonic(), engine.surrogates

    def report(done: int, tokens: int) -> None:
        job.progress.update(item.name, done, len(rows), tokens, "tokens")

    wording = _wording(job, item)
    asked = [_in_words(row, wording) if wording else _with_system(row.messages, system) for row in rows]
    responses = engine.chat(asked, sampling, seed, report)
    statuses = Counter(response.status for response in responses)
    refuse_many_errors(item.name, responses)
    return Result(
        item,
        table=to_table(rows, responses),
        counts={
            "rows": len(rows),
            **({"no-prompt": silent} if silent else {}),
            **dict(sorted(statuses.items())),
            "surrogates": engine.surrogates - surrogates,
        },
        cost={
            **tokens_spent(responses),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def _wording(job: Job, item: Item) -> Wording | None:
    """How the model's family is asked, where prompts have a published wording. PrimumError for text that no endpoint takes."""
    if not item.inputs.get("wording"):
        return None
    found = family(item.one("wording"), item.spec["family"])
    if is_text(found) and job.common["engine"]["kind"] == "openai":
        raise PrimumError(
            f"{item.name}: the family {item.spec['family']!r} is asked in text without turns, which an endpoint does not take: "
            "give the model a family with a system turn ('gpt')"
        )
    return found


def _in_words(row: Prompt, wording: Wording) -> Wording:
    if [message.role for message in row.messages] != ["user"]:
        raise PrimumError(
            f"{row.id}: is a conversation, and a published wording is of one request: leave 'wording' out"
        )
    return filled(wording, {"question": row.messages[0].content})


def _with_system(messages: Sequence[Message], system: str) -> list[Message]:
    """The conversation behind the set's system prompt, which goes before a conversation's own in one turn."""
    if not system:
        return list(messages)
    if messages[0].role == "system":
        return [Message("system", f"{system}\n\n{messages[0].content}"), *messages[1:]]
    return [Message("system", system), *messages]


def to_table(rows: Sequence[Prompt], responses: Sequence[Response]) -> pa.Table:
    """Prompts and their responses as a table of :data:`SCHEMA`; both in the same order, by id."""
    records: list[dict[str, Any]] = [
        {
            "id": row.id,
            "category": row.category,
            "request": transcript(row.messages),
            **response_columns(response),
        }
        for row, response in zip(rows, responses, strict=True)
    ]
    return pa.Table.from_pylist(records, schema=SCHEMA)
