"""Small plots with values on both axes: lines over an amount, a panel a model, and points of two measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from primum.report.svg import drawing, element, line, shorten, text, tip

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 320.0, 200.0, 40.0, 12.0, 24.0, 36.0
# Each line has a colour, a dash and a shape of its own, so that it is told by any one of them.
_COLOURS = tuple(f"drop{index}" for index in (3, 0, 5, 2, 4, 1, 6))
_DASHES = (None, "6 3", "2 3", "8 3 2 3", "12 4", "4 2 1 2")
_SHAPES = (
    "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
    "M-3.3 -3.3H3.3V3.3H-3.3Z",
    "M0 -4.4L4.2 3.2H-4.2Z",
    "M0 -4.6L4.6 0L0 4.6L-4.6 0Z",
    "M0 4.4L4.2 -3.2H-4.2Z",
)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis: its name, its range, and its ticks with their text."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Where on the axis ``value`` is, from 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Point:
    """A value at ``x`` with the interval of either, where there is one. A hollow point is what was before."""

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


def line_panel(title: str, x: Scale, y: Scale, lines: Sequence[Line]) -> Markup:
    """Lines with their intervals. Points of several lines at one place are drawn a little apart."""
    parts = [*_frame(title, x, y)]
    for place, each in enumerate(lines):
        shift = 5.0 * (place - (len(lines) - 1) / 2)
        spots = [(_x(x, p.x) + (0 if p.hollow else shift), _y(y, p.y), p) for p in each.points]
        colour = _COLOURS[each.index % len(_COLOURS)]
        path = "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down, _ in spots)
        dash = _DASHES[each.index % len(_DASHES)]
        parts.append(element("path", d=path, class_=f"curve stroke-{colour}", stroke_dasharray=dash))
        for across, _down, point in spots:
            if point.y_ends is not None and not point.hollow:
                low, high = (_y(y, end) for end in point.y_ends)
                parts.append(line(across, low, across, high, f"whisker stroke-{colour}"))
        parts += [_mark(point, across, down, colour, each.index) for across, down, point in spots if not point.hollow]
    # What all lines start from is drawn once, above them.
    starts = {(p.x, p.y): p for each in lines for p in each.points if p.hollow}
    parts += [_mark(p, _x(x, p.x), _y(y, p.y), "hub", 0) for p in starts.values()]
    label = f"{title}, {y.title} against {x.title}: " + "; ".join(_told(each) for each in lines)
    return drawing(_WIDTH, _HEIGHT, label, parts, "plot panel")


def _told(each: Line) -> str:
    return f"{each.name} from {each.points[0].y:.3g} to {each.points[-1].y:.3g}"


def sample(index: int) -> Markup:
    """A line as the key shows it."""
    colour = _COLOURS[index % len(_COLOURS)]
    parts = [
        element("path", d="M1 6H29", class_=f"curve stroke-{colour}", stroke_dasharray=_DASHES[index % len(_DASHES)]),
        element("path", d=_SHAPES[index % len(_SHAPES)], transform="translate(15 6)", class_=f"fill-{colour}"),
    ]
    size: dict[str, str] = {"width": "30", "height": "12", "aria_hidden": "true"}
    return element("svg", *parts, viewBox="0 0 30 12", class_="sample", **size)


@dataclass(frozen=True, slots=True)
class Move:
    """What a training did: from one point to another, each with its model's name; ``index`` is that of colour and shape."""

    before: Point
    after: Point
    names: tuple[str, str]
    index: int


