"""Stage answer: a model that gives no log-likelihoods is asked each question, and its answer is read by a strict parser."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, tokens_spent
from primum.experiment.types import Sampling
from primum.score.documents import choices, documents, target
from primum.score.documents import question as document_question
from primum.score.items import SCORES
from primum.text.choices import choice_values
from primum.text.rows import ChoiceRow, DocumentRow, Message, from_table

METHOD = "generation"
SCORED, NO_ANSWER = "scored", "no-answer"
# An item without an answer counts as wrong, so that only few may lack one because a request failed.
MOST_ERRORS = 0.05
_INSTRUCTION = 'Choose one option. End with a line that holds only "Answer: " and the letter of that option.'
_STATED = re.compile(r"answer[ \t*]*:[ \t*]*(.*)", re.ASCII | re.IGNORECASE)
# ASCII capitals alone, as the options are lettered: there are letters of other scripts that look the same.
_LETTER = re.compile(r"\(?([A-Z])\)?\.?", re.ASCII)


def run(job: Job) -> Iterator[Result]:
    """One table (``SCORES``) a benchmark, ``method`` "generation", without log-likelihoods and with the raw ``answer``.

    Reads ``model`` (a folder) and ``benchmarks`` (ChoiceRow or DocumentRow, one artifact an item); ``common`` holds ``engine``,
    ``sampling`` and ``seed``. ``status`` is ``scored`` where an answer was read, ``no-answer`` where it was not, else the
    engine's: ``length`` (the answer was cut off), ``prompt-too-long``, ``error``. All but the first have prediction -1 and
    count as wrong. Counts: items, correct, items by status, errors by class. PrimumError when over 5% of the requests
    failed.
    """
    if not job.items:
        return
    for item, engine in with_engines(job.common["engine"], job.items[0].one("model"), job.items, job.progress):
        yield _answer(job, item, engine)


def _answer(job: Job, item: Item, engine: Engine) -> Result:
    asked = _asked(item)
    started = time.monotonic()

    def report(done: int, tokens: int) -> None:
        job.progress.update(item.name, done, len(asked), tokens, "tokens")

    conversations = [[Message("user", each.text)] for each in asked]
    responses = engine.chat(conversations, Sampling(**job.common["sampling"]), job.common["seed"], report)
    refuse_many_errors(item.name, responses, MOST_ERRORS)
    records = [_record(*pair) for pair in zip(asked, responses, strict=True)]
    counts: dict[str, Any] = {"items": len(records), "correct": sum(record["correct"] for record in records)}
    counts |= dict(sorted(Counter(record["status"] for record in records).items()))
    if errors := Counter(response.error for response in responses if response.error):
        counts["errors"] = dict(sorted(errors.items()))
    return Result(
        item,
        table=pa.Table.from_pylist(records, schema=SCORES),
        counts=counts,
        cost={
            **tokens_spent(responses),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """One item as it is asked: the whole prompt, how many options it letters, and which of them is right."""

    id: str
    subject: str
    text: str
    choices: int
    target: int


def _asked(item: Item) -> list[Asked]:
    """Every row of the benchmark; of raw documents what the task (``Benchmark.asked``) makes of them."""
    table = item.one("benchmarks").table()
    if not table.schema.equals(DocumentRow.SCHEMA):
        rows: list[ChoiceRow] = from_table(table, ChoiceRow)
        return [Asked(row.id, row.subject, question(row), len(row.choices), row.target) for row in rows]
    result = []
    for document in documents(from_table(table, DocumentRow), item.spec):
        options = choices(document, item.spec)
        right = target(document, item.spec, options)
        row = ChoiceRow(
            document.id, "", document.subject, "", document_question(document, item.spec), tuple(options), right
        )
        # A task whose choices are bare letters has its options in the question already.
        listed = options == list(choice_values(row)["letters"])
        text = f"{row.question}\n\n{_INSTRUCTION}" if listed else question(row)
        result.append(Asked(row.id, row.subject, text, len(options), right))
    return sorted(result, key=lambda each: each.id)


def question(row: ChoiceRow) -> str:
    """A question with its context, its lettered options and how to answer. PrimumError for more options than letters."""
    letters = choice_values(row)["letters"]
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True))
    return "\n\n".join(part for part in (row.context, row.question, options, _INSTRUCTION) if part)


def read_answer(text: str, choices: int) -> int | None:
    """The index of the option that ``text`` answers with, None where it does not say so in one of two ways.

    Either a lone letter of an option (``B``, ``B.``, ``(B)``), or last a line ``Answer: B``, markdown's asterisks left
    out. Every line that begins so must give the same option: several answers, a letter that no option has, and more words
    in that line are no answer, however likely a reader would find one.
    """
    lines = [line for each in text.split("\n") if (line := each.strip(" \t\r*"))]
    if not lines:
        return None
    stated = [match[1] for line in lines if (match := _STATED.fullmatch(line))]
    if not stated:
        stated = lines if len(lines) == 1 else []
    elif not _STATED.fullmatch(lines[-1]):
        return None
    found = {_option(answer, choices) for answer in stated}
    return found.pop() if len(found) == 1 else None


def _option(answer: str, choices: int) -> int | None:
    match = _LETTER.fullmatch(answer)
    index = ord(match[1]) - ord("A") if match else choices
    return index if index < choices else None


def _record(asked: Asked, response: Response) -> dict[str, Any]:
    prediction = read_answer(response.text, asked.choices) if response.status == "stop" else None
    answered = response.status == "stop"
    read = SCORED if prediction is not None else NO_ANSWER
    return {
        "id": asked.id,
        "item": asked.id,
        "subject": asked.subject,
        "seed": 0,
        "method": METHOD,
        "status": read if answered else response.status,
        "choices": asked.choices,
        "loglikelihoods": [],
        "greedy": [],
        "perplexity": None,
        "tokens": [],
        "characters": [],
        "context_tokens": response.prompt_tokens,
        "prediction": -1 if prediction is None else prediction,
        "target": asked.target,
        "correct": prediction == asked.target,
        "truncated": False,
        "lost_left": 0,
        "lost_right": 0,
        "contaminated": None,
        "answer": response.text,
    }
