"""How long to wait for a server that is busy: as long as it asks for, a few times, and not for ever. And what else to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from huggingface_hub.utils import parse_ratelimit_headers

T = TypeVar("T")
Say = Callable[[str], None]
NO_NETWORK = "no network? `primum mirror EXPERIMENT FOLDER` where there is one, then --config mirror=FOLDER"
SERVER_BUSY = "the server is busy, or the connection broke off"
_ATTEMPTS = 5
_LONGEST = 600  # seconds: twice the window over which the hub counts requests


def asked_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds that a server asks to wait, by ``Retry-After`` or ``RateLimit``; None where it asks for nothing."""
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return int(after)
    limit = parse_ratelimit_headers(headers)
    return int(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


class Busy(Exception):
    """Another attempt may help after so many ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"in {seconds} s")
        self.seconds = seconds


def patient(work: Callable[[int], T], busy: str, say: Say) -> T:
    """What ``work`` returns, which is told the number of the attempt, from 1. It is called again after each :class:`Busy` of it.

    ``busy`` says who is: ``say`` is told that, and how long is waited.
    """
    attempt = 1
    while True:
        try:
            return work(attempt)
        except Busy as told:
            seconds = told.seconds
        say(f"{busy}: asking again in {seconds} s")
        time.sleep(seconds)
        attempt += 1


def again(attempt: int, status: int = 503, headers: Mapping[str, str] | None = None) -> None:
    """Raise :class:`Busy` if another attempt may help after ``attempt``, which was answered as :func:`pause` has it."""
    seconds = pause(attempt, status, headers) if attempt < _ATTEMPTS else None
    if seconds is not None:
        raise Busy(seconds)


def is_busy(status: int) -> bool:
    """Whether an answer of this status may be another one later."""
    return status in (408, 429) or status >= 500


def pause(attempt: int, status: int = 503, headers: Mapping[str, str] | None = None) -> int | None:
    """Seconds to wait after ``attempt`` (from 1), which was answered so; None where another one is of no use.

    That is what the server asks for, and one more; else 1, 2, 4, 8. No server is waited for longer than ten minutes.
    """
    if not is_busy(status):
        return None
    asked = asked_wait(headers or {})
    if asked is None:
        return 1 << (attempt - 1)
    return asked + 1 if asked <= _LONGEST else None
