"""What a job says of itself: the lines of ``primum.progress`` in its log, which is read as the job writes it.

The log is how a job speaks to the run that started it, on this machine or on a node of a cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# As ``Progress.update`` writes it: [sft] sft: 571/1,004, 7,000 tokens/s, 23 s left, loss 2.105
_STEP = re.compile(
    r"^\[[\w-]+\] (?P<item>[^\s:]+): (?P<done>[\d,]+)/(?P<total>[\d,]+)"
    r"(?:, (?P<rate>[\d,]+) (?P<unit>\w+)/s)?(?:, (?P<left>\d+) s left)?(?:, .*)?$"
)
_ERROR = re.compile(r"^\[[\w-]+\] error: (?P<said>.+)$")
_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Step:
    """How far a job is with one of its items; ``rate`` in ``unit`` a second, ``left`` in seconds for this item."""

    item: str
    done: int
    total: int
    rate: int = 0
    unit: str = ""
    left: float = 0.0


def parse_step(line: str) -> Step | None:
    """The step that a progress line tells of; None for any other line."""
    found = _STEP.match(line)
    if found is None:
        return None
    done, total, rate = (int((found[name] or "0").replace(",", "")) for name in ("done", "total", "rate"))
    return Step(found["item"], done, total, rate, found["unit"] or "", float(found["left"] or 0))


class JobLog:
    """The end of a job's log, without what was in it when the job began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, self._from = self._where()
        self.step: Step | None = None
        self.begun = False
        self.error = ""

    def _where(self) -> tuple[int, int]:
        """Which file it is, and its size."""
        try:
            status = self.path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size

    def read(self) -> None:
        """Look at what was written since the last time; a log that is not there says nothing."""
        file, size = self._where()
        if file != self._file or size < self._from:  # Snakemake removes the log of the attempt before
            self._file, self._from = file, 0
        if size == self._from:
            return
        start = max(self._from, size - _AT_ONCE)
        try:
            with self.path.open("rb") as log:
                log.seek(start)
                text = log.read(_AT_ONCE)
        except OSError:
            return
        self.begun = True
        whole = text.rfind(b"\n") + 1  # a line that is being written is read next time
        self._from = start + whole
        for line in text[:whole].decode("utf-8", errors="replace").splitlines():
            if step := parse_step(line):
                self.step = step
            elif said := _ERROR.match(line):
                self.error = said["said"]
