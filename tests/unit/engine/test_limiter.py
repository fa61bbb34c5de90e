"""The limiter against endpoints that let in so many, in a time that the event loop leaps over: seconds cost nothing."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from primum.engine.limiter import Limiter, duration, retry_after

SECONDS = 0.05  # that an answer takes


class _Leaping(asyncio.SelectorEventLoop):
    """An event loop that does not wait for its timers: its clock jumps to the next of them."""

    def __init__(self) -> None:
        super().__init__(_Never())
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class _Never(selectors.SelectSelector):
    def select(self, timeout: float | None = None) -> list[Any]:
        return super().select(0)


def leap(work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """Run ``work``; the seconds that it would have taken."""
    loop = _Leaping()
    try:
        loop.run_until_complete(work())
        return loop.now
    finally:
        loop.close()


class Endpoint:
    """``room()`` says whether a request is let in now, and the headers for it; counts what it did."""

    def __init__(self, room: Callable[[float], tuple[bool, dict[str, str]]], status: str = "limited") -> None:
        self.room, self.status = room, status
        self.answers, self.refusals, self.most = 0, 0, 0
        self.first: float | None = None

    async def ask(self, requests: int, workers: int) -> None:
        loop = asyncio.get_running_loop()
        limiter = Limiter(workers, clock=loop.time)
        left, under_way = requests, 0

        async def worker() -> None:
            nonlocal left, under_way
            while left:
                left -= 1
                while True:
                    number = await limiter.start()
                    under_way += 1
                    self.most = max(self.most, under_way)
                    let_in, headers = self.room(loop.time())
                    await asyncio.sleep(SECONDS)
                    under_way -= 1
                    if let_in:
                        limiter.answered(number, headers, 10)
                        self.answers += 1
                        break
                    self.refusals += 1
                    (limiter.refused if self.status == "limited" else limiter.failed)(number, headers)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(worker())


def window(allowed: int, seconds: float, headers: Callable[[int, float], dict[str, str]]) -> Any:
    """So many in each window of so many seconds; ``headers(left, seconds to its end)``."""
    used = {"window": -1, "requests": 0}

    def room(now: float) -> tuple[bool, dict[str, str]]:
        if used["window"] != now // seconds:
            used.update(window=now // seconds, requests=0)
        used["requests"] += 1
        left = allowed - used["requests"]
        return left >= 0, headers(max(left, 0), seconds - now % seconds)

    return room


NAMED = {
    "nothing": lambda left, seconds: {},
    "retry-after": lambda left, seconds: {} if left else {"retry-after": str(int(seconds) + 1)},
    "retry-after-ms": lambda left, seconds: {} if left else {"retry-after-ms": str(int(seconds * 1000) + 1)},
    "reset": lambda left, seconds: {
        "x-ratelimit-remaining-requests": str(left),
        "x-ratelimit-reset-requests": f"{seconds:.3f}s",
    },
}


@pytest.mark.parametrize("named", NAMED)
def test_a_window_is_used_up_whatever_the_endpoint_says_of_it(named: str) -> None:
    """600 in 30 s, 64 at a time: four windows' requests take three windows and what the last ones need (0.5 s at best)."""
    endpoint = Endpoint(window(600, 30, NAMED[named]))
    took = leap(lambda: endpoint.ask(2400, 64))
    assert endpoint.answers == 2400
    best = 3 * 30 + 600 / 64 * SECONDS
    assert best <= took <= best / 0.95 + (15 * 1.25 if named == "nothing" else 2)
    assert endpoint.most == 64
    # Nobody knows beforehand but by what is left; then one of a window tries a moment too early.
    assert endpoint.refusals <= {"nothing": 3 * (64 + 8), "reset": 3 * 2}.get(named, 3 * 64)


def test_a_bucket_that_fills_all_the_time_is_used_up() -> None:
    """10 a second, 100 at once at most, as OpenAI has it: the reset is when the bucket is full, which nobody must wait for."""
    state = {"level": 100.0, "at": 0.0}

    def room(now: float) -> tuple[bool, dict[str, str]]:
        state["level"], state["at"] = min(100.0, state["level"] + 10 * (now - state["at"])), now
        let_in = state["level"] >= 1
        state["level"] -= let_in
        left = {"x-ratelimit-remaining-requests": str(int(state["level"]))}
        return let_in, {**left, "x-ratelimit-reset-requests": f"{(100 - state['level']) / 10:.3f}s"}

    endpoint = Endpoint(room)
    took = leap(lambda: endpoint.ask(700, 64))
    assert 60 * 0.99 <= took <= 60 / 0.95
    assert endpoint.refusals < 0.05 * 700


def test_tokens_are_an_allowance_of_their_own() -> None:
    """Each takes 10 of 1,000 tokens in 20 s; requests there are enough of."""

    def headers(left: int, seconds: float) -> dict[str, str]:
        tokens = {
            "x-ratelimit-remaining-tokens": str(left * 10),
            "x-ratelimit-reset-tokens": f"{int(seconds * 1000)}ms",
        }
        return {**tokens, "x-ratelimit-remaining-requests": "5000", "x-ratelimit-reset-requests": "6m0s"}

    endpoint = Endpoint(window(100, 20, headers))
    assert 40 <= leap(lambda: endpoint.ask(300, 32)) <= 42
    assert endpoint.refusals <= 2 * 2


def test_an_outage_is_waited_for_by_one_request_at_a_time() -> None:
    """25 s without an answer: those under way fail together, then one tries after each pause. The end is noticed in time."""
    endpoint = Endpoint(lambda now: (not 3 <= now < 28, {}), status="failed")
    took = leap(lambda: endpoint.ask(6000, 64))
    assert endpoint.answers == 6000
    assert endpoint.refusals <= 64 + 4 + 7
    assert 25 < took - 6000 / 64 * SECONDS < 25 + 15 * 1.25 + 2


def test_a_few_failures_among_answers_pause_nobody() -> None:
    asked = iter(range(10**6))
    endpoint = Endpoint(lambda _: (next(asked) % 10 != 3, {}), status="failed")
    assert leap(lambda: endpoint.ask(2000, 50)) <= 2000 / 0.9 / 50 * SECONDS * 1.1


def test_the_first_is_sent_alone() -> None:
    times: list[float] = []

    def room(now: float) -> tuple[bool, dict[str, str]]:
        times.append(now)
        return len(times) > 2, {}

    leap(lambda: Endpoint(room, status="failed").ask(10, 8))
    # Twice nothing, and a pause after each; then an answer, and all the others at once.
    first, second, third, *others = times
    assert (first, second > 0.7, third - second > 1.5) == (0, True, True)
    assert others[:8] == pytest.approx([third + SECONDS] * 8)


def test_how_long_nothing_has_come() -> None:
    now = 0.0
    limiter = Limiter(4, clock=lambda: now)
    assert limiter.without_answer() == 0
    limiter.refused(limiter.begin(), {"retry-after": "40"})
    assert limiter.without_answer() == 40
    now = 100.0
    limiter.rejected(limiter.begin(), {})
    assert limiter.without_answer() == 0


def test_headers_that_say_nothing() -> None:
    limiter = Limiter(4, clock=lambda: 0.0)
    nothing = {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "0", "retry-after": "soon"}
    limiter.answered(limiter.begin(), nothing, 0)
    assert limiter.wait() == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("12ms", 0.012),
        ("1.5s", 1.5),
        ("20", 20),
        ("1h2m3s", 3723),
        ("-1", None),
        ("", None),
        ("soon", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "2"}, 2),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({}, None),
    ],
)
def test_what_is_asked_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
