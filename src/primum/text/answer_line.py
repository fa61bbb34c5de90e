"""The line that a rubric asks its judge to end with: what the judge is asked, not how its answer is read.

Which answers are asked about once more is a part of what is paid for, so it is decided here by one simple rule, and not by the
parser (:mod:`primum.text.verdict`): a parser that learns another shape would ask for other repairs, and so make all answers anew.
"""

from __future__ import annotations

import re
from functools import cache

from primum.text.published import VERBATIM, Wording
from primum.text.rows import Message
from primum.text.rubric import judge_prompt, nonce

_LINE = re.compile(r"^[ \t]*#(?:the)?score\b.*$", re.MULTILINE | re.IGNORECASE)
_USUAL = "#score: N"
_PLACE = "\0"
_NUMBER = re.compile(
    r"\A\W*(?:boxed\W)?[0-9](?:\W{0,3}(?:/|of)\W{0,3}5)?\W*\Z"
    r"|(?:score|rating|verdict|grade)[\W_]{0,16}(?:(?:is|of|boxed)\W{1,4})?(?:[0-9]|zero|one|two|three|four|five|six)",
    re.ASCII | re.IGNORECASE,
)
_REPAIR = "Your answer has no score that can be read. Answer with this line alone, N being one digit from 1 to {highest}:\n{line}"


def answer_line(template: str | Wording, request: str, response: str) -> str:
    """The last line of a rubric's ``template`` that begins with ``#score`` or ``#thescore``, as it is asked about a response.

    ``#score: N`` where the template has none: a judge that was trained here knows without being told. A published wording is
    no template, and its line is as it stands there.
    """
    return _form(template).replace(_PLACE, nonce(request, response))


@cache
def _form(template: str | Wording) -> str:
    """The line with a mark where the code goes: rendered once, not for each of many responses."""
    if not isinstance(template, str):
        lines = _LINE.findall("".join(part.content for part in template if part.role == VERBATIM))
        return str(lines[-1]).strip() if lines else _USUAL
    found = _LINE.findall(template)
    return judge_prompt(found[-1].strip(), "", "", "", _PLACE) if found else _USUAL


def asked_code(template: str | Wording, request: str, response: str) -> str:
    """The code that a judge is asked to repeat in that line, so that no quoted line can pass for it; "" for none."""
    code = nonce(request, response)
    return code if code in answer_line(template, request, response) else ""


def is_no_verdict(answer: str, code: str) -> bool:
    """Whether an answer is plainly none: no number stands behind a word for score, or the ``code`` that was asked for is missing.

    The rule errs to the side of asking: what it takes for none may still be read.
    """
    said = answer.rpartition("</think>")[2]
    return (code not in said) or _NUMBER.search(said.replace(code, "")) is None


def repair(line: str, highest: int = 5) -> Message:
    """The one question to a judge whose answer is none: for the ``line`` of :func:`answer_line` alone, with 1 to ``highest``."""
    return Message("user", _REPAIR.format(line=line, highest=highest))
