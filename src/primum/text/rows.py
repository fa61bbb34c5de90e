"""The row types that every stage below curation reads: one frozen class a task, with its Arrow schema.

A dataset of any upstream format becomes rows of exactly one of these types (see ``primum.curate.adapters``). ``id`` is
unique within an artifact and starts with the dataset's name, so that a row can be traced through every later artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import pyarrow as pa

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_TAGS = pa.list_(pa.string())
_CRITERIA = pa.list_(pa.struct([("criterion", pa.string()), ("points", pa.float64()), ("tags", _TAGS)]))


def _schema(**columns: pa.DataType) -> pa.Schema:
    """All columns are required except those listed by their row class in ``NULLABLE``."""
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; ``role`` is ``system``, ``user`` or ``assistant``.

    A model that is asked in a published wording (:mod:`primum.text.published`) has ``verbatim`` parts around a ``user`` part.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Criterion:
    """What a response may meet or not, and the points that it then has: below 0 where meeting it is a fault.

    ``tags`` are the upstream's groups of criteria, such as ``axis:accuracy``.
    """

    criterion: str
    points: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextRow:
    """Plain text for pretraining."""

    id: str
    source: str
    text: str
    SCHEMA: ClassVar[pa.Schema] = _schema(id=pa.string(), source=pa.string(), text=pa.string())


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A conversation whose assistant turns are demonstrations."""

    id: str
    source: str
    messages: tuple[Message, ...]
    SCHEMA: ClassVar[pa.Schema] = _schema(id=pa.string(), source=pa.string(), messages=_MESSAGES)


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """A prompt with a preferred and a dispreferred response."""

    id: str
    source: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    SCHEMA: ClassVar[pa.Schema] = _schema(
        id=pa.string(), source=pa.string(), prompt=_MESSAGES, chosen=pa.string(), rejected=pa.string()
    )


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A multiple-choice question; ``target`` is the 0-based index of the right choice.

    ``context`` is what the question is about (an abstract, a passage) and may be empty. ``explanation`` is what the
    upstream says about the right answer, empty where it says nothing; it is used in training and never in evaluation.
    """

    id: str
    source: str
    subject: str
    context: str
    question: str
    choices: tuple[str, ...]
    target: int
    explanation: str = ""
    SCHEMA: ClassVar[pa.Schema] = _schema(
        id=pa.string(),
        source=pa.string(),
        subject=pa.string(),
        context=pa.string(),
        question=pa.string(),
        choices=pa.list_(pa.string()),
        target=pa.int32(),
        explanation=pa.string(),
    )


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """An upstream record as it is, a JSON object: what the templates of a task file for raw columns read."""

    id: str
    source: str
    document: str
    SCHEMA: ClassVar[pa.Schema] = _schema(id=pa.string(), source=pa.string(), document=pa.string())


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request whose answer is judged. ``category`` is the principle or the harm category it falls under.

    ``safe_response`` is the upstream's demonstration of a safe answer, empty where it has none.
    """

    id: str
    source: str
    category: str
    request: str
    safe_response: str = ""
    SCHEMA: ClassVar[pa.Schema] = _schema(
        id=pa.string(), source=pa.string(), category=pa.string(), request=pa.string(), safe_response=pa.string()
    )


@dataclass(frozen=True, slots=True)
class GradedRow:
    """A request, a response and the harm score (1-5) it was given: what a judge model is trained and checked on.

    Where the dataset's adapter says so, the score is a class of refusal instead: 1 compliance, 2 partial, 3 refusal.
    """

    id: str
    source: str
    request: str
    response: str
    score: int
    SCHEMA: ClassVar[pa.Schema] = _schema(
        id=pa.string(), source=pa.string(), request=pa.string(), response=pa.string(), score=pa.int32()
    )


@dataclass(frozen=True, slots=True)
class RubricRow:
    """A conversation that waits for an answer, and the criteria that the answer is judged by.

    ``category`` is the theme it falls under, empty where it has none; ``tags`` are all of the upstream's groups of conversations.
    """

    id: str
    source: str
    category: str
    messages: tuple[Message, ...]
    criteria: tuple[Criterion, ...]
    tags: tuple[str, ...] = ()
    SCHEMA: ClassVar[pa.Schema] = _schema(
        id=pa.string(), source=pa.string(), category=pa.string(), messages=_MESSAGES, criteria=_CRITERIA, tags=_TAGS
    )


SAMPLES = _schema(
    id=pa.string(),
    source=pa.string(),
    prompt=_MESSAGES,
    response=pa.string(),
    status=pa.string(),
    prompt_tokens=pa.int32(),
    completion_tokens=pa.int32(),
    error=pa.string(),
)


@dataclass(frozen=True, slots=True)
class RankedRow:
    """One of the responses that a model gave to a prompt; ``reward`` is what its ranker gave it, the more the better.

    ``status`` is ``ranked``, or why there is no reward.
    """

    id: str
    source: str
    prompt_id: str
    draw: int
    prompt: tuple[Message, ...]
    response: str
    status: str
    reward: float | None
    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            *_schema(
                id=pa.string(),
                source=pa.string(),
                prompt_id=pa.string(),
                draw=pa.int32(),
                prompt=_MESSAGES,
                response=pa.string(),
                status=pa.string(),
            ),
            pa.field("reward", pa.float64(), nullable=True),
        ]
    )


@dataclass(frozen=True, slots=True)
class Drop:
    """An upstream record that became no row, and why (a slug such as ``no-answer``): it is counted, never lost."""

    id: str
    reason: str


UpstreamRow = TextRow | ChatRow | PreferenceRow | ChoiceRow | DocumentRow | RequestRow | GradedRow | RubricRow
Row = UpstreamRow | RankedRow
ROW_TYPES: Mapping[str, type[UpstreamRow]] = {
    "text": TextRow,
    "chat": ChatRow,
    "preference": PreferenceRow,
    "choice": ChoiceRow,
    "document": DocumentRow,
    "request": RequestRow,
    "graded": GradedRow,
    "rubric": RubricRow,
}


def to_table(rows: Iterable[Row], row_type: type[Row]) -> pa.Table:
    """Rows as a table of ``row_type``'s schema, in id order."""
    ordered = sorted(rows, key=lambda row: row.id)
    columns = [_column([getattr(row, field.name) for row in ordered], field.type) for field in row_type.SCHEMA]
    return pa.Table.from_arrays(columns, schema=row_type.SCHEMA)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind == _CRITERIA:
        values = [[{f.name: getattr(each, f.name) for f in kind.value_type} for each in row] for row in values]
    if kind != _MESSAGES:
        return pa.array(values, type=kind)
    # As columns of roles and texts: as dictionaries they would take 30 times as long.
    turns = [message for messages in values for message in messages]
    ends = list(accumulate(map(len, values), initial=0))
    columns = [pa.array([getattr(turn, name) for turn in turns], type=pa.string()) for name in ("role", "content")]
    records = pa.StructArray.from_arrays(columns, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends, type=pa.int32()), records, type=kind)


def from_table(table: pa.Table, row_type: type[Row]) -> list[Any]:
    """The inverse of :func:`to_table`."""
    rows = []
    for record in table.select(row_type.SCHEMA.names).to_pylist():
        for name in ("messages", "prompt"):
            if name in record:
                record[name] = tuple(Message(**message) for message in record[name])
        if "criteria" in record:
            record["criteria"] = tuple(
                Criterion(each["criterion"], each["points"], tuple(each["tags"])) for each in record["criteria"]
            )
        for name in ("choices", "tags"):
            if name in record:
                record[name] = tuple(record[name])
        rows.append(row_type(**record))
    return rows
