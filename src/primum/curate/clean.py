"""Text cleaning, and the keys that duplicates and contamination are found by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from primum.text.rows import ChatRow, Message, TextRow

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u200b]")
# One space is left as it is: text is full of them.
_SPACES = re.compile(r"[ \t\u00a0]{2,}|[\t\u00a0]")
_BLANK_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"\w+")
# The same of ASCII, letters in lower case: every other character is a space.
_ASCII_WORD = "".join(chr(i).lower() if chr(i).isalnum() or chr(i) == "_" else " " for i in range(128))
_ACCENTS = re.compile(r"[\u0300-\u036f]")


def clean_text(text: str) -> str:
    """NFC, Unix line ends, no control characters, single spaces, at most one blank line, trimmed."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROL.sub("", text)
    # Most texts have none of what the next two are for, and to see that takes a tenth of the time.
    if "\t" in text or "\u00a0" in text or "  " in text:
        text = _SPACES.sub(" ", text)
    if "\n" in text:
        text = _BLANK_LINES.sub("\n\n", "\n".join(map(str.strip, text.split("\n"))))
    return text.strip()


def clean_row(row: ChatRow | TextRow) -> ChatRow | TextRow | None:
    """The row with clean text; None when nothing to learn from is left: empty text, or no answered turn."""
    if isinstance(row, TextRow):
        text = clean_text(row.text)
        return TextRow(row.id, row.source, text) if text else None
    messages = tuple(Message(m.role, clean_text(m.content)) for m in row.messages)
    messages = tuple(m for m in messages if m.content or m.role != "system")
    answered = any(m.role == "assistant" for m in messages)
    return ChatRow(row.id, row.source, messages) if answered and all(m.content for m in messages) else None


def words(text: str) -> list[str]:
    """The words of ``text`` by which texts are compared: case, accents and punctuation left out, all scripts kept."""
    if text.isascii():
        return text.translate(_ASCII_WORD).split()
    return _WORD.findall(_ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())))


def record_text(record: Mapping[str, Any]) -> str:
    """:func:`row_text` of a row as Arrow gives it."""
    return str(record["text"]) if "text" in record else "\n".join(turn["content"] for turn in record["messages"])


def row_text(row: ChatRow | TextRow) -> str:
    """All the text of a row, turns joined by line ends."""
    return row.text if isinstance(row, TextRow) else "\n".join(message.content for message in row.messages)
