"""Files and folders that only their owner may read, from their first byte and whatever the umask is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077


def private_folder(path: Path) -> None:
    """Make the folder ``path`` one that only its owner may enter; it may be there. Its parents are as the umask has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    _close(path)


def private_file(path: Path) -> None:
    """Make the new, empty file ``path``, which only its owner may read. Who opens it to write leaves its mode as it is."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def tighten(path: Path) -> None:
    """Let none but the owner read a file, or a folder and all that is in it. What is somebody else's, or gone, stays as it is."""
    _close(path)
    for each in path.rglob("*") if path.is_dir() else ():
        _close(each)


def is_closed(path: Path) -> bool:
    """Whether there is a folder that another user keeps for himself."""
    effective = os.access in os.supports_effective_ids
    return path.is_dir() and not os.access(path, os.R_OK | os.X_OK, effective_ids=effective)


def is_own(path: Path) -> bool:
    """Whether ``path`` is this user's. OSError where it is not there."""
    return path.stat().st_uid == os.geteuid()


def _close(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):
        mode = path.lstat().st_mode
        if mode & _OTHERS and not path.is_symlink():
            path.chmod(mode & 0o7777 & ~_OTHERS)