def scatter_panel(
    title: str, x: Scale, y: Scale, moves: Sequence[Move], others: Sequence[Point], named: bool = True
) -> Markup:
    """Points of two measures: moves in colour, all others small and grey.

    Names, intervals and the way from before to after only where they are ``named``: of many they would hide each other.
    """
    parts = [*_frame(title, x, y)]
    for point in others:
        spot = element("circle", cx=_x(x, point.x), cy=_y(y, point.y), r=2.5, class_="fill-drop6")
        parts.append(element("g", tip(point.tip), spot))
    if named:
        for move in moves:
            (ax, ay), (bx, by) = ((_x(x, p.x), _y(y, p.y)) for p in (move.before, move.after))
            parts.append(line(ax, ay, bx, by, "join"))
            parts += _cross(move.after, x, y, _COLOURS[move.index % len(_COLOURS)])
    for move in moves:
        place = _x(x, move.after.x), _y(y, move.after.y)
        parts.append(_mark(move.after, *place, _COLOURS[move.index % len(_COLOURS)], move.index))
    # A start that is no end of another move is drawn once.
    starts = {move.names[0]: move.before for move in moves if move.before.hollow}
    parts += [_mark(p, _x(x, p.x), _y(y, p.y), "hub", 0) for p in starts.values()]
    parts += _names(x, y, moves) if named else ()
    told = "; ".join(f"{move.names[1]} at {move.after.x:.3g} and {move.after.y:.3g}" for move in moves)
    return drawing(_WIDTH, _HEIGHT, f"{title}, {y.title} against {x.title}: {told}", parts, "plot panel")


def _cross(point: Point, x: Scale, y: Scale, colour: str) -> Iterator[Markup]:
    """The intervals of a point on both axes."""
    across, down = _x(x, point.x), _y(y, point.y)
    if point.x_ends is not None:
        low, high = (_x(x, end) for end in point.x_ends)
        yield line(low, down, high, down, f"whisker stroke-{colour}")
    if point.y_ends is not None:
        low, high = (_y(y, end) for end in point.y_ends)
        yield line(across, low, across, high, f"whisker stroke-{colour}")


def _names(x: Scale, y: Scale, moves: Sequence[Move]) -> Iterator[Markup]:
    """The names of the points, each once, below its point, and lower where another one is in the way."""
    taken: list[tuple[float, float, float]] = []
    points = {name: p for move in moves for name, p in zip(move.names, (move.before, move.after), strict=True)}
    for name, point in points.items():
        words = shorten(name, 24)
        half = 3.1 * len(words)
        across = min(max(_x(x, point.x), _LEFT + half), _WIDTH - half - 2)
        down = _y(y, point.y) + 18
        while any(
            abs(down - other) < 12 and across - half < end and across + half > start for start, end, other in taken
        ):
            down += 12
        taken.append((across - half, across + half, down))
        yield text(across, down, words, "tick", "middle")


def _x(scale: Scale, value: float) -> float:
    return _LEFT + 8 + scale.share(value) * (_WIDTH - _LEFT - _RIGHT - 16)


def _y(scale: Scale, value: float) -> float:
    return _HEIGHT - _BOTTOM - 4 - scale.share(value) * (_HEIGHT - _TOP - _BOTTOM - 8)


def _frame(title: str, x: Scale, y: Scale) -> Iterator[Markup]:
    yield text(4, 13, shorten(title, 46), "head")
    for value, words in y.ticks:
        yield line(_LEFT, _y(y, value), _WIDTH - _RIGHT, _y(y, value), "grid")
        yield text(_LEFT - 5, _y(y, value) + 4, words, "tick", "end")
    for value, words in x.ticks:
        yield line(_x(x, value), _TOP, _x(x, value), _HEIGHT - _BOTTOM, "grid")
        yield text(_x(x, value), _HEIGHT - _BOTTOM + 14, words, "tick", "middle")
    yield text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, shorten(x.title, 46), "tick", "middle")


def _mark(point: Point, across: float, down: float, colour: str, index: int) -> Markup:
    class_ = f"hollow stroke-{colour}" if point.hollow else f"fill-{colour}"
    shape = _SHAPES[index % len(_SHAPES)]
    return element(
        "g", tip(point.tip), element("path", d=shape, transform=f"translate({across:.1f} {down:.1f})", class_=class_)
    )
