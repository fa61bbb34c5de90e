"""HTML bodies of questions and answers as plain text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_PARAGRAPHS = frozenset(
    ("p", "div", "pre", "ul", "ol", "blockquote", "table", "h1", "h2", "h3", "h4", "h5", "h6", "hr")
)
_LINES = frozenset(("br", "tr", "li", "dt", "dd"))
_HIDDEN = frozenset(("script", "style"))
_BLANKS = re.compile(r"[ \t\r\n]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = self.verbatim = 0

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:  # Python's parser before 3.14: "<![x" is no section, and a comment to browsers
            return self.parse_bogus_comment(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _PARAGRAPHS:
            self._break("\n\n")
        elif tag in _LINES:
            self._break("\n- " if tag == "li" else "\n")
        if tag == "pre":
            self.verbatim += 1
        elif tag in _HIDDEN:
            self.hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._break("\n\n")
        if tag == "pre" and self.verbatim:
            self.verbatim -= 1
        elif tag in _HIDDEN and self.hidden:
            self.hidden -= 1

    def handle_data(self, data: str) -> None:
        if self.hidden:
            return
        if not self.verbatim:
            data = _BLANKS.sub(" ", data)
            if not self.parts or self.parts[-1].endswith(("\n", " ")):
                data = data.lstrip(" ")
        if data:
            self.parts.append(data)

    def _break(self, lines: str) -> None:
        if self.parts:
            self.parts[-1] = self.parts[-1].rstrip(" ")
        self.parts.append(lines)


def html_text(html: str) -> str:
    """The text of ``html``: blank lines between paragraphs, ``- `` before list items, code as it stands, no tags.

    Entities become characters, links their text; images, scripts and styles go. Outer blanks are removed.
    """
    parser = _Text()
    parser.feed(html)
    parser.close()
    return _EMPTY_LINES.sub("\n\n", "".join(parser.parts)).strip()
