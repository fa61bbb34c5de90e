"""What people see while an audit runs: one line that changes on a terminal, a line for each process in a log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from primum.artifact.manifest import Artifact
from primum.reproduce.outcome import Outcome
from primum.reproduce.sample import Candidate, Sample

_CLEAR = "\r\x1b[K"


class Screen:
    """Writes to ``stream``; ``budget`` is in seconds, None for no bound."""

    def __init__(self, stream: TextIO, budget: float | None) -> None:
        self._stream = stream
        self._of = "" if budget is None else f" of {clock(budget)}"
        self._since = time.monotonic()
        self._total = 0
        self._now = ""
        self._changes = stream.isatty()

    def opening(self, results: Path, asked: Sequence[Artifact], sample: Sample, seed: int) -> None:
        """What there is, and what is going to be made again."""
        self._total = len(sample.chosen)
        stages = len({each.manifest.stage for each in asked})
        drawn = f"{self._total:,} are made again (seed {seed}), in about {clock(sample.seconds)}{self._of}"
        self._line(f"{results}: {len(asked):,} artifacts of {stages} stages; {drawn}")

    def running(self, group: Sequence[Candidate], done: int) -> None:
        """What is being made."""
        more = f" and {len(group) - 1:,} more" if len(group) > 1 else ""
        self._now = f"{done:,}/{self._total:,} made again | {group[0].stage}: {group[0].name}{more}"
        self.tick()

    def tick(self) -> None:
        """Say on a terminal how late it is."""
        if self._changes:
            width = shutil.get_terminal_size().columns
            self._write(f"{_CLEAR}{f'{self._clock()} | {self._now}'[: width - 1]}")

    def done(self, outcomes: Sequence[Outcome]) -> None:
        """What came of it: on a terminal only what did not come out as claimed."""
        for each in outcomes:
            if not each.matched:
                self._line(f"{each.name}: {each.verdict}: {each.said}")
        if not self._changes:
            matched = sum(each.matched for each in outcomes)
            self._line(f"{self._clock()} {outcomes[0].stage}: {matched:,} of {len(outcomes):,} as claimed")

    def end(self) -> None:
        """Take the line that changes away."""
        if self._changes:
            self._write(_CLEAR)

    def _clock(self) -> str:
        return f"{clock(time.monotonic() - self._since)}{self._of}"

    def _line(self, text: str) -> None:
        self._write(f"{_CLEAR if self._changes else ''}{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def clock(seconds: float) -> str:
    """``1:23``, or ``2:01:23`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
