"""The line that a rubric asks its judge to end with: what the judge is asked, not how its answer is read."""

from __future__ import annotations

import re

from primum.text.rubric import judge_prompt, nonce

_LINE = re.compile(r"^[ \t]*#(?:the)?score\b.*$", re.MULTILINE | re.IGNORECASE)
_USUAL = "#score: N"


def answer_line(template: str, request: str, response: str) -> str:
    """The last line of a rubric's ``template`` that begins with ``#score`` or ``#thescore``, as it is asked about a response.

    ``#score: N`` where the template has none: a judge that was trained here knows without being told.
    """
    found = _LINE.findall(template)
    return judge_prompt(found[-1].strip(), "", "", "", nonce(request, response)) if found else _USUAL


def asked_code(template: str, request: str, response: str) -> str:
    """The code that a judge is asked to repeat in that line, so that no quoted line can pass for it; "" for none."""
    code = nonce(request, response)
    return code if code in answer_line(template, request, response) else ""
