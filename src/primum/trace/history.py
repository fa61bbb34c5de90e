"""What git knows of the project's files: who changed a line, and the versions that a file had. Without git it is nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

_FORMAT = "%H%x1f%an%x1f%as%x1f%s"
_NOBODY = re.compile(r"0{40}")
_MOST = 100  # versions of a file that are looked at, the newest first
_PATIENCE = 10.0  # seconds that git may take for one answer


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: its hash, author, day (``2026-11-29``) and subject; ``hash`` is "" of what is not committed yet."""

    hash: str
    author: str = ""
    day: str = ""
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.author}, {self.day}, {self.hash[:9]}: {self.subject}" if self.hash else "not committed yet"

    def as_json(self) -> dict[str, str]:
        return asdict(self)


NOT_COMMITTED = Commit("")


def _git(root: Path, *words: str) -> bytes | None:
    """What git prints; None where there is no git, no repository, or no such thing in it."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            ["git", "--no-optional-locks", "-C", str(root), *words],  # noqa: S607 - whichever git the user has
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _commits(output: bytes | None) -> list[Commit]:
    lines = (output or b"").decode("utf-8", "replace").splitlines()
    return [Commit(*line.split("\x1f", 3)) for line in lines if line.count("\x1f") >= 3]


@cache
def author_of_line(root: Path, file: str, line: int) -> Commit | None:
    """Who wrote a line (from 1) of a file, given relative to ``root``, as it is now; None where git cannot tell."""
    said = _git(root, "blame", "--porcelain", "-L", f"{line},{line}", "--", file)
    if not said:
        return None
    found = said.decode("utf-8", "replace").split()[0]
    return NOT_COMMITTED if _NOBODY.fullmatch(found) else _commit(root, found)


def _commit(root: Path, name: str) -> Commit | None:
    return next(iter(_commits(_git(root, "log", "-1", f"--format={_FORMAT}", name))), None)


@cache
def author_of_file(root: Path, file: str) -> Commit | None:
    """Who changed a file last, uncommitted changes first; None where git does not have the file."""
    commits = _commits(_git(root, "log", "-1", f"--format={_FORMAT}", "--", file))
    changed = _git(root, "status", "--porcelain", "--", file)
    return None if not commits else NOT_COMMITTED if changed else commits[0]


@dataclass(frozen=True, slots=True)
class Version:
    """A file, and the files beside it that were asked for, as ``commit`` has them."""

    commit: Commit
    files: dict[str, bytes]


def versions_of(root: Path, file: str, beside: Sequence[str] = ()) -> Iterator[Version]:
    """The committed versions of ``file`` (relative to ``root``), the newest first.

    ``beside`` are patterns, such as ``src/primum/report/*.j2``: what matches one of them belongs to each version.
    """
    # As Python reads them: git's own star goes into folders.
    files = [file, *(f":(glob){each}" for each in beside)]
    for commit in _commits(_git(root, "log", f"-{_MOST}", f"--format={_FORMAT}", "--", *files)):
        yield _version(root, file, beside, commit)


def version_at(root: Path, file: str, beside: Sequence[str], commit: str) -> Version | None:
    """As :func:`versions_of`, that of one commit; None where git does not have it."""
    found = _commit(root, commit)
    return None if found is None else _version(root, file, beside, found)


def _version(root: Path, file: str, beside: Sequence[str], commit: Commit) -> Version:
    names = [file]
    for folder in {each.rpartition("/")[0] for each in beside}:
        listed = (_git(root, "ls-tree", "--name-only", commit.hash, f"{folder}/") or b"").decode().splitlines()
        names += [name for name in listed if any(Path(name).match(pattern) for pattern in beside)]
    contents = {name: _git(root, "show", f"{commit.hash}:./{name}") for name in names}
    return Version(commit, {name: content for name, content in contents.items() if content is not None})
