"""The line that a rubric asks its judge to end with: what the judge is asked, not how its answer is read."""

from __future__ import annotations

import re

from primum.text.rubric import judge_prompt

_LINE = re.compile(r"^[ \t]*#(?:the)?score\b.*$", re.MULTILINE | re.IGNORECASE)
_USUAL = "#score: N"


def answer_line(template: str, nonce: str) -> str:
    """The last line of a rubric's ``template`` that begins with ``#score`` or ``#thescore``, rendered with ``nonce``.

    ``#score: N`` where the template has none: a judge that was trained here knows without being told.
    """
    found = _LINE.findall(template)
    return judge_prompt(found[-1].strip(), "", "", "", nonce) if found else _USUAL
