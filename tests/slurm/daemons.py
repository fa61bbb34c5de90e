"""Daemons that outlive who started them, each known by its process id and the moment that process began."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class ClusterError(Exception):
    """Something of the cluster does not do what it should; the message is one line."""


def wait_for(what: str, condition: Callable[[], object], seconds: float, every: float = 0.2) -> None:
    """Return once ``condition()`` is true. Raises ClusterError with ``what`` when it is not, after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            raise ClusterError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(every)


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was written"


def began(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None if it is gone or a zombie. With the id, it names a process."""
    try:
        # The name, in parentheses, may hold anything: the other fields are counted from its end.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _child(pid: int) -> int | None:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            return int(stat.parent.name)
    return None


@dataclass(frozen=True)
class Daemon:
    """One daemon of the cluster in ``folder``: its record is ``run/<name>.pid``, what it printed ``log/<name>.out``."""

    name: str
    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "run" / f"{self.name}.pid"

    @property
    def output(self) -> Path:
        return self.folder / "log" / f"{self.name}.out"

    @property
    def pid(self) -> int | None:
        """The process that was started, if it still runs: a later process with the same id is not it."""
        try:
            pid, start = self.record.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if began(int(pid)) == start else None

    def start(self, command: Sequence[str], environment: Mapping[str, str], *, forks: bool = False) -> None:
        """Start it in a session of its own. With ``forks``, the daemon is the one child of ``command``."""
        # The shell leaves at once, so that the daemon is nobody's child here: no zombie when it dies, no signal from a
        # terminal.
        script = 'setsid "$@" </dev/null >>"$0" 2>&1 & echo $!'
        shell = ["sh", "-c", script, str(self.output), *command]
        done = subprocess.run(shell, env=dict(environment), stdout=subprocess.PIPE, text=True, cwd="/", check=True)
        parent = int(done.stdout)
        if forks:
            wait_for(f"a child of {command[0]}", lambda: _child(parent) or began(parent) is None, 120, every=0.02)
        pid = _child(parent) if forks else parent
        start = None if pid is None else began(pid)
        self.record.write_text("" if start is None else f"{pid} {start}\n")

    def wait(self, ready: Callable[[], object], seconds: float) -> None:
        """Return once it is ``ready``. Raises ClusterError with the last line it printed if it died or took too long."""
        end = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise ClusterError(f"{self.name} died at start: {self.said()}")
            if time.monotonic() >= end:
                raise ClusterError(f"{self.name} did not come up within {seconds:g} s: {self.said()}")
            time.sleep(0.1)

    def said(self) -> str:
        return f"{last_line(self.output.read_text(errors='replace'))} ({self.output})"

    def kill(self) -> None:
        """SIGKILL, and return when it is gone."""
        self._signal(signal.SIGKILL)
        wait_for(f"{self.name} survives SIGKILL", lambda: self.pid is None, 120, every=0.05)

    def stop(self, seconds: float) -> bool:
        """SIGTERM, then SIGKILL after ``seconds``; whether there was something to stop."""
        if self.pid is None:
            return False
        self._signal(signal.SIGTERM)
        try:
            wait_for(f"{self.name} is stopping", lambda: self.pid is None, seconds, every=0.05)
        except ClusterError:
            self.kill()
        return True

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
