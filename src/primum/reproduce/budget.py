"""How long an audit may take, in words."""

from __future__ import annotations

import re

from primum.errors import PrimumError

BUDGET = "10min"
_UNITS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """``10min``, ``90s``, ``2h``, ``1d`` in seconds; a number alone is seconds. PrimumError for anything else, and for none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|)", text.strip())
    if found is None or not float(found[1]):
        raise PrimumError(f"a budget of {text}: is no time: give one such as 90s, 10min or 2h")
    return float(found[1]) * _UNITS[found[2]]
