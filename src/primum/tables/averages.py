"""What is reported as one: the columns of an accuracy table with the table's own average, and prompt sets of several parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Column:
    """A benchmark or a prompt set (no ``parts``), or what its parts are together."""

    name: str
    parts: tuple[Column, ...] = ()

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of all the benchmarks below."""
        return tuple(name for part in self.parts for name in part.benchmarks) if self.parts else (self.name,)


def columns(benchmarks: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    """The columns of (name, ``part_of``) pairs, in their order; the average is last.

    Benchmarks with one ``part_of`` are followed by their mean, which counts once in the average: Med42-v2's USMLE is the
    mean of two (arXiv 2408.06142, table 4).
    """
    made = groups(benchmarks)
    return (*made, Column(AVERAGE, outermost(made)))


def groups(named: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    """(name, ``part_of``) pairs in their order, those with one ``part_of`` followed by what they are parts of.

    One that is there alone is no part, and stands for itself.
    """
    made: list[Column] = []
    members: dict[str, list[str]] = {}
    for name, whole in named:
        if whole:
            members.setdefault(whole, []).append(name)
    for name, whole in named:
        together = members.get(whole, [])
        made.append(Column(name))
        if len(together) > 1 and name == together[-1]:
            made.append(Column(whole, tuple(map(Column, together))))
    return tuple(made)


def outermost(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that are not part of another one."""
    parts = {part.name for column in columns for part in column.parts}
    return tuple(column for column in columns if column.name not in parts)
