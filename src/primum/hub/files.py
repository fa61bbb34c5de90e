"""Files of a repository: which ones a pattern means, and whether one is what the hub states."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from primum.hub.lock import HubFile

_CHUNK = 1 << 22


def matching(patterns: Sequence[str], paths: Iterable[str]) -> list[str]:
    """The ``paths`` that match one of ``patterns``, sorted. ``*`` stands for anything but a slash, as in a shell."""
    split = [pattern.split("/") for pattern in patterns]
    return sorted(path for path in paths if any(_matches(parts, path.split("/")) for parts in split))


def _matches(pattern: Sequence[str], path: Sequence[str]) -> bool:
    return len(pattern) == len(path) and all(map(fnmatchcase, path, pattern))


def is_whole(path: Path, file: HubFile, read: Callable[[int], None] | None = None) -> bool:
    """Whether the file at ``path`` has the size and checksum of ``file``; ``read`` is told the bytes of each piece read.

    OSError when it is there and cannot be read.
    """
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    algorithm, _, expected = file.checksum.partition(":")
    # git's own name of a file's content is of a header, too.
    head = b"" if algorithm == "sha256" else b"blob %d\0" % file.size
    digest = hashlib.new(algorithm.removeprefix("git-"), head, usedforsecurity=False)
    with path.open("rb") as content:
        while piece := content.read(_CHUNK):
            digest.update(piece)
            if read is not None:
                read(len(piece))
    return digest.hexdigest() == expected
