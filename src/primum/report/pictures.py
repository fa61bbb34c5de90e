"""What the page's script draws (``figures.js``, with Observable Plot): values and words as JSON, and no drawing here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

Values = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: its name, its range, and its ticks with their text."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A model's value at ``x`` with the interval of either, where there is one. A hollow point is what was before."""

    model: str
    x: float
    y: float
    tip: str
    y_ends: tuple[float, float] | None = None
    x_ends: tuple[float, float] | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Points that belong together, in the order of ``x``; ``index`` is that of its colour, dash and shape."""

    name: str
    index: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What a training did: from one point to another; ``index`` is that of colour and shape."""

    before: Point
    after: Point
    index: int


@dataclass(frozen=True, slots=True)
class Curve:
    """A model's values over training steps, and those of what was held out."""

    name: str
    values: Values
    held_out: Values = ()


@dataclass(frozen=True, slots=True)
class Square:
    """So many responses of a label got a score (None: no score); ``share`` is of the label's, in 0-1."""

    label: str
    score: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; ``label`` is what a screen reader says of it. Which of the others are filled says what it is."""

    id: str
    title: str
    label: str
    x: Scale | None = None
    y: Scale | None = None
    unit: str = ""
    reference: float | None = None
    lines: tuple[Line, ...] = ()
    moves: tuple[Move, ...] = ()
    others: tuple[Point, ...] = ()
    named: bool = True
    curves: tuple[Curve, ...] = ()
    squares: tuple[Square, ...] = ()

    @property
    def height(self) -> int:
        """Of the drawing, in CSS pixels at any width: the page keeps this room free until the script draws."""
        if self.squares:
            return 62 + 34 * len({square.label for square in self.squares})
        return 270 if self.curves else 230 if self.lines else 300


def thinned(points: Iterable[tuple[int, float]], most: int) -> Values:
    """At most ``most`` finite points: means over equally many, each at the last of its steps. The last one stays itself."""
    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if len(finite) <= most:
        return tuple(finite)
    size = math.ceil((len(finite) - 1) / (most - 1))
    blocks = [finite[start : min(start + size, len(finite) - 1)] for start in range(0, len(finite) - 1, size)]
    return (*((block[-1][0], sum(value for _, value in block) / len(block)) for block in blocks), finite[-1])


def as_json(pictures: Sequence[Picture]) -> Markup:
    """All pictures as the text of a ``script`` of data, which no word in them can end."""
    plain = [{**_plain(picture), "height": picture.height} for picture in pictures]
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - JSON without a "<" is no markup


def _plain(value: Any) -> Any:
    """Numbers in six digits, and nothing of what is empty: the page has the same bytes wherever it is made."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        named: Mapping[str, Any] = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return {name: _plain(each) for name, each in named.items() if each not in (None, (), "")}
    return value
