"""What the cards share: text that is no markup, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """``text`` on one line, with no markup of its own."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(text.split()))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table. A heading that ends in ``:`` is one of numbers, which stand to the right."""
    marks = ("---:" if name.endswith(":") else "---" for name in head)
    lines = [f"| {' | '.join(name.rstrip(':') for name in head)} |", f"|{'|'.join(marks)}|"]
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else " ".join(str(cell).split()) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return lines
