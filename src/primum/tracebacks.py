"""An error that is nobody's mistake in a file: where it happened, apart from what it says, which may be text of a row."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from pathlib import Path


def withheld(error: BaseException, kept: Path) -> str:
    """The places of ``error`` and its class. All that it says goes into the file ``kept``, which only its owner may read."""
    places = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    where = "it cannot be kept"
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
        where = f"it is in {kept}, for its owner alone"
    return f"{places}{type(error).__name__}: what it says may be text of a row: {where}"
