"""Files with an address of their own, outside of a hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from primum.errors import PrimumError
from primum.hub.patience import ATTEMPTS, NO_NETWORK, pause

T = TypeVar("T")
_CHUNK = 1 << 20
_PACKED = (".gz", ".zst")  # as the adapters read them; what they do is no part of fetching
_TIMEOUT = 60.0  # seconds, of each step of a connection


def _patient(ask: Callable[[], T]) -> T:
    """``ask`` again where that may help: a lost connection, or a server that is busy. No connection at all is no network."""
    for attempt in range(1, ATTEMPTS):
        wait = None
        try:
            return ask()
        except httpx.HTTPStatusError as error:
            wait = pause(attempt, error.response.status_code, error.response.headers)
            if wait is None:
                raise
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except httpx.TransportError:
            wait = pause(attempt)
        time.sleep(wait or 0)
    return ask()


def _stream(url: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT) as answer, target.open("wb") as file:
        answer.raise_for_status()
        # Some servers call a file that is packed itself packed for the way: what they send is the file.
        packed = target.suffix.lower() in _PACKED
        for chunk in answer.iter_raw(_CHUNK) if packed else answer.iter_bytes(_CHUNK):
            file.write(chunk)


def _size(url: str) -> int | None:
    plain = {"Accept-Encoding": "identity"}
    answer = httpx.head(url, follow_redirects=True, timeout=_TIMEOUT, headers=plain)
    length = answer.headers.get("content-length", "")
    return int(length) if answer.is_success and length.isdecimal() else None


def download(url: str, target: Path) -> None:
    """Download ``url`` to ``target``, again where that may help. PrimumError naming the address and the remedy."""
    _asked(url, lambda: _stream(url, target))


def size(url: str) -> int | None:
    """The bytes of what is at ``url``, where its server says so. PrimumError where it cannot be reached."""
    return _asked(url, lambda: _size(url))


def _asked(url: str, ask: Callable[[], T]) -> T:
    try:
        return _patient(ask)
    except httpx.HTTPStatusError as error:
        raise PrimumError(f"{url}: HTTP {error.response.status_code}: check the address in the catalog") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise PrimumError(f"{url}: {type(error).__name__}: {NO_NETWORK}") from None
