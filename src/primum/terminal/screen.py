"""Where a run is shown: on a terminal its line stays at the bottom; elsewhere it is printed now and then."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

Line = Callable[[int | None], str]  # the line that fits so many characters
_REFRESHES = 4  # a second
_SHORTEST, _SHARE = 30.0, 0.02  # plain lines: seconds apart, or so much of the time that the run took until then


class Screen(Protocol):
    """What shows a run between ``start`` and ``stop``; ``say`` prints a line that stays."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def say(self, text: str) -> None: ...


def open_screen(line: Line, log: Path) -> Screen:
    """The screen that standard error has room for."""
    plain = os.environ.get("TERM", "dumb") in ("dumb", "unknown") or not sys.stderr.isatty()
    return PlainScreen(line) if plain else LiveScreen(line, log)


class PlainScreen:
    """Lines one below the other, for a file, a pipe or a build server."""

    def __init__(self, line: Line, stream: TextIO | None = None) -> None:
        self._line, self._stream = line, stream
        self._ended = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._tell, args=(time.monotonic(),), daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def say(self, text: str) -> None:
        print(text, file=self._stream or sys.stderr, flush=True)

    def _tell(self, since: float) -> None:
        while not self._ended.wait(max(_SHORTEST, _SHARE * (time.monotonic() - since))):
            self.say(f"[run] {self._line(None)}")


class LiveScreen:
    """One line at the bottom of the terminal. What jobs print meanwhile goes to ``log``, and not between.

    Jobs inherit standard output and error from this process, so these are led to the file while the line is shown, and this
    process itself goes on writing to the terminal. The file outlives the process: whoever is killed breaks no job's pipe.
    """

    def __init__(self, line: Line, log: Path) -> None:
        self._line, self._log = line, log
        self._undo = contextlib.ExitStack()
        self._live: Live | None = None

    def start(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        self._undo.enter_context(_led_to(self._log))
        console = Console(file=sys.stderr, force_terminal=True, highlight=False, soft_wrap=True)

        def shown() -> Text:
            # Of standard input, output and error, which rich asks for the width, none may be the terminal.
            with contextlib.suppress(OSError):
                console.size = os.get_terminal_size(sys.stderr.fileno())
            text = Text(self._line(console.width - 1), no_wrap=True, overflow="ellipsis")
            text.stylize("bold", 0, text.plain.find(" | ") % (len(text.plain) + 1))
            return text

        self._live = Live(
            console=console,
            get_renderable=shown,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        console.show_cursor(True)  # a killed run would leave the terminal without one

    def stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.stop()
        self._undo.close()

    def say(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, soft_wrap=True, markup=False, emoji=False)
        else:
            print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _led_to(log: Path) -> Iterator[None]:
    """Lead the file descriptors of standard output and error to ``log``, where they are the terminal; ``sys`` keeps it.

    What libraries print is nobody's to promise, so that only its owner may read it.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    except OSError:
        yield  # jobs then print between, as they would anywhere else
        return
    names = [name for name in ("stdout", "stderr") if getattr(sys, name).isatty()]
    before = {name: getattr(sys, name) for name in names}
    kept = {}
    for name, stream in before.items():
        stream.flush()
        kept[name] = open(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="replace", buffering=1)  # noqa: PTH123, SIM115
        os.dup2(target, stream.fileno())
        setattr(sys, name, kept[name])
    os.close(target)
    try:
        yield
    finally:
        for name, stream in before.items():
            kept[name].flush()
            os.dup2(kept[name].fileno(), stream.fileno())
            setattr(sys, name, stream)
            kept[name].close()
