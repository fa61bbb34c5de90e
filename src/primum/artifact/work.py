"""A job's folder of work that outlives its result, because something of it failed: made again, only that is done."""

from __future__ import annotations

from pathlib import Path

from primum.errors import PrimumError

_NAME = "failed"


def keep_work(folder: Path | None, failed: int) -> None:
    """Say that so many parts of a result failed, and that ``folder`` has the others; with 0 that nothing is to be kept.

    PrimumError when it cannot be written.
    """
    if folder is None:
        return
    path = folder / _NAME
    try:
        if failed:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{failed}\n", encoding="ascii")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise PrimumError(f"{path}: cannot be written: {error.strerror}") from None


def failed_in(folder: Path) -> int:
    """How many parts of the result of this folder failed."""
    try:
        return int((folder / _NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
