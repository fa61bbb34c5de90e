"""Which model a model's change is measured against."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any


def measured_starts(models: Sequence[Mapping[str, Any]], measured: Collection[str]) -> dict[str, str]:
    """Each measured model's nearest measured ancestor by ``start``, "" where it has none.

    ``models`` are the spec's ``{"name", "start", ...}``, ancestors first or in any other order.
    """
    start = {str(model["name"]): model["start"] for model in models}

    def nearest(name: str) -> str:
        ancestor = start.get(name)
        while ancestor is not None and ancestor not in measured:
            ancestor = start.get(ancestor)
        return ancestor or ""

    return {name: nearest(name) for name in measured}
