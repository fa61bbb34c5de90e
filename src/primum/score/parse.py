"""Stage parse: what stored answers say, and whether it is right. It asks no model, so that another parser costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.score.asked import Asked, asked, rows
from primum.score.contaminated import mark
from primum.score.documents import cluster
from primum.score.flexible import read_flexibly
from primum.score.items import SCORES
from primum.score.strict import read_answer
from primum.score.written import Written, written
from primum.text.thinking import Said, separate

METHOD = "generation"
SCORED, NO_ANSWER, CUT, CUT_IN_THINKING = "scored", "no-answer", "length", "length-in-thinking"
# ``answer`` is without the model's thinking, which is counted; the stage ``answer`` keeps both as they came. ``read`` and
# ``read_flexibly`` are what a text task compares with its targets, null for options. What is flexible is null where a task has
# one way of reading alone.
WORDED = pa.schema(
    [
        *SCORES,
        pa.field("flexible_prediction", pa.int32()),
        pa.field("flexible_correct", pa.bool_()),
        pa.field("read", pa.string()),
        pa.field("read_flexibly", pa.string()),
        pa.field("thinking_characters", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says: an option's place (-1 for none), or for a text task the text. ``correct`` is None where not read."""

    correct: bool | None
    prediction: int | None = -1
    text: str | None = None


def run(job: Job) -> Iterator[Result]:
    """One table (``WORDED``) for each model and benchmark, ``method`` "generation", without log-likelihoods.

    Reads ``answers``, ``benchmarks`` (their questions, for the targets) and ``overlaps``. ``status`` is ``scored`` where the
    strict reading found an answer, ``no-answer`` where it did not, ``length`` where the answer was cut off and
    ``length-in-thinking`` where the model had not begun it, else the engine's: ``prompt-too-long``, ``error``. All but the
    first have prediction -1 and count as wrong. The text tasks of lm-eval are read however they end, as there, and have
    ``cut`` as a count. Counts: items, correct, flexible, items by status, thinking (items and characters).
    """
    for item in job.items:
        records = list(_texts(item) if item.spec.get("generate_until") is not None else _options(item))
        mark(records, item, item.spec["from_scratch"])
        records.sort(key=lambda record: str(record["id"]))
        cut = sum(record.pop("cut") for record in records)
        counts: dict[str, Any] = {"items": len(records), "correct": sum(record["correct"] for record in records)}
        counts["flexible"] = sum(bool(record["flexible_correct"]) for record in records)
        counts |= dict(sorted(Counter(record["status"] for record in records).items()))
        if thinking := [record["thinking_characters"] for record in records if record["thinking_characters"]]:
            counts["thinking"] = {"items": len(thinking), "characters": sum(thinking)}
        if cut and item.spec.get("generate_until") is not None:
            counts["cut"] = cut
        yield Result(item, table=pa.Table.from_pylist(records, schema=WORDED), counts=counts)


def _options(item: Item) -> Iterator[dict[str, Any]]:
    items = {each.id: each for each in asked(item)}
    for answer in _answers(item, items):
        one: Asked = items[answer["item"]]
        said, status = _said(answer)
        whole = status == SCORED
        strict = read_answer(said.answer, len(one.options)) if whole else None
        flexible = read_flexibly(said.answer, one.options) if whole else None
        status = NO_ANSWER if whole and strict is None else status
        yield _record(
            answer,
            one.subject,
            said,
            status,
            Reading(strict == one.target, -1 if strict is None else strict),
            Reading(flexible == one.target, -1 if flexible is None else flexible),
            choices=len(one.options),
            target=one.target,
            cluster=one.cluster,
        )


def _texts(item: Item) -> Iterator[dict[str, Any]]:
    items = {each.document.id: each for each in written(rows(item), item.spec)}
    together: dict[str, list[dict[str, Any]]] = {}
    for answer in _answers(item, items):
        together.setdefault(answer["question"], []).append(answer)
    for several in together.values():
        several.sort(key=lambda answer: int(answer["repeat"]))
        one: Written = items[several[0]["item"]]
        all_said = [_said(answer) for answer in several]
        said, status = all_said[0]
        status = SCORED if status == CUT else status
        strict, flexible = Reading(False), Reading(None, None)
        if status == SCORED:
            found = one.read([each.answer for each, _ in all_said])
            strict = Reading(found[0].correct, -1, found[0].text)
            flexible = Reading(found[-1].correct, None, found[-1].text) if len(found) > 1 else flexible
            status = NO_ANSWER if found[0].fell_back else status
        yield {
            **_record(
                {**several[0], "id": several[0]["question"]},
                one.document.subject,
                said,
                status,
                strict,
                flexible,
                cluster=cluster(one.document, item.spec),
            ),
            "cut": any(cut == CUT for _, cut in all_said),
        }


def _answers(item: Item, items: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    answers: list[dict[str, Any]] = item.one("answers").table().to_pylist()
    if {answer["item"] for answer in answers} != set(items):
        raise PrimumError(f"{item.name}: its answers are to other questions: run the stage answer again")
    return answers


def _said(answer: Mapping[str, Any]) -> tuple[Said, str]:
    """What is answered, and a status: ``scored`` where that can be read."""
    said, status = separate(answer["response"], answer["reasoning"]), str(answer["status"])
    if status not in ("stop", "length"):
        return said, status
    if status == "length":
        return said, CUT_IN_THINKING if said.open else CUT
    return said, SCORED


def _record(
    answer: Mapping[str, Any],
    subject: str,
    said: Said,
    status: str,
    strict: Reading,
    flexible: Reading,
    choices: int = 0,
    target: int = 0,
    cluster: str | None = None,
) -> dict[str, Any]:
    return {
        "id": answer["id"],
        "item": answer["item"],
        "subject": subject,
        "seed": answer["seed"],
        "method": METHOD,
        "status": status,
        "choices": choices,
        "loglikelihoods": [],
        "greedy": [],
        "perplexity": None,
        "tokens": [],
        "characters": [],
        "context_tokens": answer["prompt_tokens"],
        "prediction": strict.prediction,
        "target": target,
        "correct": bool(strict.correct),
        "truncated": False,
        "lost_left": 0,
        "lost_right": 0,
        "contaminated": None,
        "answer": said.answer,
        "cluster": cluster,
        "flexible_prediction": flexible.prediction,
        "flexible_correct": flexible.correct,
        "read": strict.text,
        "read_flexibly": flexible.text,
        "thinking_characters": len(said.thinking),
        "cut": False,
    }
