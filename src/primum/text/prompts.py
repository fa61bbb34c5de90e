"""Prompts: what a model is asked, taken from the rows of any dataset, and seeded samples of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import pyarrow as pa

from primum.errors import PrimumError
from primum.text.choices import render_choice
from primum.text.rows import ChatRow, ChoiceRow, Message, PreferenceRow, RequestRow, RubricRow, from_table


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Identified = TypeVar("Identified", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that waits for an answer. ``category`` is what it falls under, empty where its row has none."""

    id: str
    source: str
    messages: tuple[Message, ...]
    category: str = ""


def take(rows: Sequence[Identified], count: int | None, seed: int) -> list[Identified]:
    """A seeded sample of ``count`` rows (all if None or fewer), in id order.

    Rows are ranked by a hash of seed and id, so a larger sample holds the smaller one.
    """
    ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}:{row.id}".encode()).digest())
    return sorted(ranked[:count], key=lambda row: row.id)


def prompts_of(table: pa.Table, choice_prompt: str) -> Iterator[Prompt | None]:
    """The prompts in a table of rows: of pairs their own, of requests the request, of questions ``choice_prompt`` filled in.

    Of a conversation all before its last answer, and None where nobody asks or answers. PrimumError for rows of another type.
    """
    if table.schema.equals(PreferenceRow.SCHEMA):
        yield from (Prompt(row.id, row.source, row.prompt) for row in from_table(table, PreferenceRow))
    elif table.schema.equals(RequestRow.SCHEMA):
        for row in from_table(table, RequestRow):
            yield Prompt(row.id, row.source, (Message("user", row.request),), row.category)
    elif table.schema.equals(RubricRow.SCHEMA):
        yield from (Prompt(row.id, row.source, row.messages, row.category) for row in from_table(table, RubricRow))
    elif table.schema.equals(ChoiceRow.SCHEMA):
        for row in from_table(table, ChoiceRow):
            yield Prompt(row.id, row.source, (Message("user", render_choice(choice_prompt, row)),))
    elif table.schema.equals(ChatRow.SCHEMA):
        for row in from_table(table, ChatRow):
            last = max((i for i, message in enumerate(row.messages) if message.role == "assistant"), default=0)
            yield Prompt(row.id, row.source, row.messages[:last]) if last else None
    else:
        raise PrimumError("its rows hold no prompts: use pairs, requests, questions or conversations")
