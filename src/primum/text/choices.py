"""Multiple-choice rows and the jinja2 templates that ask them, in training and in evaluation alike."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from primum.errors import PrimumError
from primum.text.rows import ChoiceRow

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)


@cache
def template(source: str) -> Template:
    """The compiled template. PrimumError with the line when it is not valid jinja2."""
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise PrimumError(f"template {source[:40]!r}: line {getattr(error, 'lineno', 1)}: {error.message}") from None


def render_choice(source: str, row: ChoiceRow) -> str:
    """The jinja2 template ``source`` filled from ``row``. PrimumError naming the row when it cannot be."""
    try:
        return template(source).render(choice_values(row))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise PrimumError(
            f"{row.id}: template {source[:40]!r} cannot be rendered ({type(error).__name__}): it may use "
            "context, question, choices, letters, subject, answer, letter, explanation"
        ) from None


def choice_values(row: ChoiceRow) -> dict[str, Any]:
    """What the templates of a multiple-choice row may name. PrimumError for more choices than letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(row.choices)]
    if len(letters) < len(row.choices):
        raise PrimumError(
            f"{row.id}: has {len(row.choices)} choices, at most {len(letters)} can be lettered: leave it out"
        )
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
