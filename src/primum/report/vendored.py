"""The libraries that draw the page's pictures, as their authors publish them: each report has a copy, and needs no network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from primum.errors import PrimumError

VENDOR = "vendor"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Library:
    """A library of the npm registry: ``source`` is the file inside its package, ``files`` are the copies here with their sha256.

    The copies are the script, which is loaded, and its licence, which asks to go where the script goes.
    """

    package: str
    version: str
    licence: str
    source: str
    files: tuple[tuple[str, str], ...]


# In the order in which they are loaded: Plot is built on d3.
LIBRARIES = (
    Library(
        "d3",
        "7.9.0",
        "ISC",
        "dist/d3.min.js",
        (
            ("d3.min.js", "f2094bbf6141b359722c4fe454eb6c4b0f0e42cc10cc7af921fc158fceb86539"),
            ("d3.LICENSE.txt", "3e6849627f74ff73c257a3ae1efb574015d94fc1035c05ec3c15805165efcbc4"),
        ),
    ),
    Library(
        "@observablehq/plot",
        "0.6.17",
        "ISC",
        "dist/plot.umd.min.js",
        (
            ("plot.min.js", "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb"),
            ("plot.LICENSE.txt", "4b295e011e0e046170041b5b46f1349393aeceb95797793a55bd21dbb543363a"),
        ),
    ),
)
SCRIPTS = tuple(f"{VENDOR}/{library.files[0][0]}" for library in LIBRARIES)


def vendored() -> Iterator[tuple[str, bytes]]:
    """Each file of the libraries: its path in a report's folder, and its bytes.

    Raises PrimumError when one is not the file whose sha256 stands here: these decide which code a report was made with.
    """
    for library in LIBRARIES:
        for name, sha256 in library.files:
            content = (_HERE / VENDOR / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != sha256:
                raise PrimumError(
                    f"{_HERE / VENDOR / name}: not the file of {library.package} {library.version}: install primum again"
                )
            yield f"{VENDOR}/{name}", content
