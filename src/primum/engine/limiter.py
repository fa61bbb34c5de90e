"""When the next request may be sent: one limiter for all workers, told by what came of the requests before.

A limiter of a library (aiolimiter, pyrate-limiter) keeps a rate that is known beforehand. Here nobody knows it: it is in the
headers of the answers, differs by account and by the hour, and other jobs spend of it too.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PAUSE = 15.0  # seconds, where the endpoint names none
FAILURES_IN_A_ROW = 5  # without an answer between them: the endpoint is at fault, not the requests
KINDS = ("requests", "tokens")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(slots=True)
class _Left:
    """What an endpoint said is left of an allowance, when it answered the request ``number``; void after ``until``."""

    amount: float
    until: float
    number: int


class Limiter:
    """Lets at most ``most`` requests be under way, fewer where the endpoint says so, and one alone where nobody knows.

    One is sent alone at first, and after every pause: what it brings decides about the rest. A pause is as long as the endpoint
    asks for; where it names no time it begins with ``pause`` seconds and doubles, up to ``LONGEST_PAUSE``. After a pause half as
    many requests as before are under way, and one more whenever as many were answered, as TCP does it (RFC 5681): what is
    sent to an endpoint that does not say what is left is seldom too much. ``clock`` is in seconds.
    """

    def __init__(self, most: int, pause: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._first, self._clock = most, pause, clock
        self._allowed, self._alone, self._under_way = float(most), True, 0
        self._until, self._sent, self._paused = -math.inf, 0, 0
        self._pauses, self._failures = 0, 0
        self._since: float | None = None
        self._left: dict[str, _Left] = {}
        self._tokens, self._answers = 0, 0
        self._turn, self._changed = asyncio.Lock(), asyncio.Event()

    async def start(self) -> int:
        """Wait for this request's turn, first come, first served. Returns its number, which says of what it came to."""
        async with self._turn:
            while (seconds := self.wait()) > 0:
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                        await self._changed.wait()
            return self.begin()

    def begin(self) -> int:
        """Count one more request as under way; its number."""
        self._under_way, self._sent = self._under_way + 1, self._sent + 1
        for kind, left in self._left.items():
            left.amount -= self._needed(kind)
        return self._sent

    def wait(self) -> float:
        """The seconds until the next request may be sent: 0 for now, infinity for not before another one has come back."""
        now = self._clock()
        if self._under_way >= (1 if self._alone else int(self._allowed)):
            return math.inf
        if now < self._until:
            return self._until - now
        for kind, left in self._left.items():
            if self._alone or now >= left.until or left.amount >= self._needed(kind):
                continue
            if self._under_way:
                return math.inf  # what comes back says how much is left
            # The time that is told may be the one until all is allowed again: one request tries it before.
            self._alone, self._paused = True, self._sent
            self._until = min(left.until, now + self._first)
            return self._until - now
        return 0.0

    def answered(self, number: int, headers: Mapping[str, str], tokens: int) -> None:
        """A request brought an answer, which cost so many tokens."""
        self._back(number, headers)
        self._tokens, self._answers = self._tokens + tokens, self._answers + 1
        self._failures, self._since = 0, None
        # Those that were sent before the pause say nothing about what comes after it.
        if number > self._paused:
            self._alone, self._pauses = False, 0
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)

    def refused(self, number: int, headers: Mapping[str, str]) -> float:
        """The endpoint lets no more requests in for now. Returns the seconds of the pause, 0 if it has begun before."""
        self._back(number, headers)
        return self._pause(number, retry_after(headers) or self._reset(number))

    def failed(self, number: int, headers: Mapping[str, str]) -> float:
        """A request failed that may succeed. Returns the seconds of the pause that all make, 0 for none."""
        self._back(number, headers)
        self._failures += 1
        if self._since is None:
            self._since = self._clock()
        return self._pause(number, None) if self._alone or self._failures >= FAILURES_IN_A_ROW else 0.0

    def rejected(self, number: int, headers: Mapping[str, str]) -> None:
        """The endpoint is there, but did not take this request: the next one is still sent alone, if this one was."""
        self._back(number, headers)
        self._failures, self._since = 0, None

    def without_answer(self) -> float:
        """The seconds from the first of the failures, with no answer after it, until the next request is sent."""
        return 0.0 if self._since is None else max(self._clock(), self._until) - self._since

    def _needed(self, kind: str) -> float:
        """Of an allowance: what a request took in the mean."""
        return 1.0 if kind == "requests" else self._tokens / max(self._answers, 1)

    def _back(self, number: int, headers: Mapping[str, str]) -> None:
        self._under_way -= 1
        now = self._clock()
        for kind in KINDS:
            left, reset = headers.get(f"x-ratelimit-remaining-{kind}"), headers.get(f"x-ratelimit-reset-{kind}")
            before, seconds = self._left.get(kind), None if reset is None else duration(reset)
            # Azure says -1 where it does not know; answers may come in another order than they were sent.
            if left is None or not left.isdecimal() or seconds is None or (before and before.number > number):
                continue
            # Requests that were sent later may be counted in it or not.
            amount = int(left) - (self._sent - number) * self._needed(kind)
            self._left[kind] = _Left(amount, now + seconds, number)
        self._changed.set()

    def _reset(self, number: int) -> float | None:
        """The seconds until what is used up is allowed again. Some name the time until all is: at first a short one is tried."""
        now = self._clock()
        spent = [
            left for kind, left in self._left.items() if left.number == number and left.amount < self._needed(kind)
        ]
        seconds = max((left.until - now for left in spent), default=None)
        return seconds if seconds is None or self._pauses else min(seconds, self._first)

    def _pause(self, number: int, asked: float | None) -> float:
        now = self._clock()
        if self._since is None:
            self._since = now
        if number <= self._paused:  # one of many that were sent before the pause
            self._until = max(self._until, now + (asked or 0.0))
            return 0.0
        if asked is None:
            # Jobs that were refused at the same time shall not come again at the same time.
            asked = min(self._first * 2**self._pauses, LONGEST_PAUSE) * random.uniform(0.75, 1.25)
        self._pauses, self._failures = self._pauses + 1, 0
        if not self._alone:
            self._allowed, self._alone = max(1.0, self._allowed / 2), True
        self._paused, self._until = self._sent, now + asked
        return asked


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that ``retry-after-ms`` or ``Retry-After`` asks for, as a number or as a date; None for neither."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(seconds, 0.0)


def duration(text: str) -> float | None:
    """Seconds as the reset headers have them: ``6m0s``, ``12ms``, ``1.5s``, ``20``; None for anything else."""
    parts = _DURATION.findall(text) if text.isascii() else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _number(text: str) -> float | None:
    try:
        value = float(text) if text.isascii() else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
