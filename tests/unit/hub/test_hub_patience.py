"""How long a busy server is waited for."""

from __future__ import annotations

import httpx2
import pytest

from primum.hub.patience import asked_wait, pause


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"resolvers";r=12;t=55'}, None),  # said on every answer: what is left is not the reason
        ({"RateLimit": "nonsense"}, None),
    ],
)
def test_a_server_says_how_long_to_wait(headers: dict[str, str], seconds: int | None) -> None:
    assert asked_wait(httpx2.Headers(headers)) == seconds


def test_a_pause_is_what_was_asked_for_or_doubles_and_ends_where_it_is_of_no_use() -> None:
    assert [pause(attempt) for attempt in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert [pause(1, status) for status in (200, 401, 403, 404, 408, 429, 500, 504)] == [None] * 4 + [1] * 4
    assert pause(3, 429, {"retry-after": "600"}) == 601
    assert pause(1, 429, {"retry-after": "601"}) is None
