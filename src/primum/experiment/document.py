"""An experiment as it is written: plain YAML put together from several files, each key with the file that it stands in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Document:
    """``content`` is what the experiment at ``path`` says; ``places`` has the file of every dotted key (``models.sft.from``).

    ``grids`` are the names that each grid made, by section and by the grid's key in the file (see
    ``primum.experiment.grid``).
    """

    content: dict[str, Any]
    path: Path
    places: Mapping[str, Path] = field(default_factory=dict)
    grids: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def file_of(self, where: str) -> Path:
        """The file of the dotted key ``where``; of what it is part of if nothing gives it; the experiment's own at last."""
        while where:
            if where in self.places:
                return self.places[where]
            where = where.rpartition(".")[0]
        return self.path

    def grid_of(self, where: str) -> str:
        """The dotted key of the grid that made the entry that ``where`` is in; empty if none did."""
        made = (
            (f"{section}.{name}", f"{section}.{key}")
            for section, grids in self.grids.items()
            for key, names in grids.items()
            for name in names
        )
        return next((grid for entry, grid in made if f"{where}.".startswith(f"{entry}.")), "")


def places_of(content: Mapping[str, Any], path: Path) -> dict[str, Path]:
    """``path`` for every key of ``content``, its nested mappings included."""
    return dict.fromkeys(_dotted(content, ""), path)


def _dotted(content: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
