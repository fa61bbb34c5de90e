"""Tasks tried on the rows that are here: what a template or a function cannot read is said before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from primum.artifact.manifest import Artifact
from primum.dag.curation import ROWS
from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.score.kinds import typed_rows
from primum.score.tried import try_task


def tried(scope: Scope) -> Iterator[str]:
    """Run every template and function of the evaluated benchmarks on its first row, and say how many could not be tried yet.

    PrimumError naming the benchmark, the row and the key for the first that fails.
    """
    waiting = []
    for name in scope.answerable():
        benchmark = scope.experiment.benchmarks[name]
        asked, examples = (_rows(scope, dataset) for dataset in benchmark.datasets())
        if asked is None or examples is None:
            waiting.append(name)
            continue
        try:
            try_task(asked, benchmark.asked(), examples if benchmark.fewshot.k else ())
        except PrimumError as error:
            raise PrimumError(f"benchmarks.{name}: {error}") from None
    if waiting:
        yield f"{len(waiting)} benchmarks have no rows here yet; before a model is loaded each is tried: {', '.join(waiting)}"


def _rows(scope: Scope, dataset: str) -> list[Any] | None:
    """The rows that a run has read already, None where there are none."""
    path = Path(scope.path(ROWS, dataset=dataset))
    if not path.exists():
        return None
    return typed_rows(Artifact.open(path).table(), f"datasets.{dataset}: its rows")
