"""The libraries that the report's page loads, as their authors publish them: each report has a copy, and needs no network.

d3 and Plot draw its pictures. Tabulator draws the items that a cell opens: of many rows, those in sight alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from primum.errors import PrimumError

VENDOR = "vendor"
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class File:
    """A file of a library: its name here, its path inside the npm package, and the sha256 of the copy here."""

    name: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Library:
    """A library of the npm registry. ``files`` are the copies here: its script first, and its licence, which asks to go with it.

    One that ``draws_items`` is loaded when a cell is opened, and lies only beside a page that has items.
    """

    package: str
    version: str
    licence: str
    files: tuple[File, ...]
    draws_items: bool = False


# In the order in which they are loaded: Plot is built on d3.
# Of Tabulator's script and style the last line is left out here: a link to a source map.
LIBRARIES = (
    Library(
        "d3",
        "7.9.0",
        "ISC",
        (
            File("d3.min.js", "dist/d3.min.js", "f2094bbf6141b359722c4fe454eb6c4b0f0e42cc10cc7af921fc158fceb86539"),
            File("d3.LICENSE.txt", "LICENSE", "3e6849627f74ff73c257a3ae1efb574015d94fc1035c05ec3c15805165efcbc4"),
        ),
    ),
    Library(
        "@observablehq/plot",
        "0.6.17",
        "ISC",
        (
            File(
                "plot.min.js",
                "dist/plot.umd.min.js",
                "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
            ),
            File("plot.LICENSE.txt", "LICENSE", "4b295e011e0e046170041b5b46f1349393aeceb95797793a55bd21dbb543363a"),
        ),
    ),
    Library(
        "tabulator-tables",
        "6.5.3",
        "MIT",
        (
            File(
                "tabulator.min.js",
                "dist/js/tabulator.min.js",
                "d55b66c4343599507915c64a6a16255b02229ca1eef1efcae2278938194c209b",
            ),
            File(
                "tabulator.min.css",
                "dist/css/tabulator.min.css",
                "344d2556416c32cb80b428135d1b048887d09437d346b4d59ca17dc9b9b5c645",
            ),
            File(
                "tabulator.LICENSE.txt",
                "LICENSE",
                "191a2ee554684e1064c897b432f0e1bc6dfa714ca045d3f6ea2cf692cbd398b7",
            ),
        ),
        draws_items=True,
    ),
)
SCRIPTS = tuple(f"{VENDOR}/{library.files[0].name}" for library in LIBRARIES if not library.draws_items)


def write_libraries(folder: Path, items: bool) -> None:
    """Write the libraries into a report's ``folder``; those that draw items only where it has ``items``.

    Raises PrimumError, and writes nothing, when a file is not the one whose sha256 stands here: it is code that the page runs.
    """
    files = list(_checked(items))
    (folder / VENDOR).mkdir(parents=True, exist_ok=True)
    for name, content in files:
        (folder / VENDOR / name).write_bytes(content)


def _checked(items: bool) -> Iterator[tuple[str, bytes]]:
    for library in LIBRARIES:
        if library.draws_items and not items:
            continue
        for file in library.files:
            path = _HERE / VENDOR / file.name
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise PrimumError(f"{path}: not the file of {library.package} {library.version}: install primum again")
            yield file.name, content
