"""The strict reading of an answer in words: a lone letter, or a last line ``Answer: B``, and nothing else."""

from __future__ import annotations

import re

_STATED = re.compile(r"answer[ \t*]*:[ \t*]*(.*)", re.ASCII | re.IGNORECASE)
# ASCII capitals alone, as the options are lettered: there are letters of other scripts that look the same.
_LETTER = re.compile(r"\(?([A-Z])\)?\.?", re.ASCII)


def read_answer(text: str, choices: int) -> int | None:
    """The index of the option that ``text`` answers with, None where it does not say so in one of two ways.

    Either a lone letter of an option (``B``, ``B.``, ``(B)``), or last a line ``Answer: B``, markdown's asterisks left
    out. Every line that begins so must give the same option: several answers, a letter that no option has, and more words
    in that line are no answer, however likely a reader would find one.
    """
    lines = [line for each in text.split("\n") if (line := each.strip(" \t\r*"))]
    if not lines:
        return None
    stated = [match[1] for line in lines if (match := _STATED.fullmatch(line))]
    if not stated:
        stated = lines if len(lines) == 1 else []
    elif not _STATED.fullmatch(lines[-1]):
        return None
    found = {_option(answer, choices) for answer in stated}
    return found.pop() if len(found) == 1 else None


def _option(answer: str, choices: int) -> int | None:
    match = _LETTER.fullmatch(answer)
    index = ord(match[1]) - ord("A") if match else choices
    return index if index < choices else None
