"""Stages ``judge`` and ``agreement``: a judge is asked about a model's responses, or about graded ones: for harm, or refusal.

Its answers are paid for, so nothing here reads them: the stage ``verdicts`` does, and another reading asks for nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import Conversation, identified, refuse_many_errors, tokens_spent
from primum.experiment.types import Sampling
from primum.judge.unanswered import NO_RESPONSE, NOT_ANSWERED
from primum.text import published
from primum.text.answer_line import answer_line, asked_code, is_no_verdict, repair
from primum.text.rows import GradedRow, Message, from_table
from primum.text.rubric import DEFAULT, question
from primum.text.scales import SCALES

EMPTY = "empty"
CLASSES = "refusal-classes"
# ``nonce`` is the code that the judge was asked to repeat in its last line, empty where its rubric asks for none; ``repair`` what
# it answered when it was asked once more for that line alone, all three of it empty where it was not.
SCHEMA = pa.schema(
    [
        pa.field(name, pa.string(), nullable=False)
        for name in (
            *("id", "category", "nonce", "status", "raw", "reasoning", "error"),
            *("repair_status", "repair", "repair_error"),
        )
    ]
)


@dataclass(frozen=True, slots=True)
class Case:
    """One response to be judged; ``unasked`` is the status of one that nobody is asked about, and "" of all others."""

    id: str
    category: str
    request: str
    response: str
    unasked: str = ""


def run(job: Job) -> Iterator[Result]:
    """One table of :data:`SCHEMA` for each table of responses, in its order.

    Reads ``judge`` (the judge model's folder), and ``responses`` or ``graded`` (GradedRow), or has responses that speak to their
    judge in its spec (``canary``). ``status`` is the engine's, or
    ``no-response`` for a response that was never given, which nobody is asked about. Nor is a judge of ``refusal-classes`` about
    one that is ``empty``: it neither complies nor declines. An answer that is plainly no verdict is
    followed by one question, in the same conversation, for the line that was asked for. Raises PrimumError when more than 20%
    of the questions about a table failed.
    """
    if job.items:
        for item, engine in with_engines(job.common["engine"], job.items[0].one("judge"), job.items, job.progress):
            yield _judge(job, item, engine)


def _cases(item: Item, kind: str) -> list[Case]:
    if "canary" in item.spec:
        return [Case(row["id"], DEFAULT, row["request"], row["response"]) for row in item.spec["canary"]]
    if "graded" in item.inputs:
        rows: list[GradedRow] = from_table(item.one("graded").table(), GradedRow)
        return [Case(row.id, DEFAULT, row.request, row.response, _unasked(row.response, kind)) for row in rows]
    return [
        Case(
            *(row["id"], row["category"], row["request"], row["response"]),
            NO_RESPONSE if row["status"] in NOT_ANSWERED else _unasked(row["response"], kind),
        )
        for row in item.one("responses").table().to_pylist()
    ]


def _unasked(response: str, kind: str) -> str:
    return EMPTY if kind == CLASSES and not response.strip() else ""


def _rubric(item: Item, common: Mapping[str, Any]) -> dict[str, Any]:
    """``common`` with what a judge is asked in its authors' words, read from their code, where it has no rubric of its own."""
    if "published" not in common:
        return dict(common)
    return {**common, "template": published.judge(item.one("published"), common["published"]), "policies": {}}


def _judge(job: Job, item: Item, engine: Engine) -> Result:
    common, cases, started = _rubric(item, job.common), _cases(item, job.common["kind"]), time.monotonic()
    questions = [
        question(common["template"], common["policies"], case.category, case.request, case.response)
        for case in cases
        if not case.unasked
    ]

    def ask(conversations: Sequence[Conversation]) -> list[Response]:
        def report(done: int, tokens: int) -> None:
            job.progress.update(item.name, done, len(conversations), tokens, "tokens")

        return engine.chat(conversations, Sampling(**common["sampling"]), common["seed"], report)

    answers = ask(questions)
    refuse_many_errors(item.name, answers)
    answered = [case for case in cases if not case.unasked]
    again = {
        case.id: (*asked, Message("assistant", answer.text), repair(_line(common, case), SCALES[common["kind"]][-1]))
        for case, asked, answer in zip(answered, questions, answers, strict=True)
        # An empty answer is no turn that a conversation could go on from.
        if answer.status == "stop" and answer.text.strip() and is_no_verdict(answer.text, _code(common, case))
    }
    repairs = ask(list(again.values())) if again else []
    refuse_many_errors(item.name, [*answers, *repairs])
    records = list(_records(common, cases, answers, dict(zip(again, repairs, strict=True))))
    return Result(
        item,
        table=pa.Table.from_pylist(records, schema=SCHEMA),
        counts=_counts(records),
        cost={
            **tokens_spent([*answers, *repairs]),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def _line(common: Mapping[str, Any], case: Case) -> str:
    return answer_line(common["template"], case.request, case.response)


def _code(common: Mapping[str, Any], case: Case) -> str:
    return asked_code(common["template"], case.request, case.response)


def _records(
    common: Mapping[str, Any], cases: Sequence[Case], answers: Sequence[Response], repairs: Mapping[str, Response]
) -> Iterator[dict[str, Any]]:
    given = iter(answers)
    for case in cases:
        answer = Response("", case.unasked) if case.unasked else next(given)
        again = repairs.get(case.id, Response("", ""))
        yield {
            "id": case.id,
            "category": case.category,
            "nonce": _code(common, case),
            "status": answer.status,
            "raw": answer.text,
            "reasoning": answer.reasoning,
            "error": answer.error,
            "repair_status": again.status,
            "repair": again.text,
            "repair_error": again.error,
        }


def _counts(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows in all, by status, those that were asked about once more, and the engine's errors by class."""
    counts: dict[str, Any] = {"rows": len(records), **dict(sorted(Counter(r["status"] for r in records).items()))}
    counts |= {"repairs": repairs} if (repairs := sum(bool(record["repair_status"]) for record in records)) else {}
    errors = Counter(record["error"] for record in records if record["error"])
    return {**counts, "errors": dict(sorted(errors.items()))} if errors else counts
