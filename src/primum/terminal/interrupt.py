"""Ctrl-C in a run as one line, from the first line of the Snakefile on. Loads nothing, so that it is there at once."""

from __future__ import annotations

import sys
from functools import partial
from types import TracebackType
from typing import Any

AGAIN = "Stopped. Run the same command again to go on from here."


def tell_of_interrupts() -> None:
    """From now on Ctrl-C that nobody catches is one line, where it was a traceback."""
    sys.excepthook = partial(_on_exception, sys.excepthook)


def _on_exception(before: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(AGAIN, file=sys.stderr)
    else:
        before(kind, error, trace)
