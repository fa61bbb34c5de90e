"""A file that can be read to its end."""

from __future__ import annotations

import errno
import stat
from pathlib import Path


class IrregularError(OSError):
    """A pipe, a socket or a device, in the place of a file."""


def regular(path: Path) -> Path:
    """``path``, to be opened. IrregularError where it is a pipe, a socket or a device: who opens a pipe waits for a writer.

    A folder is for who opens it to refuse. FileNotFoundError where there is nothing.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise IrregularError(errno.EINVAL, "a pipe, a socket or a device, and no file", str(path))
    return path
