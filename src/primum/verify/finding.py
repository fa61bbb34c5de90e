"""What a check yields: a finding, or that something could not be checked. Neither ever holds the text of a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

AGAIN = "delete it and run snakemake again"
RUN = "run snakemake again"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is ``wrong`` with the file or folder at ``path``, and the ``remedy``."""

    path: Path
    wrong: str
    remedy: str = AGAIN

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Unchecked:
    """So many things of one kind (``what``) that were not checked, and ``why``."""

    what: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        # The first noun is of several.
        what = re.sub(r"s\b", "", self.what, count=1) if self.count == 1 else self.what
        return f"{self.count:,} {what}: {self.why}"


Seen = Finding | Unchecked


def sorted_out(seen: Iterable[Seen]) -> tuple[list[Finding], list[Unchecked]]:
    """The findings by path, each once, and what was not checked, counted by kind and reason."""
    found: dict[Finding, None] = {}
    counts: dict[tuple[str, str], int] = {}
    for each in seen:
        if isinstance(each, Finding):
            found[each] = None
        else:
            counts[each.what, each.why] = counts.get((each.what, each.why), 0) + each.count
    findings = sorted(found, key=lambda finding: (str(finding.path), finding.wrong))
    return findings, [Unchecked(what, why, count) for (what, why), count in counts.items()]


def some(names: Sequence[str], most: int = 2) -> str:
    """The first of ``names``, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
