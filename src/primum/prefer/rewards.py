"""Stage ``rewards``: the rewards that a judge's answers say. It asks nobody, so another parser is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from primum.artifact.job import Job, Result
from primum.errors import PrimumError
from primum.prefer.candidates import candidates_of, prompt_text, ranked
from primum.text.rows import RankedRow
from primum.text.verdict import parse


def run(job: Job) -> Iterator[Result]:
    """One table of RankedRow, as :mod:`primum.prefer.rank` makes it with other rankers.

    Reads ``samples`` (``SAMPLES``, a draw each, in order) and ``answers`` (of the stage ``rate``). A reward is the score, or
    minus the score where ``common`` says that the ``best`` is the lowest. Without a score ``status`` is the parser's,
    ``judge-cut`` where the judge's answer was cut, and otherwise the engine's. Raises PrimumError where the answers are about
    other responses.
    """
    sign = 1 if job.common["best"] == "highest" else -1
    for item in job.items:
        rows, _, places = candidates_of(item)
        answers = {answer["id"]: answer for answer in item.one("answers").table().to_pylist()}
        if {rows[place].id for place in places} != answers.keys():
            raise PrimumError(f"{item.name}: its answers are about other responses: run the stage rate again")
        rewards = [_reward(rows[place], answers[rows[place].id], sign) for place in places]
        table, counts = ranked(item, rows, places, rewards)
        job.progress.say(f"{item.name}: {counts}")
        yield Result(item, table=table, counts=counts)


def _reward(row: RankedRow, answer: Mapping[str, Any], sign: int) -> float | str:
    if answer["status"] != "stop":
        # A response that was cut is none of the candidates: this is another status.
        return "judge-cut" if answer["status"] == "length" else str(answer["status"])
    verdict = parse(answer["raw"], answer["nonce"], f"{prompt_text(row.prompt)}\n{row.response}")
    return verdict.status if verdict.score is None else float(sign * verdict.score)
