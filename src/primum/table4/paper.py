"""Table 4 of Med42-v2 (Christophe et al. 2024, arXiv 2408.06142) as data, with its marks of best and second best."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from primum.errors import PrimumError
from primum.experiment import Experiment
from primum.experiment.load import read_yaml

CSV = "data/papers/med42_v2_table4.csv"
YAML = "data/papers/med42_v2_table4.yaml"
AVERAGE = "average"
# Of the files that it is rendered to: HTML, Markdown, LaTeX.
SUFFIXES = ("html", "md", "tex")
SIZE_CLASSES = ("small", "medium", "large")

Mark = Literal["best", "second"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the unweighted mean of ``benchmarks``, which are names of the catalog."""

    key: str
    title: str
    benchmarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A model of the paper. ``values`` are percent by column, those that were published.

    ``model`` is the catalog's name for it and ``source`` the hub id or endpoint that it must come from; "" for none.
    """

    title: str
    size_class: str
    values: Mapping[str, Decimal]
    average: Decimal
    model: str = ""
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that the paper leaves open. It was measured where a run has the benchmark of that name and ``suffix``."""

    title: str
    suffix: str

    def variant(self, benchmark: str) -> str:
        """The name in the catalog of ``benchmark`` with this setting."""
        return f"{benchmark}-{self.suffix}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the paper, and the pairs (better, worse) of rows that it speaks of."""

    quote: str
    section: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table4:
    """The table. ``items`` says how many items a benchmark has; ``apart`` and ``underlined`` are the paper's own marks."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    items: Mapping[str, int]
    claims: tuple[Claim, ...] = ()
    choices: tuple[Choice, ...] = ()
    apart: frozenset[str] = frozenset()
    underlined: Mapping[str, frozenset[str]] | None = None

    @cached_property
    def by_title(self) -> Mapping[str, Row]:
        return {row.title: row for row in self.rows}

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns' keys, the average's last."""
        return (*(column.key for column in self.columns), AVERAGE)

    def published(self, row: Row, key: str) -> Decimal | None:
        """What the paper has there, in percent; None where it has nothing."""
        return row.average if key == AVERAGE else row.values.get(key)

    def is_whole(self, row: Row) -> bool:
        """Whether the row's average is over all columns, and so compares with the others."""
        return len(row.values) == len(self.columns)

    def marks(self, groups: Mapping[str, str]) -> dict[tuple[str, str], Mark]:
        """Best and second best by (row, column), within the groups that ``groups`` puts each row in.

        All of the equal best are best. Second is the next lower value, and all that have it, as in the paper (where
        90.4 stands underlined below twice 91.3). Averages over fewer columns have no mark.
        """
        found: dict[tuple[str, str], Mark] = {}
        for group in dict.fromkeys(groups.values()):
            members = [row for row in self.rows if groups[row.title] == group]
            for column in self.columns:
                found.update(_marked({row.title: row.values.get(column.key) for row in members}, column.key))
            averages = {row.title: row.average if self.is_whole(row) else None for row in members}
            found.update(_marked(averages, AVERAGE))
        return found

    def is_measured_by(self, experiment: Experiment) -> bool:
        """Whether ``experiment`` has all of the table's benchmarks, and a model that is one of its rows."""
        wanted = {name for column in self.columns for name in column.benchmarks}
        sources = {row.model: row.source for row in self.rows if row.model}
        models = ((name, experiment.models[name]) for name in experiment.evaluate.models)
        found = any(
            name in sources and sources[name] in (getattr(model, "hub", None), getattr(model, "endpoint", None))
            for name, model in models
        )
        return found and wanted <= set(experiment.evaluate.benchmarks)

    def size_classes(self) -> dict[str, str]:
        """The size class of each row."""
        return {row.title: row.size_class for row in self.rows}


def _marked(values: Mapping[str, Decimal | None], column: str) -> dict[tuple[str, str], Mark]:
    ranked = sorted({value for value in values.values() if value is not None}, reverse=True)
    names: dict[Decimal, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return {(title, column): names[value] for title, value in values.items() if value in names}


def load_table4(root: Path) -> Table4:
    """The table from ``data/papers`` of the project at ``root``. PrimumError naming the row or key that does not fit."""
    record: Any = read_yaml(root / YAML)
    columns = tuple(Column(key, c["title"], tuple(c["benchmarks"])) for key, c in record["columns"].items())
    try:
        with (root / CSV).open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise PrimumError(f"{root / CSV}: cannot be read: {error.strerror}: restore it from the project") from None
    rows = tuple(_row(line, columns, record["rows"]) for line in lines)
    unknown = set(record["rows"]) - {row.title for row in rows}
    if unknown:
        raise PrimumError(f"{root / YAML}: rows: {min(unknown)!r} is no row of {CSV}")
    claims = [Claim(c["quote"], c["section"], tuple((a, b) for a, b in c["pairs"])) for c in record["claims"]]
    underlined = {key: frozenset(titles) for key, titles in record["underlined"].items()}
    choices = tuple(Choice(**choice) for choice in record["choices"])
    return Table4(columns, rows, record["items"], tuple(claims), choices, frozenset(record["apart"]), underlined)


def _row(line: Mapping[str, str], columns: Sequence[Column], known: Mapping[str, Mapping[str, str]]) -> Row:
    title = line["model"]
    if title not in known:
        raise PrimumError(
            f"{YAML}: rows: has no {title!r}, which {CSV} has: add it, with a note if it has no model here"
        )
    if line["size_class"] not in SIZE_CLASSES:
        raise PrimumError(f"{CSV}: {title}: size_class is not one of {', '.join(SIZE_CLASSES)}")
    values = {column.key: Decimal(line[column.key]) for column in columns if line[column.key]}
    return Row(title, line["size_class"], values, Decimal(line["average"]), **known[title])
