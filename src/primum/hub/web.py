"""Files with an address of their own, outside of a hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from primum.errors import PrimumError
from primum.hub.patience import NO_NETWORK, SERVER_BUSY, Say, again, is_busy, patient

T = TypeVar("T")
_CHUNK = 1 << 20
_PACKED = (".gz", ".zst")  # as the adapters read them; what they do is no part of fetching
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout)
_TIMEOUT = 60.0  # seconds, of each step of a connection


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


def download(url: str, target: Path, say: Say) -> None:
    """Download ``url`` to ``target``, again where that may help, as ``say`` is told.

    PrimumError naming the address and the remedy.
    """
    _patient(url, lambda: _stream(url, target), say)


def size(url: str, say: Say) -> int | None:
    """The bytes of what is at ``url``, where its server says so. PrimumError where it cannot be reached."""
    return _patient(url, lambda: _size(url), say)


def _patient(url: str, ask: Callable[[], T], say: Say) -> T:
    """``ask`` again where that may help: a lost connection, or a server that is busy. No connection at all is no network."""

    def once(attempt: int) -> T:
        try:
            return ask()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            again(attempt, status, error.response.headers)
            remedy = "run again later" if is_busy(status) else "check the address in the catalog"
            raise PrimumError(f"{url}: HTTP {status}: {remedy}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.TransportError) and not isinstance(error, _NO_CONNECTION):
                again(attempt)
            raise PrimumError(f"{url}: {type(error).__name__}: {NO_NETWORK}") from None

    return patient(once, SERVER_BUSY, say)
