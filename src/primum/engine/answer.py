"""What an endpoint's reply is: an answer, a failure that another attempt may mend, or a refusal of what was sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.engine.protocol import CONTENT_FILTER, Response

TRIES = 5  # of a request that failed
PAID_TRIES = 3  # of one whose answer came, is likely paid for, and cannot be used
LIMITED_TRIES = 30  # of one that the endpoint has no room for
_STOP = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "finished"})
_LENGTH = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "max_length"})
_FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "safety", "prohibited_content", "blocklist", "recitation", "spii"}
    | {"data_inspection_failed", "moderation_blocked"}
)
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance"})
_TOO_LONG = frozenset({"context_length_exceeded", "request_too_large"})
# Where an endpoint has no code for it: vLLM's server, Anthropic; DeepSeek, OpenAI's own moderation of prompts.
_TOO_LONG_WORDS = re.compile(r"maximum context length|prompt is too long|context window")
_FILTERED_WORDS = re.compile(r"content exists risk|prompt was flagged|input was flagged|content management policy")
_TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_OF_REQUESTS = frozenset({400, 403, 413, 422})
_NOT_TAKEN = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})
_NOT_TAKEN_WORDS = re.compile(
    r"unsupported|not support|not allowed|not permitted|deprecated|unknown|unrecogni[sz]ed|unexpected|extra |cannot both"
)
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another attempt, up to ``tries`` in all. ``limited``: there was no room for the request, and it was not looked at."""

    error: str
    tries: int = TRIES
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Not taken as it is: ``parameter`` is what of it the endpoint does not know, or nothing."""

    error: str
    status: int
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """The account pays for no more."""


Reply = Response | Again | Refused | Spent


def read_answer(body: bytes, max_tokens: int | None = None) -> Reply:
    """What a body of status 200 says: a chat completion's response, or why there is none.

    The text is as it came: lone surrogates are the caller's to replace. An answer that does not say why it ended was cut off
    where it has ``max_tokens`` tokens.
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return Again("bad-json", PAID_TRIES)
    record = record if isinstance(record, Mapping) else {}
    choices = record.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    if error := _error(record) or _error(choice):
        status = error.get("code")
        return read_refusal(status if type(status) is int and 300 <= status < 600 else 500, error, ())
    if not choice:
        return Again("no-choices" if choices == [] else "bad-shape", PAID_TRIES)
    return _read_choice(choice, record.get("usage"), max_tokens)


def _read_choice(choice: Mapping[str, Any], usage: Any, max_tokens: int | None) -> Reply:
    finish, message = choice.get("finish_reason"), choice.get("message")
    tokens = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    finish = finish.lower() if isinstance(finish, str) else "" if finish is None else "?"
    if finish in _FILTERED:
        return Response("", "error", *tokens, CONTENT_FILTER)
    text, reasoning = _said(message) if isinstance(message, Mapping) else (None, "")
    if text is None:
        return Again("no-content", PAID_TRIES)
    if not finish and text:
        finish = "length" if max_tokens is not None and tokens[1] >= max_tokens else "stop"
    if finish not in _STOP | _LENGTH:
        return Again("unknown-finish-reason" if finish else "no-finish-reason", PAID_TRIES)
    return Response(text, "stop" if finish in _STOP else "length", *tokens, reasoning=reasoning)


def read_error(status: int, body: bytes, sent: Sequence[str]) -> Reply:
    """What an HTTP error means for a request that had the optional parameters ``sent``."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        record = None
    record = record if isinstance(record, Mapping) else {}
    return read_refusal(status, _error(record) or record, sent)


def read_refusal(status: int, error: Mapping[str, Any], sent: Sequence[str]) -> Reply:
    """What an error, an object of the endpoint's, means. Its message is looked at, and never shown."""
    codes = _codes(error)
    name = f"http-{status}" + (f" {codes[0]}" if codes else "")
    known = {code.lower() for code in codes}
    metadata, words = error.get("metadata"), _words(error)
    if known & _SPENT or status == 402:
        return Spent()
    if known & _TOO_LONG or (status in _OF_REQUESTS and _TOO_LONG_WORDS.search(words)):
        return Response("", "prompt-too-long")
    # OpenRouter has status 403 for what a moderation stopped, and its reasons beside.
    stopped = isinstance(metadata, Mapping) and metadata.get("reasons")
    if known & _FILTERED or stopped or (status in _OF_REQUESTS and _FILTERED_WORDS.search(words)):
        return Response("", "error", error=CONTENT_FILTER)
    if status in _TRANSIENT:
        return Again(name, LIMITED_TRIES, limited=True) if status == 429 else Again(name)
    return Refused(name, status, _parameter(error, known, sent))


def _error(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    error = record.get("error")
    if isinstance(error, str) and error:
        return {"message": error}
    return error if isinstance(error, Mapping) and error else None


def _words(error: Mapping[str, Any]) -> str:
    message = error.get("message")
    return message.lower() if isinstance(message, str) else ""


def _codes(error: Mapping[str, Any]) -> list[str]:
    """The ``code`` and ``type`` of an error: slugs of the endpoint's. A number only repeats the status."""
    found = (error.get("code"), error.get("type"))
    return [code for code in found if isinstance(code, str) and _SLUG.fullmatch(code) and not code.isdecimal()]


def _parameter(error: Mapping[str, Any], codes: set[str], sent: Sequence[str]) -> str:
    """Which of ``sent`` the endpoint does not take, or nothing. A value that is only out of range is not one of them."""
    # FastAPI's form, as Mistral has it: {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}.
    details = error.get("detail")
    for detail in details if isinstance(details, list) else []:
        place = detail.get("loc") if isinstance(detail, Mapping) else None
        if isinstance(place, list) and place and place[-1] in sent and detail.get("type") in _NOT_TAKEN:
            return str(place[-1])
    words = _words(error)
    if not (codes & _NOT_TAKEN or _NOT_TAKEN_WORDS.search(words)):
        return ""
    if (named := error.get("param")) in sent:
        return str(named)
    quoted = set(re.findall(r"[`'\"](\w+)[`'\"]", words))
    return next((name for name in sent if name in quoted), "")


def _said(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """The text of a message, None where it has none, and what was thought before it."""
    # Servers call it ``reasoning_content`` or ``reasoning``, and some give neither.
    thought = [text for name in ("reasoning_content", "reasoning") if isinstance(text := message.get(name), str)]
    content = message.get("content")
    # A refusal that the endpoint marks as such is what the model answered.
    content = message.get("refusal") if content is None else content
    if isinstance(content, list):
        texts = _texts(content, ("text", "output_text", "refusal"))
        thought = thought or list(_texts(content, ("thinking", "reasoning")) or ())
        content = None if texts is None else "".join(texts)
    reasoning = thought[0] if thought else ""
    # A model that was cut off, or stopped, while it thought has said nothing yet.
    content = "" if content is None and reasoning else content
    return (content if isinstance(content, str) else None), reasoning


def _texts(parts: Iterable[Any], kinds: Sequence[str]) -> list[str] | None:
    """The texts of the parts of these types; None where a message has no such part."""
    found = []
    for part in parts:
        if isinstance(part, Mapping) and part.get("type") in kinds:
            inner = part.get("text", part.get(part["type"]))
            inner = "".join(_texts(inner, ("text",)) or []) if isinstance(inner, list) else inner
            found += [inner] if isinstance(inner, str) else []
    return found or None


def _count(usage: Any, name: str) -> int:
    """A count of tokens, 0 where the endpoint states none."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value < 2**31 else 0
