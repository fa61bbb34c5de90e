"""What a run measured of Table 4: only models that the paper has, on the paper's items, without examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.artifact.graph import check_columns
from primum.artifact.manifest import Artifact, Manifest, load_manifest
from primum.dag.aggregation import TABLE
from primum.dag.evaluation import SCORE
from primum.dag.scope import manifest_path
from primum.dag.training import MODEL
from primum.errors import PrimumError
from primum.table4.choices import Change, changes
from primum.table4.paper import AVERAGE, Row, Table4
from primum.tables.sampling import combined, share_of
from primum.tables.statistics import bounded

NOT_RUN = "not run"
LOGLIKELIHOOD = "loglikelihood"


@dataclass(frozen=True, slots=True)
class Cell:
    """A measurement of ``n`` items, in percent with its 95% interval; or none, and ``why``."""

    value: float | None = None
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    generated: bool = False
    why: str = NOT_RUN
    n: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Cells by (row, column), and where they come from: the table's content hash, and each score's key and content.

    ``changes`` are of all models of the run, the paper's or not.
    """

    cells: Mapping[tuple[str, str], Cell]
    table: str = ""
    scores: Mapping[str, Mapping[str, str]] | None = None
    changes: tuple[Change, ...] = ()

    def cell(self, row: str, column: str) -> Cell:
        return self.cells.get((row, column), Cell())


_COLUMNS = ("model", "benchmark", "subject", "accuracy", "stderr", "ci_low", "ci_high", "n")


def read_measured(results: Path, table4: Table4) -> Measured:
    """The cells of an experiment's folder ``results``. Raises PrimumError where the table is not of the scores beside it."""
    table = Artifact.open(Path(manifest_path(str(results), TABLE, table="benchmarks")))
    read = table.table()
    check_columns(table, read.column_names, _COLUMNS)
    wholes = {(r["model"], r["benchmark"]): r for r in read.to_pylist() if not r["subject"]}
    cells: dict[tuple[str, str], Cell] = {}
    scores: dict[str, Mapping[str, str]] = {}
    for row in table4.rows:
        if not any((row.model, name) in wholes for column in table4.columns for name in column.benchmarks):
            continue
        model = load_manifest(Path(manifest_path(str(results), MODEL, model=row.model)))
        if not _is_the_papers(row, model):
            cells.update({(row.title, key): Cell(why="other model") for key in table4.keys})
            continue
        for column in table4.columns:
            parts = []
            for name in column.benchmarks:
                line = wholes.get((row.model, name))
                if line is None or line["accuracy"] is None:
                    parts.append(Cell())
                    continue
                score = _score(results, row.model, name, table.manifest, model)
                scores[f"{row.model}/{name}"] = {"key": score.key, "content": score.content}
                parts.append(_cell(line, score, table4.items.get(name)))
            cells[row.title, column.key] = _mean(parts)
        # As the paper's: over the columns that it has, which for GPT-4.0 are five.
        cells[row.title, AVERAGE] = _mean([cells[row.title, key] for key in row.values])
    accuracies = {
        place: line["accuracy"]
        for place, line in wholes.items()
        if line["accuracy"] is not None and line.get("method", LOGLIKELIHOOD) == LOGLIKELIHOOD
    }
    return Measured(cells, table.manifest.content, scores, changes(table4.choices, table4.columns, accuracies))


def _is_the_papers(row: Row, model: Manifest) -> bool:
    """Whether the model was fetched from the row's source: a name alone proves nothing."""
    item = model.spec.get("item", {})
    return model.stage == "snapshot" and row.source in (item.get("hub"), item.get("endpoint"))


def _score(results: Path, model: str, benchmark: str, table: Manifest, source: Manifest) -> Manifest:
    path = Path(manifest_path(str(results), SCORE, model=model, benchmark=benchmark))
    score = load_manifest(path)
    if score.content not in table.inputs.get("scores", ()):
        raise PrimumError(f"{path}: the table benchmarks was made of other scores: run the stage tables again")
    if score.inputs.get("model", [source.content]) != [source.content]:
        raise PrimumError(f"{path}: was made with another {model} than the one in {results}: run the stage score again")
    return score


def shots(score: Manifest) -> int:
    """How many answered examples stood before each question."""
    fewshot = score.spec.get("item", {}).get("fewshot") or {}
    return int(fewshot.get("k", 0))


def _cell(line: Mapping[str, Any], score: Manifest, items: int | None) -> Cell:
    if items is not None and line["n"] != items:
        return Cell(why=f"other items (n = {line['n']:,})")
    if shots(score):
        return Cell(why=f"{shots(score)}-shot")
    value, stderr, low, high = (
        None if line[key] is None else 100 * line[key] for key in ("accuracy", "stderr", "ci_low", "ci_high")
    )
    return Cell(value, stderr, low, high, line.get("method", LOGLIKELIHOOD) != LOGLIKELIHOOD, "", line["n"])


def _mean(parts: Sequence[Cell]) -> Cell:
    """The unweighted mean of cells about different items, with the tables' interval; none if any of them is not there."""
    if len(parts) == 1:
        return parts[0]
    found = [part for part in parts if part.value is not None]
    if len(found) < len(parts):
        reasons = dict.fromkeys(part.why for part in parts if part.value is None)
        return Cell(why=next((reason for reason in reasons if reason != NOT_RUN), NOT_RUN))
    mean = combined([share_of((part.value or 0.0) / 100, (part.stderr or 0.0) / 100, part.n) for part in found])
    estimate = bounded(mean)
    value, stderr, low, high = (
        None if each is None else 100 * each for each in (estimate.value, estimate.stderr, estimate.low, estimate.high)
    )
    return Cell(value, stderr, low, high, any(part.generated for part in parts), "", mean.n)
