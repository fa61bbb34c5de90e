"""Multiple-choice rows and the jinja2 templates that ask them, in training and in evaluation alike."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from primum.errors import PrimumError
from primum.rows import ChoiceRow

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)


@cache
def template(source: str) -> Template:
    """The compiled template. PrimumError with the line when it is not valid jinja2."""
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise PrimumError(f"template {source[:40]!r}: line {getattr(error, 'lineno', 1)}: {error.message}") from None


def choice_values(row: ChoiceRow) -> dict[str, Any]:
    """What the templates of a multiple-choice row may name."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(row.choices)]
    return {
        "context": row.context,
        "question": row.question,
        "choices": row.choices,
        "letters": letters,
        "subject": row.subject,
        "answer": row.choices[row.target],
        "letter": letters[row.target],
        "explanation": row.explanation,
    }
