"""Identifiers in text: where they are, of which kind, and the text without them.

What has a form, a checksum or a label is found (:mod:`primum.text.identifiers`). A name without a title or a label before it
is not, nor is a town: that takes a model of the language. So text in which nothing is found is not de-identified.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from primum.text.identifiers import BEFORE, NUMBERS, WORDS, Form
from primum.text.rows import Message

_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """``text[start:end]`` is an identifier of ``kind``, or what is left of several that overlap."""

    start: int
    end: int
    kind: str


def find(text: str) -> list[Place]:
    """The places of ``text`` that identify somebody, in order; no two overlap."""
    forms = (*NUMBERS, *WORDS) if _DIGIT.search(text) else WORDS
    found = []
    for form in forms:
        if form.needs is not None and not form.needs.search(text):
            continue
        for match in form.pattern.finditer(text):
            kind = form.kind if form.holds(match["value"]) else None
            if kind is not None and form.before is not None:
                kind = _after(text, match.start("value"), form, form.before)
            if kind is not None:
                found.append(Place(*match.span("value"), kind))
    return _apart(found)


def _after(text: str, at: int, form: Form, before: re.Pattern[str]) -> str | None:
    """The kind of what begins at ``at``, by what ends there; None where nothing fit does."""
    label = before.search(text, max(at - BEFORE, 0), at)
    return None if label is None else form.kind or (label.lastgroup or "").replace("_", "-")


def _apart(found: Iterable[Place]) -> list[Place]:
    """Places that overlap become one, of the longest one's kind."""
    apart: list[Place] = []
    longest = 0
    for place in sorted(found, key=lambda place: (place.start, -place.end, place.kind)):
        if apart and place.start < apart[-1].end:
            last = apart[-1]
            kind = place.kind if place.end - place.start > longest else last.kind
            apart[-1] = Place(last.start, max(last.end, place.end), kind)
            longest = max(longest, place.end - place.start)
        else:
            apart.append(place)
            longest = place.end - place.start
    return apart


def redact(text: str, places: Sequence[Place]) -> str:
    """``text`` with a mark such as ``<DATE>`` for each of :func:`find`'s places; all else stays as it is."""
    parts, at = [], 0
    for place in places:
        parts += [text[at : place.start], f"<{place.kind.upper()}>"]
        at = place.end
    return "".join([*parts, text[at:]])


def redacted_turns(turns: Sequence[Message], found: Sequence[Sequence[Place]]) -> list[Message]:
    """The turns of a conversation with a mark at each of their places."""
    return [replace(turn, content=redact(turn.content, places)) for turn, places in zip(turns, found, strict=True)]


def records(found: Sequence[Sequence[Place]]) -> Iterator[dict[str, int | str]]:
    """The places of a conversation's turns, without the text."""
    for message, places in enumerate(found):
        for place in places:
            yield {"message": message, "start": place.start, "end": place.end, "kind": place.kind}


def told(kinds: Counter[str]) -> str:
    """``date 12, name 3``: the most frequent first."""
    return ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0])))
