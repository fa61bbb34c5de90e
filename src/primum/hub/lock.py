"""The lock of repositories, ``config/hub.lock.json``: which commit an entry without a revision means, and its files.

``primum pin`` writes it, as ``uv lock`` writes ``uv.lock``: :mod:`primum.hub.client` and :mod:`primum.hub.git` ask,
:mod:`primum.hub.locked` writes. A mirror folder holds one such record a commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.reading import regular

LOCK = Path("config/hub.lock.json")
GIT = "git"
_FOLDERS = {"dataset": "datasets", "model": "models", GIT: "git"}
_HTTPS = "https://"
UNKNOWN_REVISION = "unknown"  # what an entry says that leaves its revision to the lock
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|git-sha1:[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub states it: bytes, and ``sha256:`` of its content (LFS) or ``git-sha1:`` of its git blob."""

    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a repository at ``commit``, which was the newest of ``ref``, made on ``date`` (ISO 8601, UTC).

    ``kind`` is ``dataset`` or ``model``, and ``hub`` the id (``org/name``); or ``git``, and ``hub`` the address. ``gated`` says
    that access must be asked for.
    """

    kind: str
    hub: str
    commit: str
    files: Mapping[str, HubFile]
    ref: str = "main"
    date: str = ""
    license: str = ""
    gated: bool = False


Lock = dict[tuple[str, str], Listing]


def title(kind: str, hub: str) -> str:
    """A repository's name in the lock, and its place in a mirror: ``datasets/org/name``, ``git/github.com/org/name``."""
    return f"{_FOLDERS[kind]}/{hub.removeprefix(_HTTPS) if kind == GIT else hub}"


def read_lock(root: Path) -> Lock:
    """The lock of the project at ``root`` by (kind, hub id); empty where there is none. PrimumError if it is no lock."""
    path = root / LOCK
    if not path.exists():
        return {}
    repositories = _read(path).get("repositories")
    if not isinstance(repositories, dict):
        raise PrimumError(f"{path}: has no 'repositories': delete it and run `primum pin`")
    listings = [parse(path, name, entry) for name, entry in repositories.items()]
    return {(listing.kind, listing.hub): listing for listing in listings}


def read_listing(path: Path, kind: str, hub: str) -> Listing:
    """The record of one repository in a file of its own. PrimumError naming the file if it is none."""
    return parse(path, title(kind, hub), _read(path))


def parse(path: Path, name: str, entry: Any) -> Listing:
    """The record ``entry`` of ``name`` (``datasets/org/name``) in the file at ``path``. PrimumError if it is none."""
    folder, _, hub = name.partition("/")
    kind = next((each for each, of_kind in _FOLDERS.items() if of_kind == folder), None)
    try:
        files = {each: HubFile(size, checksum) for each, (checksum, size) in entry["files"].items()}
        words = {key: entry.get(key, "") for key in ("ref", "date", "license")}
        hub = _HTTPS + hub if kind == GIT else hub
        listing = Listing(kind or "", hub, entry["commit"], files, gated=bool(entry.get("gated")), **words)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _damaged(path, name) from None
    sound = kind is not None and _is(_COMMIT, listing.commit) and all(isinstance(word, str) for word in words.values())
    if not sound or not all(map(_is_sound, files, files.values())):
        raise _damaged(path, name)
    return listing


def is_inside(path: str) -> bool:
    """Whether a path of a repository stays in the folder that it is put into."""
    return not path.startswith("/") and ".." not in path.split("/")


def _is_sound(name: str, file: HubFile) -> bool:
    return is_inside(name) and type(file.size) is int and file.size >= 0 and _is(_CHECKSUM, file.checksum)


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise PrimumError(f"{path}: cannot be read as JSON: restore it, or make it again") from None
    if not isinstance(content, dict):
        raise PrimumError(f"{path}: is no JSON object: restore it, or make it again")
    return content


def _damaged(path: Path, name: str) -> PrimumError:
    return PrimumError(f"{path}: {name}: is no record of a repository: restore the file, or make it again")
