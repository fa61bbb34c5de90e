"""Where in a file a record begins, so that a person who doubts a row can open the file there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from xml.parsers import expat

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")


class Place:
    """Which record was read last: one place for all files of a dataset, which are read one after another.

    ``file`` is its file's name and ``line`` where in it the record begins: one more than the line feeds before it, as ``sed`` and
    ``grep -n`` count. ``record`` is its number in the file, from 1. Parquet has no lines: there ``line`` is ``record``.
    """

    __slots__ = ("file", "line", "record")

    def __init__(self) -> None:
        self.file, self.line, self.record = "", 0, 0

    def at(self, file: str, line: int, record: int) -> None:
        """A record is about to be given."""
        self.file, self.line, self.record = file, line, record


def first_line(text: str) -> int:
    """The line of the first character that is not blank."""
    return 1 + text.count("\n", 0, _skip(text, 0))


def member_lines(text: str) -> Iterator[int]:
    """The line of each key of ``text``, a valid JSON object."""
    counted, line = 0, 1
    for _, at, _ in _members(text):
        line += text.count("\n", counted, at)
        counted = at
        yield line


def element_lines(text: str, key: str) -> list[int]:
    """The lines at which the elements of the list at ``key`` begin, in ``text``, a valid JSON object.

    Where there is no list, the line of the value; where there is no key, none. Of a key that is there twice the last counts.
    """
    value = next((value for found, _, value in reversed(list(_members(text))) if found == key), None)
    if value is None:
        return []
    line = 1 + text.count("\n", 0, value)
    if text[value] != "[":
        return [line]
    lines, counted, at = [], value, _skip(text, value + 1)
    while text[at] != "]":
        line += text.count("\n", counted, at)
        counted = at
        lines.append(line)
        at = _behind(text, _DECODER.raw_decode(text, at)[1])
    return lines


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Each key of a valid object, where it is, and where its value is."""
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, end = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, end) + 1)
        yield key, at, value
        at = _behind(text, _DECODER.raw_decode(text, value)[1])


def _behind(text: str, end: int) -> int:
    """Where the next element begins, or the bracket that ends them."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    """The first place from ``at`` on that is not blank."""
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def tag_lines(document: bytes, tag: str) -> list[int]:
    """The lines at which the elements ``tag`` of an XML document begin, in the document's order.

    Raises:
        xml.parsers.expat.ExpatError: it is not XML.
    """
    # ElementTree, which uses the same parser, does not say where it is.
    parser = expat.ParserCreate(namespace_separator="}")
    lines: list[int] = []
    counted, line = 0, 1

    def start(found: str, _: object) -> None:
        nonlocal counted, line
        if found == tag:
            line += document.count(b"\n", counted, parser.CurrentByteIndex)
            counted = parser.CurrentByteIndex
            lines.append(line)

    parser.StartElementHandler = start
    parser.Parse(document, True)
    return lines
