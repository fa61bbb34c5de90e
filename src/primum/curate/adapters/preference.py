"""Preference pairs: a prompt with a chosen and a rejected response."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from primum.curate.adapters.files import RawFile
from primum.curate.adapters.records import Record, all_records
from primum.text.rows import Drop, Message, PreferenceRow

_ROLES = frozenset({"system", "user", "assistant"})


def ultrafeedback(files: Sequence[RawFile], dataset: str) -> Iterator[PreferenceRow | Drop]:
    """UltraFeedback, binarized (Cui et al. 2023, Tunstall et al. 2023).

    Equal scores are dropped as ``tie``, a chosen response that scored lower as ``scores-reversed``.
    """
    for _, record in all_records(files):
        chosen, rejected = (_number(record, column) for column in ("score_chosen", "score_rejected"))
        reason = ""
        if chosen is None or rejected is None:
            reason = "bad-label"
        elif chosen <= rejected:
            reason = "tie" if chosen == rejected else "scores-reversed"
        yield Drop(_id(record, dataset), reason) if reason else _pair(record, dataset)


def snorkel(files: Sequence[RawFile], dataset: str) -> Iterator[PreferenceRow | Drop]:
    """Snorkel-Mistral-PairRM-DPO: five responses a prompt, ranked by PairRM; the pair is its best and its worst.

    Responses that all have the same score were never ranked: ``tie``.
    """
    for _, record in all_records(files):
        scores = record.value("all_rm_scores")
        if isinstance(scores, list) and scores and all(score == scores[0] for score in scores):
            yield Drop(_id(record, dataset), "tie")
        else:
            yield _pair(record, dataset)


def _id(record: Record, dataset: str) -> str:
    return f"{dataset}/{record.id('prompt_id')}"


def _number(record: Record, column: str) -> int | float | None:
    value = record.value(column)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _messages(record: Record, column: str) -> list[Message]:
    return [
        Message(str(message.get("role")), record.as_text(message.get("content"), column))
        for message in record.structs(column)
    ]


def _pair(record: Record, dataset: str) -> PreferenceRow | Drop:
    """The pair, whose prompt is all but the last message of either side.

    Drops: ``no-answer`` (a side does not end in a non-empty answer), ``prompt-mismatch`` (the sides answer different
    prompts), ``empty-text``, ``bad-roles``, ``identical`` (the two responses are the same text).
    """
    id = _id(record, dataset)
    chosen, rejected = _messages(record, "chosen"), _messages(record, "rejected")
    for side in (chosen, rejected):
        if len(side) < 2 or side[-1].role != "assistant" or not side[-1].content:
            return Drop(id, "no-answer")
    prompt = chosen[:-1]
    if prompt != rejected[:-1]:
        return Drop(id, "prompt-mismatch")
    if any(message.role not in _ROLES for message in prompt) or prompt[-1].role != "user":
        return Drop(id, "bad-roles")
    if not all(message.content for message in prompt):
        return Drop(id, "empty-text")
    if chosen[-1].content == rejected[-1].content:
        return Drop(id, "identical")
    return PreferenceRow(id, dataset, tuple(prompt), chosen[-1].content, rejected[-1].content)
