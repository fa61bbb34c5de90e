"""Small inline SVG, styled by the page's own colours so that it follows light, dark and print. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """An element; ``text_anchor`` becomes ``text-anchor``, ``class_`` becomes ``class``; None leaves one out."""
    spelled = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _spell(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, spelled, inner)


def drawing(width: float, height: float, label: str, parts: Iterable[Markup], class_: str = "plot") -> Markup:
    """An ``svg`` of this size in CSS pixels; ``label`` is what a screen reader says of it."""
    box = f"0 0 {_spell(width)} {_spell(height)}"
    sizes: dict[str, float | str] = {"width": width, "height": height, "role": "img", "aria_label": label}
    return element("svg", *parts, viewBox=box, class_=class_, **sizes)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """Words at a point, which is their ``anchor`` (start, middle or end) on the baseline."""
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def tip(words: str) -> Markup:
    """What shows when the pointer rests on the element that this is a child of."""
    return element("title", words)


def shorten(words: str, limit: int) -> str:
    """At most ``limit`` characters, the last an ellipsis where some were cut."""
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def _spell(value: str | float) -> str:
    """Numbers with at most one decimal, so that the page has the same bytes wherever it is made."""
    if isinstance(value, str):
        return value
    spelled = f"{value:.1f}".removesuffix(".0")
    return "0" if spelled == "-0" else spelled
