"""What every engine does: conversations in, responses out, in the same order."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from primum.artifact.canonical import canonical_json
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.text.rows import Message

Conversation = Sequence[Message]
Report = Callable[[int, int], None]
# An endpoint that filtered an answer has answered: asking again would bring nothing else.
CONTENT_FILTER = "content-filter"
# The error of a conversation that the model's chat template refuses, or would leave something out of.
REFUSED = "refused-by-template"
MOST_ERRORS = 0.2  # of the requests for a table
STATUSES = ("stop", "length", "prompt-too-long", "error")

_TEMPLATE = "with 'fold_system: true' or another 'template' for the model"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. ``status`` is one of :data:`STATUSES`; ``error`` a class such as ``timeout``, never a row's text.

    Tokens are counted by the model's tokenizer (an endpoint's as it states them), the end-of-turn token included.
    ``reasoning`` is what an endpoint gives apart from the answer; what a model thinks within its text stays in ``text``.
    """

    text: str
    status: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    reasoning: str = ""


def response_columns(response: Response) -> dict[str, Any]:
    """What a table of responses has of each."""
    own = {name: getattr(response, name) for name in ("status", "prompt_tokens", "completion_tokens", "error")}
    return {"response": response.text, **own}


def tokens_spent(responses: Sequence[Response]) -> dict[str, int]:
    """What responses cost, read and written."""
    return {
        name: sum(getattr(response, name) for response in responses) for name in ("prompt_tokens", "completion_tokens")
    }


def identified(engine: Engine) -> dict[str, Any]:
    """What is said of a result beside its cost: what identifies somebody in what was asked, and of an endpoint what its answers
    cost (``spent``) and which settings were left out. Nothing where there is none of it.
    """
    found = {"identifiers": dict(sorted(engine.identifiers.items()))} if engine.identifiers else {}
    spent, left_out = getattr(engine, "spent", None), getattr(engine, "left_out", None)
    # Plain ones: a manifest is copied field by field, and a Counter would count its pairs.
    return {**found, **({"spent": dict(spent)} if spent else {}), **({"left_out": list(left_out)} if left_out else {})}


def failed(response: Response) -> bool:
    """Whether it is worth asking again. An endpoint that filtered an answer has answered."""
    return response.status == "error" and response.error != CONTENT_FILTER


def refuse_many_errors(name: str, responses: Sequence[Response], most: float = MOST_ERRORS) -> None:
    """PrimumError, with the errors' classes, when more than this share of the requests failed.

    Those that an endpoint's own content filter stopped have not.
    """
    errors = Counter(response.error for response in responses if failed(response))
    if errors.total() > most * len(responses):
        kinds = ", ".join(f"{error} {count}" for error, count in errors.most_common())
        remedy = f"run again{f', {_TEMPLATE}' if REFUSED in errors else ''}"
        raise PrimumError(f"{name}: {errors.total()} of {len(responses)} requests failed ({kinds}): {remedy}")


class Engine(Protocol):
    """A model that answers.

    ``surrogates`` counts the lone surrogates replaced in its answers so far; ``identifiers`` what identifies somebody in what it
    was asked, by kind, where that is looked for: before it leaves the machine.
    """

    surrogates: int
    identifiers: Counter[str]

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        """One response a conversation, in order; ``report(done conversations, tokens so far)`` is called on the way.

        Raises PrimumError for what no other row could survive: a model that cannot be loaded, a key that is refused.
        """
        ...


def clean(text: str) -> tuple[str, int]:
    """``text`` with every lone surrogate as U+FFFD, and how many there were: Arrow, JSON and HTTP take none."""
    return _SURROGATE.subn("\ufffd", text)


def conversation_seed(seed: int, conversation: Conversation) -> int:
    """The 31-bit seed that samples one conversation's answer: from its content, not from its place in a batch."""
    content = canonical_json([seed, [[message.role, message.content] for message in conversation]])
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big") >> 1
