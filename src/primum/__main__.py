"""Where ``primum`` begins. Its modules take a moment to load: Ctrl-C meanwhile ends it without a traceback."""

from __future__ import annotations

import signal


def main() -> None:
    """:func:`primum.cli.main`."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a job in the background ignores it
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from primum.cli import main as run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
