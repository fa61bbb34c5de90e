"""Numbers as the page prints them: a true minus sign, thousands apart, and a dash for what was not measured."""

from __future__ import annotations

NONE = "\u2013"
MINUS = "\u2212"
_TO = "\u2013"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in 0-1 as percent, without the sign."""
    return NONE if share is None else f"{100 * share:.{digits}f}"


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, minus or plus; what rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def count(value: int | None) -> str:
    """An integer with thin spaces between thousands, which no line breaks at."""
    return NONE if value is None else f"{value:,}".replace(",", "\u202f")


def interval(low: float | None, high: float | None, digits: int = 1, scale: float = 1) -> str:
    """Two ends with an en dash between them; ``scale`` 100 prints shares as percent."""
    return NONE if low is None or high is None else f"{scale * low:.{digits}f}{_TO}{scale * high:.{digits}f}"


def plural(number: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{count(number)} {noun if number == 1 else noun + 's'}"


def listing(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
