"""Sizes and ages as people write and read them."""

from __future__ import annotations

import re

from primum.errors import PrimumError

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SIZES: dict[str, int] = {unit.lower(): 1000**power for power, unit in enumerate(_UNITS)} | {
    f"{unit[0].lower()}ib": 1024**power for power, unit in enumerate(_UNITS) if power
}
_AGES = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def size(text: str) -> int:
    """Bytes of ``1GB``, ``1.5 TB``, ``512MiB``. PrimumError for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2].lower() not in _SIZES:
        raise PrimumError(f"{text!r} is no size: write it as 500MB, 1.5GB or 2TB")
    return round(float(found[1]) * _SIZES[found[2].lower()])


def age(text: str) -> float:
    """Seconds of ``90m``, ``12h``, ``30d``, ``8w``. PrimumError for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([mhdw])", text.strip())
    if found is None:
        raise PrimumError(f"{text!r} is no age: write it as 90m, 12h, 30d or 8w")
    return float(found[1]) * _AGES[found[2]]


def size_text(count: int) -> str:
    """``12.3 GB``."""
    value, unit = float(count), 0
    while value >= 999.95 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:,.0f} B" if unit == 0 else f"{value:,.1f} {_UNITS[unit]}"


def age_text(seconds: float) -> str:
    """``41 days``, ``3 hours``."""
    days = seconds / 86400
    return f"{days:,.0f} days" if days >= 2 else f"{max(seconds, 0) / 3600:,.0f} hours"
