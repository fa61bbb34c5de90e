"""Progress lines: stage, name, done/total, rate and time left, to standard error and to the job's log."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class Progress:
    """Prints at most one progress line every ``interval`` seconds, and every line of :meth:`say`.

    Lines carry names and counts, never the text of a row. A ``silent`` one says nothing on standard error.
    """

    def __init__(self, stage: str, log: Path | None = None, interval: float = 5.0, silent: bool = False) -> None:
        self._stage = stage
        self._metrics = None if log is None else log.with_suffix(".metrics.jsonl")
        self._interval = interval
        self._streams: list[TextIO] = [] if silent else [sys.stderr]
        if log is not None:
            with suppress(OSError):
                log.parent.mkdir(parents=True, exist_ok=True)
                self._streams.append(log.open("a", encoding="utf-8"))
        self._started: dict[str, tuple[float, float]] = {}
        self._printed = 0.0

    def say(self, message: str) -> None:
        """Print a line, headed by the stage."""
        for stream in self._streams:
            # A full disk must not hide what there is to say behind an error about the log.
            with suppress(OSError):
                print(f"[{self._stage}] {message}", file=stream, flush=True)

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Append a training's step as a JSON object to ``<name>.metrics.jsonl`` beside the log; step 1 begins the file anew.

        What is no number, such as an infinite loss, is null.
        """
        record = {
            "step": step,
            **{key: float(value) if math.isfinite(value) else None for key, value in values.items()},
        }
        # As for the log: a full disk ends a training at what must be written, not here.
        with suppress(OSError):
            if self._metrics is not None:
                with self._metrics.open("w" if step == 1 else "a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")

    def update(self, name: str, done: int, total: int, amount: float = 0.0, unit: str = "rows", note: str = "") -> None:
        """Report ``done`` of ``total`` steps of ``name``; ``amount`` is how many ``unit`` that is so far (for the rate)."""
        now = time.monotonic()
        started, before = self._started.setdefault(name, (now, amount))
        if done < total and now - self._printed < self._interval:
            return
        self._printed = now
        elapsed = max(now - started, 1e-9)
        rate = (amount - before) / elapsed
        left = elapsed / done * (total - done) if done else 0.0
        speed = f", {rate:,.0f} {unit}/s" if rate and elapsed > 0.05 else ""
        eta = f", {left:.0f} s left" if 0 < done < total and elapsed > 1 else ""
        self.say(f"{name}: {done:,}/{total:,}{speed}{eta}{', ' + note if note else ''}")


def hush_transformers() -> None:
    """Keep transformers' own progress bars and notices out of the progress lines."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
