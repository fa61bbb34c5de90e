"""What is reported as one: the columns of an accuracy table with the table's own average, and prompt sets of several parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.tables.sampling import Mean, combined, grouped

AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class Column:
    """A benchmark or a prompt set (no ``parts``), or what its parts are together.

    Of a group ``by_size`` says whether its mean is over all items of its parts; other means, where it is None, are unweighted.
    """

    name: str
    parts: tuple[Column, ...] = ()
    by_size: bool | None = None

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of all the benchmarks below."""
        return tuple(name for part in self.parts for name in part.benchmarks) if self.parts else (self.name,)

    def over(self, means: Sequence[Mean]) -> Mean:
        """The column's mean over those of its parts."""
        return combined(means) if self.by_size is None else grouped(means, self.by_size)


def columns(benchmarks: Sequence[tuple[str, str]], groups: Sequence[Mapping[str, Any]] = ()) -> tuple[Column, ...]:
    """The columns of (name, ``part_of``) pairs and ``groups`` (the spec's), in their order; the average is last.

    Benchmarks with one ``part_of`` are followed by their mean, which counts once in the average: Med42-v2's USMLE is the
    mean of two (arXiv 2408.06142, table 4). The benchmarks of a group are followed by its mean; the average has the largest
    group that a benchmark is in.
    """
    place = {name: position for position, (name, _) in enumerate(benchmarks)}
    within = [group for group in groups if place.keys() >= set(group["benchmarks"])]
    ends: dict[str, list[Column]] = {}
    largest: dict[str, str] = {}
    for group in sorted(within, key=lambda each: len(each["benchmarks"])):
        parts = tuple(Column(name) for name in sorted(group["benchmarks"], key=place.__getitem__))
        ends.setdefault(parts[-1].name, []).append(Column(group["name"], parts, bool(group["weight_by_size"])))
        largest |= dict.fromkeys(group["benchmarks"], group["name"])
    made = [each for column in wholes(benchmarks) for each in (column, *ends.get(column.name, ()))]
    averaged = (each for each in outermost(made) if each.by_size is None or each.name in largest.values())
    return (*made, Column(AVERAGE, tuple(averaged)))


def wholes(named: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
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
