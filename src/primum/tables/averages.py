"""The columns of an accuracy table: benchmarks, the means that a paper reports as one, and the table's own average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Column:
    """A benchmark (no ``parts``), or the unweighted mean of its parts."""

    name: str
    parts: tuple[Column, ...] = ()

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of all the benchmarks below."""
        return tuple(name for part in self.parts for name in part.benchmarks) if self.parts else (self.name,)


def columns(benchmarks: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    """The columns of (name, ``part_of``) pairs, in their order; the average is last.

    Benchmarks with one ``part_of`` are followed by their mean, which counts once in the average: Med42-v2's USMLE is the
    mean of two (arXiv 2408.06142, table 4). One that is there alone is no mean, and stands for itself.
    """
    made: list[Column] = []
    averaged: list[Column] = []
    members: dict[str, list[str]] = {}
    for name, mean in benchmarks:
        if mean:
            members.setdefault(mean, []).append(name)
    for name, mean in benchmarks:
        together = members.get(mean, [])
        made.append(Column(name))
        if len(together) < 2:
            averaged.append(Column(name))
        elif name == together[-1]:
            made.append(Column(mean, tuple(map(Column, together))))
            averaged.append(made[-1])
    return (*made, Column(AVERAGE, tuple(averaged)))
