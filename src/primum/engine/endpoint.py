"""What an endpoint is, where it may be, and the key that it wants."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from primum.errors import PrimumError


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
