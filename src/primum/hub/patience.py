"""How long to wait for a server that is busy: as long as it asks for, a few times, and not for ever. And what else to do."""

from __future__ import annotations

from collections.abc import Mapping

from huggingface_hub.utils import parse_ratelimit_headers

NO_NETWORK = "no network? `primum mirror EXPERIMENT FOLDER` where there is one, then --config mirror=FOLDER"
ATTEMPTS = 5
_LONGEST = 600  # seconds: twice the window over which the hub counts requests


def asked_wait(headers: Mapping[str, str]) -> int | None:
    """Seconds that a server asks to wait, by ``Retry-After`` or ``RateLimit``; None where it asks for nothing."""
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return int(after)
    limit = parse_ratelimit_headers(headers)
    return int(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def pause(attempt: int, status: int = 503, headers: Mapping[str, str] | None = None) -> int | None:
    """Seconds to wait after ``attempt`` (from 1), which was answered so; None where another one is of no use.

    That is what the server asks for, and one more; else 1, 2, 4, 8. No server is waited for longer than ten minutes.
    """
    if status not in (408, 429) and status < 500:
        return None
    asked = asked_wait(headers or {})
    if asked is None:
        return 1 << (attempt - 1)
    return asked + 1 if asked <= _LONGEST else None
