"""What a setting that the paper leaves open changes: each model's accuracy with it, less its accuracy without."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from primum.table4.paper import Choice, Column


@dataclass(frozen=True, slots=True)
class Change:
    """``points`` are percentage points, one a model that was measured with ``choice`` and without, in the order of models."""

    choice: str
    column: str
    points: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.fsum(self.points) / len(self.points)


def changes(
    choices: Sequence[Choice], columns: Sequence[Column], accuracies: Mapping[tuple[str, str], float]
) -> tuple[Change, ...]:
    """The changes that a run measured, by choice and column; none for a column of which no model has all parts.

    ``accuracies`` are in 0 to 1, by model and benchmark, and all by log-likelihood.
    """
    models = sorted({model for model, _ in accuracies})
    found = []
    for choice in choices:
        for column in columns:
            pairs = [(choice.variant(name), name) for name in column.benchmarks]
            points = tuple(
                100 * math.fsum(accuracies[model, new] - accuracies[model, old] for new, old in pairs) / len(pairs)
                for model in models
                if all((model, name) in accuracies for pair in pairs for name in pair)
            )
            if points:
                found.append(Change(choice.title, column.title, points))
    return tuple(found)
