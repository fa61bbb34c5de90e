"""A terminal for tests: a command that runs in one, what was written to it, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

_PART = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+")


class Terminal:
    """``command`` in the foreground of a terminal of its own; ``written`` is all that it was sent."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], columns: int = 100) -> None:
        self._main, own = pty.openpty()
        self.columns = columns
        fcntl.ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

        def take() -> None:
            fcntl.ioctl(own, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a build in the background ignores it, and so would this

        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=own,
            stdout=own,
            stderr=own,
            start_new_session=True,
            preexec_fn=take,  # noqa: PLW1509 - no threads here
        )
        os.close(own)
        self.written = ""

    def read(self, until: Callable[[str], bool] = lambda written: False, seconds: float = 600) -> str:
        """Read until ``until`` holds of what was written, or the command has ended; what was written."""
        deadline = time.monotonic() + seconds
        while not until(self.written):
            assert time.monotonic() < deadline, self.written[-2000:]
            if not select.select([self._main], [], [], 1.0)[0]:
                continue
            try:
                got = os.read(self._main, 1 << 16)
            except OSError:  # all that had the terminal open have ended
                break
            self.written += got.decode("utf-8", errors="replace")
        return self.written

    def end(self) -> int:
        """Read to the end; the exit status."""
        self.read()
        os.close(self._main)
        return self.process.wait(timeout=600)

    def press_ctrl_c(self) -> None:
        os.write(self._main, b"\x03")

    def screen(self) -> list[str]:
        """The lines that one sees in the end, those that scrolled away included."""
        return render(self.written, self.columns)[0]

    def shown(self) -> set[str]:
        """Every line that was on the screen at some time."""
        return render(self.written, self.columns)[1]


def render(written: str, columns: int) -> tuple[list[str], set[str]]:
    """The last screen and every line ever on it; knows the few control sequences that a line at the bottom needs."""
    lines, row, column, ever = [""], 0, 0, set()
    for part in _PART.findall(written):
        ever.add(lines[row])
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines if line.strip()], {line.rstrip() for line in [*ever, *lines]}
