"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from primum.errors import PrimumError


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside ``path`` and rename it into place; its folder is made. PrimumError when it cannot be written.

    What was there before then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise PrimumError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):  # as where a file lies in the place of its folder
            temporary.unlink()
