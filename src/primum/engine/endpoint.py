"""What an endpoint is, what may be sent to it, and what counts as an answer from it."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from primum.engine.protocol import CONTENT_FILTER, Response
from primum.errors import PrimumError

_FINISHED = {"stop": "stop", "length": "length"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``model`` at ``base_url``; the key is in the environment variable ``key_env`` and nowhere else."""

    model: str
    base_url: str
    key_env: str

    @property
    def host(self) -> str:
        """Where it is served."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_here(self) -> bool:
        """Whether what is sent to it stays on this machine."""
        return _is_loopback(self.host)


def read_endpoint(path: Path) -> Endpoint:
    """``endpoint.json``: ``{"endpoint", "base_url", "key_env"}``. PrimumError for other content, an unsafe address."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        endpoint = Endpoint(str(record["endpoint"]), str(record["base_url"]), str(record["key_env"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise PrimumError(f"{path}: needs 'endpoint', 'base_url' and 'key_env': fetch the model again") from None
    check_address(endpoint.base_url)
    return endpoint


def check_address(base_url: str) -> None:
    """PrimumError unless ``base_url`` is https, or http to this machine itself, without a name or password in it."""
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        raise PrimumError("base_url is not an address: give https://host/v1") from None
    if parts.username is not None or parts.password is not None:
        raise PrimumError(f"base_url of {host}: holds a name or password: take it out, the key comes from key_env")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise PrimumError(f"base_url of {host or 'no host'}: must be https (http is for this machine alone)")
    if not host:
        raise PrimumError("base_url names no host: give https://host/v1")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_key(endpoint: Endpoint) -> str:
    """The key. PrimumError naming the variable, never its value, when it is missing or unfit for a header."""
    key = os.environ.get(endpoint.key_env, "").strip()
    if not key:
        raise PrimumError(f"{endpoint.key_env}: not set: export the key of {endpoint.model}'s endpoint under this name")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise PrimumError(f"{endpoint.key_env}: holds characters that no key has: export it again")
    return key


def read_answer(body: bytes) -> Response:
    """The response in a chat completion's body; status ``error`` (``bad-json``, ``bad-shape``, ...) for anything else.

    The text is as it came: lone surrogates are the caller's to replace.
    """
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return Response("", "error", error="bad-json")
    choices = record.get("choices") if isinstance(record, Mapping) else None
    if not isinstance(choices, list) or not choices:
        return Response("", "error", error="no-choices" if choices == [] else "bad-shape")
    choice = choices[0] if isinstance(choices[0], Mapping) else {}
    usage = record.get("usage")
    tokens = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    finish, message = choice.get("finish_reason"), choice.get("message")
    if finish == "content_filter":
        return Response("", "error", *tokens, CONTENT_FILTER)
    text, reasoning = None, ""
    if isinstance(message, Mapping):
        reasoning = _reasoning(message)
        # A refusal that the endpoint marks as such is what the model answered.
        text = message.get("content") if message.get("content") is not None else message.get("refusal")
        # A model that was cut off, or stopped, while it thought has said nothing yet.
        text = "" if text is None and reasoning else text
    if not isinstance(text, str) or not isinstance(finish, str) or finish not in _FINISHED:
        return Response("", "error", *tokens, "bad-shape")
    return Response(text, _FINISHED[finish], *tokens, reasoning=reasoning)


def _reasoning(message: Mapping[str, Any]) -> str:
    """What a reasoning model thought: servers call it ``reasoning_content`` or ``reasoning``, and some give neither."""
    found = (message.get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str)), "")


def error_code(body: bytes) -> str:
    """The ``code`` (or else ``type``) of an error's body, or nothing: a slug of the endpoint's, never the message."""
    try:
        error = json.loads(body)["error"]
        code = error.get("code") or error.get("type") or ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return code if isinstance(code, str) and code.replace("_", "").isalnum() and len(code) <= 64 else ""


def _count(usage: Any, name: str) -> int:
    """A count of tokens, 0 where the endpoint states none."""
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value < 2**31 else 0
