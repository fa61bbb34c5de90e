"""What the report shows, read into typed objects: the spec's parts of the experiment and the rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.report.judged import Agreement, Confusion, Safety
from primum.report.parts import Benchmark, BenchmarkGroup, Model, Named, Prompts
from primum.report.records import Audited, Ledger, Paired, Step
from primum.report.rubric_scores import RubricScore
from primum.tables.averages import AVERAGE, columns, outermost, wholes

BEST, START = "best", "start"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A row of ``benchmarks`` or ``preferences``; shares in 0-1."""

    model: str
    benchmark: str
    subject: str
    method: str
    seeds: int
    n: int
    correct: int
    accuracy: float | None
    ci_low: float | None
    ci_high: float | None
    interval: str
    chance: float | None
    truncated: int
    unanswered: int
    flagged: int
    unknown: int
    clean_n: int
    clean_accuracy: float | None
    clean_low: float | None
    clean_high: float | None
    flexible_accuracy: float | None
    flexible_low: float | None
    flexible_high: float | None
    start: str
    note: str
    change: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A row of ``comparisons``: ``model`` minus ``other``, the best or its start, with an interval of a corrected ``level``."""

    group: str
    benchmark: str
    model: str
    against: str
    other: str
    n: int
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    level: float | None
    note: str
    p_holm: float | None
    tied: bool | None
    detectable: float | None
    margin: float
    equivalent: bool | None


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table as the page names it: ``content`` is the sha256 of its rows."""

    name: str
    rows: int
    content: str


@dataclass(frozen=True, slots=True)
class Study:
    """All of an experiment that the page shows. The tables keep their rows' order."""

    experiment: str
    title: str
    description: str
    disclaimer: str
    models: tuple[Model, ...]
    benchmarks: tuple[Benchmark, ...]
    groups: tuple[BenchmarkGroup, ...]
    prompts: tuple[Prompts, ...]
    judges: tuple[Named, ...]
    accuracy: tuple[Accuracy, ...]
    preferences: tuple[Accuracy, ...]
    comparisons: tuple[Comparison, ...]
    safety: tuple[Safety, ...]
    rubrics: tuple[RubricScore, ...]
    agreements: tuple[Agreement, ...]
    confusion: tuple[Confusion, ...]
    steps: tuple[Step, ...]
    ledger: tuple[Ledger, ...]
    audits: tuple[Audited, ...]
    pairs: tuple[Paired, ...]
    files: tuple[TableFile, ...]

    def model(self, name: str) -> Model:
        return next(model for model in self.models if model.name == name)

    def whole(self, group: str, model: str, benchmark: str = AVERAGE) -> Accuracy | None:
        """The row of a model on a whole benchmark (or their average) of a group."""
        rows = self.preferences if group == "preference" else self.accuracy
        return next((r for r in rows if (r.model, r.benchmark, r.subject) == (model, benchmark, "")), None)

    def columns(self, group: str) -> list[tuple[str, str]]:
        """(name, label) of the columns of a group of benchmarks; the average only where it is of several.

        A task group's benchmarks, which may be dozens, are in the table alone.
        """
        labels = {entry.name: entry.label for entry in self.benchmarks if entry.group == group}
        pairs = [(entry.name, entry.part_of) for entry in self.benchmarks if entry.group == group]
        made = columns(pairs, [asdict(each) for each in self.groups])
        inside = {name for each in self.groups for name in each.benchmarks}
        shown = [each for each in (made if len(labels) > 1 else made[:-1]) if each.name not in inside]
        labels |= {each.name: each.title or each.name for each in self.groups}
        return [(c.name, "Average" if c.name == AVERAGE else labels.get(c.name, c.name)) for c in shown]

    def against(self, other: str, group: str) -> dict[tuple[str, str], Comparison]:
        """The comparisons with the best of each column, or with the models' starts, by (model, column)."""
        rows = (row for row in self.comparisons if (row.group, row.against) == (group, other))
        return {(row.model, row.benchmark): row for row in rows}

    def sets(self, drawn: str | None = None) -> list[Prompts]:
        """The prompt sets in the tables' order, those of several parts after these.

        Of the judge whose sets are ``drawn``, those that it has seen, without parts of which it has seen the whole.
        """
        made = wholes([(entry.name, entry.part_of) for entry in self.prompts])
        kinds = {entry.name: entry.kind for entry in self.prompts}
        if drawn is not None:
            seen = {row.prompts for row in self.safety if row.judge == drawn}
            made = outermost([column for column in made if column.name in seen])
        return [Prompts(column.name, kinds[column.benchmarks[0]], "") for column in made]

    def harm(self, judge: str, model: str, prompts: str) -> Safety | None:
        """The row of a model on a whole prompt set by one judge."""
        wanted = (judge, model, prompts, "")
        return next((r for r in self.safety if (r.judge, r.model, r.prompts, r.category) == wanted), None)


Row = TypeVar(
    "Row", Model, Benchmark, BenchmarkGroup, Prompts, Named, Accuracy, Comparison, Safety, RubricScore, Agreement, Confusion,
    Step, Ledger, Audited, Paired,
)  # fmt: skip


def _typed(kind: type[Row], records: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    names = [field.name for field in fields(kind)]
    return tuple(kind(**{name: record[name] for name in names}) for record in records)


def read_study(common: Mapping[str, Any], tables: Sequence[Artifact]) -> Study:
    """The study from the report's common spec and the artifacts of its ``tables``, which come in the spec's order.

    Raises PrimumError when they are not the tables that the spec names.
    """
    names = common["tables"]
    if len(names) != len(tables):
        raise PrimumError(f"report: {len(tables)} tables for {', '.join(names)}: run the stage tables again")
    artifacts = dict(zip(names, tables, strict=True))
    rows = {name: artifact.table().to_pylist() for name, artifact in artifacts.items()}
    try:
        return Study(
            experiment=common["experiment"],
            title=common["title"],
            description=common["description"],
            disclaimer=common["disclaimer"],
            models=_typed(Model, common["models"]),
            benchmarks=_typed(Benchmark, common["benchmarks"]),
            groups=_typed(BenchmarkGroup, common.get("groups", ())),
            prompts=_typed(Prompts, common["prompts"]),
            judges=_typed(Named, common["judges"]),
            accuracy=_typed(Accuracy, rows["benchmarks"]),
            preferences=_typed(Accuracy, rows["preferences"]),
            comparisons=_typed(Comparison, rows["comparisons"]),
            safety=_typed(Safety, rows["safety"]),
            rubrics=_typed(RubricScore, rows["rubrics"]),
            agreements=_typed(Agreement, rows["judges"]),
            confusion=_typed(Confusion, rows["confusion"]),
            steps=_typed(Step, rows["training"]),
            ledger=_typed(Ledger, rows["curation"]),
            audits=_typed(Audited, rows["audits"]),
            pairs=_typed(Paired, rows["pairs"]),
            files=tuple(TableFile(name, len(rows[name]), artifacts[name].manifest.content) for name in names),
        )
    except KeyError as error:
        raise PrimumError(f"report: the tables or the spec lack {error}: run the stage tables again") from None
