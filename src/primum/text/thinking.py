"""What a reasoning model thought, apart from what it answered.

Most write it between ``<think>`` and ``</think>`` (some templates write the first themselves), Magistral between ``[THINK]`` and
``[/THINK]``, gpt-oss in the channels ``analysis`` and ``commentary`` before the channel ``final``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(
    r"(?P<open><(?:think|thinking|thought|reasoning)>|\[THINK\])|</(?:think|thinking|thought|reasoning)>|\[/THINK\]"
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_MESSAGE_ENDS = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_FINAL = "final"


@dataclass(frozen=True, slots=True)
class Said:
    """``answer`` and ``thinking``; ``open`` where the model was still thinking when its text ends."""

    answer: str
    thinking: str
    open: bool


def separate(text: str, reasoning: str = "") -> Said:
    """What a model's ``text`` answers; ``reasoning`` is what an endpoint gave apart from it already."""
    said = _channels(text) if "<|channel|>" in text else _tags(text)
    if not reasoning:
        return said
    # An endpoint that gave its thinking and no text was cut off before it answered, or never did.
    return Said(said.answer, reasoning + said.thinking, said.open or not said.answer.strip())


def behind_thinking(text: str) -> str:
    """What stands behind the last thought, in one piece as it was written; nothing where that is still open."""
    if "<|channel|>" in text:
        said = _channels(text)
        return "" if said.open else said.answer
    marks = list(_MARK.finditer(text))
    if not marks:
        return text
    return "" if marks[-1]["open"] else text[marks[-1].end() :]


def _tags(text: str) -> Said:
    answer, thinking, place, inside = "", "", 0, False
    for number, mark in enumerate(_MARK.finditer(text)):
        opening = bool(mark["open"])
        # A first mark that closes ends thinking that the model's template began.
        if inside or (number == 0 and not opening):
            thinking += text[place : mark.start()]
        else:
            answer += text[place : mark.start()]
        inside, place = opening, mark.end()
    if inside:
        return Said(answer, thinking + text[place:], True)
    return Said(answer + text[place:], thinking, False)


def _channels(text: str) -> Said:
    answer, thinking, final = "", "", False
    for match in _CHANNEL.finditer(text):
        end = _MESSAGE_ENDS.search(text, match.end())
        body = text[match.end() : end.start() if end else len(text)]
        if match[1] == _FINAL:
            answer, final = body, True
        else:
            thinking += body
    return Said(answer, thinking, not final)
