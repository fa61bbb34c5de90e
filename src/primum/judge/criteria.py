"""Stage ``grade``: a judge is asked of each criterion of each response whether it is met. Its answers are kept as they are.

They are paid for, so nothing here reads them: the tables do (:mod:`primum.text.met`), and another reading asks for nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, tokens_spent
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.judge.unanswered import NO_RESPONSE, NOT_ANSWERED
from primum.text.criteria import criterion_question, transcript
from primum.text.rows import Message, RubricRow, from_table

SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "id": pa.string(),
            "example": pa.string(),
            "conversation": pa.string(),
            "tags": pa.list_(pa.string()),
            "response_status": pa.string(),
            "number": pa.int32(),
            "points": pa.float64(),
            "criterion_tags": pa.list_(pa.string()),
            "status": pa.string(),
            "raw": pa.string(),
            "error": pa.string(),
        }.items()
    ]
)


def run(job: Job) -> Iterator[Result]:
    """One table of :data:`SCHEMA` for each table of responses: a row a response and criterion, ``id`` the two of them.

    Reads ``judge`` (the judge model's folder), ``responses`` and ``prompts`` (RubricRow). ``status`` is the engine's, or
    ``no-response`` for the criteria of a response that was never given, which nobody is asked about. ``conversation`` is a hash
    of what was answered. Raises PrimumError when more than 20% of the questions about a table failed.
    """
    if job.items:
        for item, engine in with_engines(job.common["engine"], job.items[0].one("judge"), job.items, job.progress):
            yield _grade(job, item, engine)


def _grade(job: Job, item: Item, engine: Engine) -> Result:
    table = item.one("prompts").table()
    if not table.schema.equals(RubricRow.SCHEMA):
        raise PrimumError(f"{item.name}: its prompts have no criteria: use a dataset of the adapter healthbench")
    rows: dict[str, RubricRow] = {row.id: row for row in from_table(table, RubricRow)}
    given = item.one("responses").table(["id", "response", "status"]).to_pylist()
    if lacking := next((each["id"] for each in given if each["id"] not in rows), None):
        raise PrimumError(f"{item.name}: {lacking}: is no row of its prompts: run the stage generate again")
    started = time.monotonic()
    questions = [
        criterion_question(job.common["template"], transcript(rows[each["id"]].messages), each["response"], criterion)
        for each in given
        if each["status"] not in NOT_ANSWERED
        for criterion in rows[each["id"]].criteria
    ]

    def report(done: int, tokens: int) -> None:
        job.progress.update(item.name, done, len(questions), tokens, "tokens")

    answers = engine.chat(questions, Sampling(**job.common["sampling"]), job.common["seed"], report)
    refuse_many_errors(item.name, answers)
    records = sorted(_records(given, rows, iter(answers)), key=lambda record: str(record["id"]))
    return Result(
        item,
        table=pa.Table.from_pylist(records, schema=SCHEMA),
        counts={
            "responses": len(given),
            "rows": len(records),
            **dict(sorted(Counter(record["status"] for record in records).items())),
        },
        cost={**tokens_spent(answers), **identified(engine), "seconds": round(time.monotonic() - started, 3)},
    )


def _records(
    given: Sequence[Mapping[str, Any]], rows: Mapping[str, RubricRow], answers: Iterator[Response]
) -> Iterator[dict[str, Any]]:
    for each in given:
        row, unanswered = rows[each["id"]], each["status"] in NOT_ANSWERED
        conversation = conversation_hash(row.messages)
        for number, criterion in enumerate(row.criteria):
            answer = Response("", NO_RESPONSE) if unanswered else next(answers)
            yield {
                "id": f"{row.id}#{number:04d}",
                "example": row.id,
                "conversation": conversation,
                "tags": list(row.tags),
                "response_status": each["status"],
                "number": number,
                "points": criterion.points,
                "criterion_tags": list(criterion.tags),
                "status": answer.status,
                "raw": answer.text,
                "error": answer.error,
            }


def conversation_hash(messages: Sequence[Message]) -> str:
    """16 hex digits of what is answered: equal for equal conversations, whatever their rows are called."""
    content = canonical_json([[message.role, message.content] for message in messages])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
