"""What adapters share: ids, labels, and rows that are complete or else a drop with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from primum.errors import PrimumError
from primum.text.rows import ChatRow, ChoiceRow, Drop, Message

_INTEGER = re.compile(r"-?[0-9]{1,9}(?:\.0)?", re.ASCII)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def numbered(dataset: str, position: int) -> str:
    """The id of a record that upstream does not name; padded, so that id order is file order."""
    return f"{dataset}/{position:07d}"


def allowed(option: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a ``value`` of an adapter's ``option`` that is none of ``choices`` (``True`` is not 1)."""
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise PrimumError(f"adapter option {option!r} must be one of {listed}: correct it in the catalog")


def integer(value: object) -> int | None:
    """A label as an integer: an int, a whole float or their digits as text; anything else is None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(float(value))
    return None


def letter_index(value: str) -> int | None:
    """0 for ``A`` or ``a``, 1 for ``B`` and so on; None for anything but one letter."""
    index = _LETTERS.find(value.upper()) if len(value) == 1 else -1
    return None if index < 0 else index


def choice_row(
    id: str,
    dataset: str,
    *,
    question: str,
    choices: Sequence[str],
    target: int | None,
    subject: str = "",
    context: str = "",
    explanation: str = "",
) -> ChoiceRow | Drop:
    """The row, or a drop: ``empty-question``, ``empty-choice`` (or fewer than two), ``bad-label``."""
    if not question:
        return Drop(id, "empty-question")
    if len(choices) < 2 or not all(choices):
        return Drop(id, "empty-choice")
    if target is None or not 0 <= target < len(choices):
        return Drop(id, "bad-label")
    return ChoiceRow(id, dataset, subject, context, question, tuple(choices), target, explanation)


def chat_row(id: str, dataset: str, turns: Iterable[tuple[str, str]]) -> ChatRow | Drop:
    """A conversation of (role, text) turns, with roles ``system``, ``user`` and ``assistant``.

    An empty system turn is left out, and so are user turns after the last answer. Drops: ``bad-roles`` (an unknown
    role, or turns that do not alternate from a user's first), ``no-answer``, ``empty-text``.
    """
    messages = [Message(role, text) for role, text in turns if text or role != "system"]
    while messages and messages[-1].role == "user":
        messages.pop()
    if not any(message.role == "assistant" for message in messages):
        return Drop(id, "no-answer")
    talk = messages[1:] if messages[0].role == "system" else messages
    if any(message.role != ("user", "assistant")[turn % 2] for turn, message in enumerate(talk)):
        return Drop(id, "bad-roles")
    if not messages[-1].content:
        return Drop(id, "no-answer")
    if not all(message.content for message in messages):
        return Drop(id, "empty-text")
    return ChatRow(id, dataset, tuple(messages))


def exchange(id: str, dataset: str, request: str, answer: str) -> ChatRow | Drop:
    """A conversation of one request and its answer."""
    return chat_row(id, dataset, [("user", request), ("assistant", answer)])
