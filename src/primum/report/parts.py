"""The parts of an experiment as the page names them: models, benchmarks, prompt sets and judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """``kind`` is pretrain, sft, dpo, hub or endpoint; ``start`` the model it was trained from; ``data`` on what.

    ``axes`` are the values of the grid that made it, by axis.
    """

    name: str
    title: str
    size_class: str
    kind: str
    start: str | None
    data: str | None
    evaluated: bool
    axes: Mapping[str, bool | int | float | str]

    @property
    def label(self) -> str:
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``group`` is ``benchmark`` or ``preference``; a ``macro`` one is averaged over its subjects.

    Those with one ``part_of`` have a column for their mean.
    """

    name: str
    title: str
    group: str
    macro: bool
    normalize: str
    part_of: str

    @property
    def label(self) -> str:
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class BenchmarkGroup:
    """Benchmarks with one column: their mean over all items (``weight_by_size``), or over benchmarks."""

    name: str
    title: str
    benchmarks: Sequence[str]
    weight_by_size: bool


@dataclass(frozen=True, slots=True)
class Prompts:
    """A prompt set (``kind`` harmful, benign or criteria); those with one ``part_of`` are one more set in the tables."""

    name: str
    kind: str
    part_of: str


@dataclass(frozen=True, slots=True)
class Named:
    """A judge, and of what ``kind`` it is."""

    name: str
    kind: str
