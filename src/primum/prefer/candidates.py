"""The responses to a prompt that are put before a ranker, and why others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeVar

import pyarrow as pa

from primum.artifact.job import Item, Job
from primum.engine.protocol import MOST_ERRORS
from primum.errors import PrimumError
from primum.text.rows import Message, RankedRow

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Candidates:
    """A prompt and its different responses, at least two."""

    id: str
    prompt: tuple[Message, ...]
    responses: tuple[str, ...]


class Ranker(Protocol):
    """What gives rewards. ``counts`` are those of its own, such as how many texts it had to cut."""

    counts: dict[str, int]

    def rewards(self, candidates: Sequence[Candidates]) -> list[list[float | str]]:
        """For each prompt a reward a response, the more the better; where there is none, the status that says why."""
        ...


def rows_of_draws(draws: Sequence[pa.Table]) -> list[RankedRow]:
    """Every response of every draw, by prompt and draw, with the status ``candidate`` or the reason why it is none.

    ``no-response`` was never given. ``cut`` ended at max_tokens: a model that learns from it learns to stop in the middle of a
    sentence. ``empty`` is white space alone, ``duplicate`` the same as an earlier one, white space around it left aside, and
    ``alone`` the only candidate of its prompt.
    """
    rows: list[RankedRow] = []
    records = sorted(
        ((record, draw) for draw, table in enumerate(draws) for record in table.to_pylist()),
        key=lambda pair: (pair[0]["id"], pair[1]),
    )
    for prompt_id, group in groupby(records, key=lambda pair: str(pair[0]["id"])):
        given, seen = list(group), set[str]()
        statuses = []
        for record, _ in given:
            status = _status(record["status"], record["response"].strip(), seen)
            seen.add(record["response"].strip())
            statuses.append(status)
        alone = statuses.count("candidate") == 1
        for (record, draw), status in zip(given, statuses, strict=True):
            rows.append(
                RankedRow(
                    id=f"{prompt_id}/{draw:03d}",
                    source=record["source"],
                    prompt_id=prompt_id,
                    draw=draw,
                    prompt=tuple(Message(**message) for message in record["prompt"]),
                    response=record["response"],
                    status="alone" if alone and status == "candidate" else status,
                    reward=None,
                )
            )
    return rows


def _status(answered: str, text: str, seen: set[str]) -> str:
    if answered not in ("stop", "length"):
        return "no-response"
    if answered == "length":
        return "cut"
    return "empty" if not text else "duplicate" if text in seen else "candidate"


def put_before(rows: Sequence[RankedRow]) -> tuple[list[Candidates], list[int]]:
    """The candidates by prompt, and where each of them is in ``rows``."""
    groups, places = [], []
    found = [(place, row) for place, row in enumerate(rows) if row.status == "candidate"]
    for prompt_id, group in groupby(found, key=lambda pair: pair[1].prompt_id):
        own = list(group)
        groups.append(Candidates(prompt_id, own[0][1].prompt, tuple(row.response for _, row in own)))
        places += [place for place, _ in own]
    return groups, places


def by_prompt(candidates: Sequence[Candidates], rewards: Sequence[float | str]) -> list[list[float | str]]:
    """The rewards of all responses, one prompt's after another's, as a list a prompt."""
    left = iter(rewards)
    return [[next(left) for _ in each.responses] for each in candidates]


def reward_fitting(
    job: Job,
    item: Item,
    candidates: Sequence[Candidates],
    encoded: Sequence[Row | None],
    length: Callable[[Row], int],
    limit: int,
    score: Callable[[list[Row], list[str]], Sequence[float]],
) -> list[list[float | str]]:
    """Rewards by prompt: ``score`` gives those of the rows of ``encoded``, one a response, of at most ``limit`` tokens.

    It is told the rows and the ids of their prompts. A longer one is ``too-long``; None, ``refused`` by the ranker's chat
    template. PrimumError where these are more than 20%, as of an engine's requests.
    """
    ids = [each.id for each in candidates for _ in each.responses]
    rows = {index: row for index, row in enumerate(encoded) if row is not None}
    _note_refused(job, item, len(encoded) - len(rows), len(encoded))
    fitting = [index for index, row in rows.items() if length(row) <= limit]
    given: dict[int, float | str] = dict.fromkeys(rows, "too-long")
    given |= zip(fitting, score([rows[i] for i in fitting], [ids[i] for i in fitting]), strict=True)
    return by_prompt(candidates, [given.get(index, "refused") for index in range(len(encoded))])


def _note_refused(job: Job, item: Item, refused: int, of: int) -> None:
    if refused:
        said = f"{item.name}: {refused:,} of {of:,} responses are refused by the ranker's chat template"
        if refused > MOST_ERRORS * of:
            raise PrimumError(f"{said}: set 'fold_system: true' for its model, or name another 'template'")
        job.progress.say(said)


def prompt_text(messages: Sequence[Message]) -> str:
    """A prompt as one text, for rankers without a chat template: a lone user turn bare, else each turn with its role."""
    if [message.role for message in messages] == ["user"]:
        return messages[0].content
    return "\n".join(f"{message.role.upper()}: {message.content}" for message in messages)
