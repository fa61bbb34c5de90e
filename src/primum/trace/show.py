"""How the commands print: plain lines, in colours on a terminal alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from primum.trace.tree import STYLES, Line


def show(lines: Iterable[Line]) -> None:
    """Print lines; on a terminal by rich, unless NO_COLOR is set."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        for line in lines:
            print(f"{line.guide}{line.text}{line.tail}".rstrip())
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble((line.guide, "dim"), (line.text, STYLES[line.kind]), (line.tail, "dim")))
