"""What a judge is asked about one criterion of a response, as text.

How its answer is read is in :mod:`primum.text.met`, which this does not import: answers are paid for, and reading them
otherwise must not ask for them again.
"""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from primum.errors import PrimumError
from primum.text.rows import Criterion, Message
from primum.text.rubric import nonce

# The prompt is plain text, so nothing is escaped as HTML.
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def transcript(messages: Sequence[Message]) -> str:
    """A conversation as text: each turn behind its role, a blank line between two. A single user's turn is its text alone."""
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def criterion_question(template: str, conversation: str, response: str, criterion: Criterion) -> tuple[Message, ...]:
    """``template`` (jinja2, over ``conversation``, ``response``, ``criterion``, ``points`` and ``nonce``) as a single user turn.

    Raises PrimumError when the template is not valid or names anything else.
    """
    names = {
        "conversation": conversation,
        "response": response,
        "criterion": criterion.criterion,
        "points": f"{criterion.points:g}",
        "nonce": nonce(conversation, response),
    }
    try:
        return (Message("user", _ENVIRONMENT.from_string(template).render(names)),)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise PrimumError(
            f"the judge's template cannot be rendered ({type(error).__name__}): it may use {', '.join(names)}"
        ) from None
