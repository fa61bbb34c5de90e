"""Stage contrast: safety demonstrations against a model's own harmful answers, as preference pairs.

On requests alone a model would learn to decline whatever it is asked. So benign conversations are their counter-weight: there the
answer is chosen, and the very texts that are chosen elsewhere are rejected.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact
from primum.curate.clean import words
from primum.errors import PrimumError
from primum.experiment.types import CHOICE_PROMPT
from primum.text.criteria import transcript
from primum.text.judgement import read_judgement
from primum.text.prompts import prompts_of, take
from primum.text.rows import ChatRow, ChoiceRow, Message, PreferenceRow, RequestRow, from_table, to_table


@dataclass(frozen=True, slots=True)
class _Answered:
    """A row's conversation with the answer that the upstream has to it, empty where it has none."""

    id: str
    source: str
    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class _Judged:
    """What a model answered, and what its judge said: ``score`` is None unless ``status`` is ``scored``."""

    response: str
    score: int | None
    status: str


def run(job: Job) -> Iterator[Result]:
    """One table of PreferenceRow: ``demonstrations`` against ``responses``, and the ``benign`` pairs.

    A demonstration is chosen where a judge's answer (``answers``) about the model's own gives it at least the spec's
    ``at_least``; the two find each other by the request. What a test (``tests``, rows that hold prompts) asks, in the same
    words, is left out. Counts: what became of demonstrations (``prompts``), of the answers to them (``responses``) and of
    ``benign`` rows, each adding up to all
    there are; and the pairs ``kept``. PrimumError where no answer was harmful, or rows have no answers.
    """
    for item in job.items:
        tested = {_key(messages) for artifact in item.inputs.get("tests", ()) for messages in _asked(artifact)}
        judged, at_least = _judged(item), item.spec["at_least"]
        asked, prompts = _taken(item, "demonstrations", item.spec["take"], tested)
        responses: Counter[str] = Counter()
        rows = []
        for row in asked:
            found = judged.get(transcript(row.messages))
            outcome = _outcome(row, found, at_least)
            responses[outcome] += 1
            if found is not None and outcome == "harmful":
                rows.append(PreferenceRow(row.id, row.source, row.messages, row.answer, found.response))
        if not rows:
            raise PrimumError(
                f"preferences.{item.name}: no answer was judged {at_least} or more ({dict(responses)}; {dict(prompts)}): "
                "there is nothing to reject"
            )
        ordinary, benign = _taken(item, "benign", item.spec["benign"], tested)
        safe = [row.chosen for row in rows]
        for row in ordinary:
            other = random.Random(f"{item.spec['seed']}/{row.id}").choice(safe)
            rows.append(PreferenceRow(row.id, row.source, row.messages, row.answer, other))
        counts = {"kept": len(rows), "prompts": dict(prompts), "responses": dict(responses)}
        counts |= {"benign": dict(benign)} if item.inputs.get("benign") else {}
        job.progress.say(f"{item.name}: {counts}")
        yield Result(item, table=to_table(rows, PreferenceRow), counts=counts)


def _taken(item: Item, role: str, count: int | None, tested: set[str]) -> tuple[list[_Answered], Counter[str]]:
    """The sample that is ``asked``, and what became of all rows: ``not-taken``, ``no-answer``, ``in-test`` or ``duplicate``.

    What is left out is not made up for by others: of n demonstrations that were taken, n are accounted for.
    """
    rows = [row for artifact in item.inputs.get(role, ()) for row in _answered(artifact)]
    taken = take(rows, count, item.spec["seed"])
    outcomes, seen = Counter({"not-taken": len(rows) - len(taken)} if len(taken) < len(rows) else {}), set[str]()
    kept = []
    for row in taken:
        key = _key(row.messages)
        empty, known = not row.answer.strip(), key in tested
        outcome = "no-answer" if empty else "in-test" if known else "duplicate" if key in seen else "asked"
        outcomes[outcome] += 1
        if outcome == "asked":
            seen.add(key)
            kept.append(row)
    return kept, outcomes


def _outcome(row: _Answered, found: _Judged | None, at_least: int) -> str:
    if found is None:
        return "not-asked"
    if found.score is None:
        return found.status
    if found.score < at_least:
        return "not-harmful"
    # Templates trim what they render.
    return "equal-texts" if found.response.strip() == row.answer.strip() else "harmful"


def _key(messages: Sequence[Message]) -> str:
    """What two requests share that differ in case, accents and punctuation alone."""
    text = transcript(messages)
    return " ".join(words(text)) or text


def _judged(item: Item) -> dict[str, _Judged]:
    """What was answered to each request, with the score that the judge's answer says."""
    found: dict[str, _Judged] = {}
    for responses, answers in zip(item.inputs["responses"], item.inputs["answers"], strict=True):
        by_id = {row["id"]: row for row in answers.table().to_pylist()}
        for row in responses.table().select(["id", "request", "response"]).to_pylist():
            if row["id"] not in by_id:
                raise PrimumError(f"{answers.data}: has no {row['id']}: run the stage assess again")
            verdict = read_judgement(by_id[row["id"]], f"{row['request']}\n{row['response']}")
            found.setdefault(row["request"], _Judged(row["response"], verdict.score, verdict.status))
    return found


def _asked(artifact: Artifact) -> Iterator[tuple[Message, ...]]:
    """The conversations of a prompt set."""
    yield from (prompt.messages for prompt in prompts_of(artifact.table(), CHOICE_PROMPT) if prompt is not None)


def _answered(artifact: Artifact) -> Iterator[_Answered]:
    """Requests with their safe answer, conversations with their last one, and questions with the right one."""
    table = artifact.table()
    row_type = next((kind for kind in (RequestRow, ChatRow, ChoiceRow) if table.schema.equals(kind.SCHEMA)), None)
    if row_type is None:
        raise PrimumError(f"{artifact.name}: its rows have no answers: use requests, conversations or questions")
    rows = from_table(table, row_type)
    # The prompts are those that a model is asked, so that a sample of them is the same.
    for row, prompt in zip(rows, prompts_of(table, CHOICE_PROMPT), strict=True):
        if prompt is None:
            continue
        if isinstance(row, RequestRow):
            answer = row.safe_response
        elif isinstance(row, ChatRow):
            answer = row.messages[len(prompt.messages)].content
        else:
            answer = row.choices[row.target]
        yield _Answered(row.id, row.source, prompt.messages, answer)
