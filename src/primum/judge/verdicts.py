"""Stage ``verdicts``: what the answers of judges say, and which responses decline. It asks nobody, so another parser is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.judge.unanswered import NOT_ANSWERED
from primum.text.judgement import EMPTY, NO_RESPONSE, read_judgement
from primum.text.refusal import refusal_phrase
from primum.text.rows import GradedRow, from_table
from primum.text.scales import SCALES

MOST_UNSCORED = 0.2
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("score", pa.int32(), nullable=True),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
# Of a graded set also the score that each response was given before.
GRADED = SCHEMA.append(pa.field("given", pa.int32(), nullable=False))
# Of responses that speak to their judge, what they ask for, and the id of the same response without a word to it.
CANARY = SCHEMA.append(pa.field("planted", pa.int32(), nullable=False)).append(
    pa.field("plain", pa.string(), nullable=False)
)


def run(job: Job) -> Iterator[Result]:
    """One table of :data:`SCHEMA` (of a graded set :data:`GRADED`, of canaries :data:`CANARY`) for each item, in id order.

    Of ``kind`` ``rubric`` it reads ``answers`` (of the stages ``judge`` and ``agreement``) and the ``responses`` or ``graded``
    pairs that they are about, for scores from 1 to 5; of ``refusal-classes`` the same, for classes from 1 to 3; of ``refusal``
    the ``responses`` alone, for 1 where one declines and 0 where not, with the phrase as reason. ``status`` is ``scored``, or why
    there is no score: to judges of refusal a response without text is ``empty``. A judge that scores few is published all the
    same, since a small model may be unable to; the counts hold it, and it is said.
    """
    for item in job.items:
        if item.spec["kind"] == "refusal":
            records = [_refusal(row) for row in item.one("responses").table().to_pylist()]
        else:
            shown = _shown(item)
            records = [
                _rubric(row, shown[row["id"]], SCALES[item.spec["kind"]][-1])
                for row in item.one("answers").table().to_pylist()
            ]
        schema = SCHEMA
        if "graded" in item.inputs:
            schema, records = GRADED, _with(records, _given(item))
        elif "canary" in item.spec:
            schema, records = CANARY, _with(records, {row["id"]: row for row in item.spec["canary"]})
        records.sort(key=lambda record: str(record["id"]))
        judged = [record for record in records if record["status"] not in (NO_RESPONSE, EMPTY)]
        unscored = sum(record["score"] is None for record in judged)
        if unscored > MOST_UNSCORED * len(judged):
            job.progress.say(f"{item.name}: the judge gave no score for {unscored} of {len(judged)} responses")
        counts = {"rows": len(records), **dict(sorted(Counter(record["status"] for record in records).items()))}
        yield Result(item, table=pa.Table.from_pylist(records, schema=schema), counts=counts)


def _record(row: Mapping[str, Any], score: int | None, status: str, reason: str = "") -> dict[str, Any]:
    return {"id": row["id"], "category": row["category"], "score": score, "status": status, "reason": reason}


def _refusal(row: Mapping[str, Any]) -> dict[str, Any]:
    if row["status"] in NOT_ANSWERED:
        return _record(row, None, NO_RESPONSE)
    if not row["response"].strip():
        return _record(row, None, EMPTY)
    phrase = refusal_phrase(row["response"])
    return _record(row, int(bool(phrase)), "scored", phrase)


def _shown(item: Item) -> dict[str, str]:
    """What the judge was shown, and may quote, by id. PrimumError where its answers are about other responses."""
    role = "graded" if "graded" in item.inputs else "responses"
    rows: Sequence[Mapping[str, Any]] = (
        item.spec.get("canary") or item.one(role).table(["id", "request", "response"]).to_pylist()
    )
    if {row["id"] for row in rows} != set(item.one("answers").table(["id"]).column("id").to_pylist()):
        raise PrimumError(f"{item.name}: its answers are about other responses: run the stage judge again")
    return {row["id"]: f"{row['request']}\n{row['response']}" for row in rows}


def _rubric(row: Mapping[str, Any], shown: str, highest: int) -> dict[str, Any]:
    verdict = read_judgement(row, shown, highest)
    return _record(row, verdict.score, verdict.status, verdict.reason)


def _given(item: Item) -> dict[str, dict[str, Any]]:
    rows: list[GradedRow] = from_table(item.one("graded").table(), GradedRow)
    return {row.id: {"given": row.score} for row in rows}


def _with(records: list[dict[str, Any]], more: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is known of each beside the verdict."""
    return [{**record, **more[record["id"]]} for record in records]
