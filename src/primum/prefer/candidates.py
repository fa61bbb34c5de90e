"""The responses to a prompt that are put before a ranker, and why others are not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import pyarrow as pa

from primum.artifact.job import Item
from primum.errors import PrimumError
from primum.text.rows import Message, RankedRow, to_table


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


def candidates_of(item: Item) -> tuple[list[RankedRow], list[Candidates], list[int]]:
    """All rows of an item's ``samples``, in id order, and what :func:`put_before` says of them.

    PrimumError where no prompt has two candidates.
    """
    rows = rows_of_draws([artifact.table() for artifact in item.inputs["samples"]])
    groups, places = put_before(rows)
    if not groups:
        statuses = dict(Counter(row.status for row in rows))
        raise PrimumError(f"{item.name}: no prompt has two different responses ({statuses}): raise n or temperature")
    return rows, groups, places


def ranked(
    item: Item, rows: Sequence[RankedRow], places: Sequence[int], rewards: Sequence[float | str]
) -> tuple[pa.Table, dict[str, int]]:
    """``rows`` as a table of RankedRow, those at ``places`` with their reward or the status that says why there is none.

    And the counts: prompts, and responses by status. PrimumError for a reward that is not finite.
    """
    found = list(rows)
    for place, reward in zip(places, rewards, strict=True):
        if isinstance(reward, str):
            found[place] = replace(found[place], status=reward)
        elif math.isfinite(reward):
            found[place] = replace(found[place], status="ranked", reward=reward)
        else:
            raise PrimumError(f"{item.name}: {found[place].id}: its reward is not finite: check the ranker's model")
    counts = {"prompts": len({row.prompt_id for row in found}), "responses": len(found)}
    return to_table(found, RankedRow), counts | dict(sorted(Counter(row.status for row in found).items()))


def prompt_text(messages: Sequence[Message]) -> str:
    """A prompt as one text, for rankers without a chat template: a lone user turn bare, else each turn with its role."""
    if [message.role for message in messages] == ["user"]:
        return messages[0].content
    return "\n".join(f"{message.role.upper()}: {message.content}" for message in messages)
