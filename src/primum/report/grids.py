"""Tables as the page prints them: rows of cells that know their text, their tooltip and what they sort by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from primum.report.data import Study
from primum.report.judged import GATED, HARM, LABELS, REFUSALS, Safety
from primum.report.numbers import NONE, count, decimal, interval, listing, percent, plural, signed
from primum.report.parts import Model

_RANKS = ("best", "second")
LARGE = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` in full size, ``flags`` after it, ``extra`` (an uncertainty) beside it, ``mark`` such as ``best``.

    ``shade`` is how far its background is coloured, in percent. ``open`` is what the cell opens (:func:`opens`).
    """

    text: str = NONE
    extra: str = ""
    tip: str = ""
    sort: float | None = None
    mark: str = ""
    flags: str = ""
    shade: int = 0
    open: str = ""


@dataclass(frozen=True, slots=True)
class GridRow:
    """``kind`` is a model's kind, or "" for a row that is about no model; ``tag`` is in small words after the title."""

    title: str
    sub: str
    kind: str
    cells: tuple[Cell, ...]
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are sorted and ranked among themselves."""

    title: str
    rows: tuple[GridRow, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, the smaller words below it, and a class for its cells."""

    title: str
    sub: str = ""
    class_: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: groups of sortable rows over the columns, and fixed rows below them.

    In a ``stacked`` one a cell's uncertainty is below its text.
    """

    id: str
    caption: str
    head: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    foot: tuple[GridRow, ...] = ()
    notes: tuple[str, ...] = ()
    stacked: bool = False

    @property
    def large(self) -> bool:
        """Whether it has so many rows that a field to filter them helps."""
        return sum(len(group.rows) for group in self.groups) > LARGE


def opens(table: str, *names: object) -> str:
    """What a cell opens, as the end of the page's address: a row of ``table`` by the values of its naming columns."""
    return "/".join(quote(str(name), safe="") for name in (table, *names))


def opening(cells: Iterable[Cell], address: str) -> tuple[Cell, ...]:
    """``cells`` of which each that says something opens ``address``, unless it opens something already."""
    return tuple(replace(each, open=each.open or address) if each.text not in ("", NONE) else each for each in cells)


def size_groups(
    models: Iterable[Model], cells: Callable[[Model], tuple[Cell, ...]], tags: Mapping[str, str]
) -> tuple[Group, ...]:
    """A group a size class, in the order small, medium, large, with its best two values marked in every column."""
    classes: dict[str, list[GridRow]] = {}
    order = ("small", "medium", "large")
    for model in sorted(models, key=lambda m: order.index(m.size_class) if m.size_class in order else len(order)):
        tag = tags.get(model.name, "")
        row = GridRow(model.label, model.name if model.title else "", model.kind, cells(model), tag)
        classes.setdefault(model.size_class, []).append(row)
    several = len(classes) > 1
    return tuple(Group(f"{name} models" if several else "", _ranked(rows)) for name, rows in classes.items())


def _ranked(rows: Sequence[GridRow]) -> tuple[GridRow, ...]:
    """The highest printed value of every column marked ``best``, the next ``second``; equal ones share a rank."""
    if len(rows) < 2:
        return tuple(rows)
    ranks: list[dict[str, str]] = []
    for column in range(len(rows[0].cells)):
        printed = {row.cells[column].text: row.cells[column].sort for row in rows if row.cells[column].sort is not None}
        best = sorted(printed, key=lambda text: printed[text] or 0.0, reverse=True)
        ranks.append(dict(zip(best, _RANKS, strict=False)))
    return tuple(
        replace(row, cells=tuple(replace(c, mark=ranks[i].get(c.text, "")) for i, c in enumerate(row.cells)))
        for row in rows
    )


def harm_grid(study: Study, id_: str) -> Grid | None:
    """Mean harm with its interval and the share of 5s, by rubric judge and prompt set."""
    caption = "Harm of responses, 1 (declines) to 5 (full compliance), with 95% intervals"
    return _safety_grid(study, id_, caption, HARM)


def refusal_grid(study: Study, id_: str) -> Grid | None:
    """The share of requests declined, by refusal judge and prompt set."""
    return _safety_grid(study, id_, "Requests declined, %, with 95% intervals", REFUSALS)


def _safety_grid(study: Study, id_: str, caption: str, kinds: tuple[str, ...]) -> Grid | None:
    judges = {judge.name: judge.kind for judge in study.judges if judge.kind in kinds}
    found = {(r.model, r.judge, r.prompts): r for r in study.safety if not r.category and r.judge in judges}
    models = [model for model in study.models if any(model.name == name for name, _, _ in found)]
    if not models:
        return None
    columns: list[Column] = []
    picks: list[tuple[str, str, Callable[[Safety | None], Cell]]] = []
    for judge, kind in judges.items():
        by = f", by {judge}" if len(judges) > 1 else ""
        for prompts in study.sets():
            size = next((r.n for (_, j, p), r in found.items() if (j, p) == (judge, prompts.name)), None)
            if size is None:
                continue
            columns.append(Column(prompts.name, f"{count(size)} {prompts.kind}{by}", prompts.kind))
            picks.append((judge, prompts.name, _harm_cell if kind in HARM else _refusal_cell))
            if kind == "refusal-classes":
                columns.append(Column("Partial", "%", prompts.kind))
                picks.append((judge, prompts.name, _partial_cell))
            if kind in HARM:
                columns.append(Column("5s", "%", prompts.kind))
                picks.append((judge, prompts.name, _fives_cell))
    rows = tuple(
        GridRow(
            model.label,
            model.name if model.title else "",
            model.kind,
            tuple(cell(found.get((model.name, judge, prompts))) for judge, prompts, cell in picks),
        )
        for model in models
    )
    # A set of several parts has their responses again.
    parts = {entry.name for entry in study.prompts}
    own = {key: row for key, row in found.items() if row.prompts in parts}
    notes = [
        *(
            f"Do not rely on {study.model(row.model).label}, {row.prompts}: {row.judge} gave {row.note}."
            for row in found.values()
            if row.note
        ),
        *_notes(own.values()),
        *_recalls(study, judges),
    ]
    if lost := sum(row.n - row.scored for row in own.values()):
        notes.append(
            f"‡ Some responses got no score ({count(lost)} in all): they are left out, never counted as a number."
        )
    if cut := sum({(row.model, row.prompts): row.truncated for row in own.values()}.values()):
        notes.append(f"{plural(cut, 'response')} reached the token limit and were judged as far as they go.")
    return Grid(id_, caption, "Model", tuple(columns), (Group("", rows),), (), tuple(notes), True)


def _notes(rows: Iterable[Safety]) -> Iterator[str]:
    rows = list(rows)
    related = sorted({row.related for row in rows if row.related})
    if related:
        yield f"§ The judge is a relative of the model ({listing(related)}), and models tend to prefer their own answers."
    responses = {(row.model, row.prompts): row for row in rows}.values()
    if blocked := sum(row.blocked for row in responses):
        yield f"{plural(blocked, 'response')} {_was(blocked)} stopped by a provider's content filter: no answer, and no refusal."
    if empty := sum(row.empty for row in responses):
        yield f"{plural(empty, 'response')} {_was(empty)} empty: neither an answer nor a refusal."


def _recalls(study: Study, judges: Collection[str]) -> Iterator[str]:
    for row in study.agreements:
        if row.judge in judges and row.against == LABELS and not row.part and row.recall is not None:
            ends = interval(row.recall_low, row.recall_high, scale=100)
            yield f"Of labelled refusals {row.judge} finds {percent(row.recall)}% (95% CI {ends})."


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _harm_cell(row: Safety | None) -> Cell:
    if row is None or row.mean is None:
        return _nothing(row)
    ends = interval(row.ci_low, row.ci_high, 2)
    told = f"95% CI {ends}; {_scored(row)}"
    if row.change is not None and row.start:
        told += f"; {signed(row.change, 2)} from {row.start}" + (", tied" if row.tied else "")
    told += _bounds(row, 1, 2)
    if row.powered_mean is not None:
        corrected = f"{decimal(row.powered_mean)} ({interval(row.powered_low, row.powered_high, 2)})"
        told += f"; corrected by {count(row.labelled)} labels {corrected}"
    return Cell(decimal(row.mean) + _missed(row), ends, told, row.mean, open=_opens(row))


def _fives_cell(row: Safety | None) -> Cell:
    if row is None or row.share_5 is None:
        return Cell()
    ends = interval(row.share_5_low, row.share_5_high, scale=100)
    return Cell(percent(row.share_5), ends, f"95% CI {ends}; {_scored(row)}", row.share_5, open=_opens(row))


def _refusal_cell(row: Safety | None) -> Cell:
    if row is None or row.mean is None or row.ci_low is None or row.ci_high is None:
        return _nothing(row)
    ends = interval(row.ci_low, row.ci_high, scale=100)
    told = f"95% CI {ends}; {_scored(row)}{_bounds(row, 100, 1)}"
    return Cell(percent(row.mean) + _missed(row), ends, told, row.mean, open=_opens(row))


def _partial_cell(row: Safety | None) -> Cell:
    if row is None or row.share_partial is None:
        return Cell()
    return Cell(percent(row.share_partial), "", "refused in part", row.share_partial, open=_opens(row))


def _nothing(row: Safety | None) -> Cell:
    if row is not None and row.status == GATED:
        return Cell("refused", tip="the judge did not pass on its labelled set", open=_opens(row))
    return Cell(tip=_scored(row))


def _opens(row: Safety) -> str:
    return opens("safety", row.model, row.prompts, row.judge, *([row.category] if row.category else []))


def _bounds(row: Safety, scale: float, digits: int) -> str:
    if row.scored == row.n:
        return ""
    return f"; {interval(row.bound_low, row.bound_high, digits, scale)} whatever the others are"


def _macro_cell(row: Safety | None) -> Cell:
    if row is None or row.macro is None:
        return Cell(tip="a category without a score")
    ends = interval(row.macro_low, row.macro_high, 2)
    return Cell(decimal(row.macro), ends, f"95% CI {ends}; each category counts alike", row.macro, open=_opens(row))


def _scored(row: Safety | None) -> str:
    return "not measured" if row is None else f"{count(row.scored)} of {count(row.n)} responses scored"


def _missed(row: Safety) -> str:
    return ("‡" if row.scored < row.n else "") + ("§" if row.related else "")


def category_grid(study: Study, id_: str) -> Grid | None:
    """Harm by category (a principle, a kind of harm), for rubric judges: categories down, models across."""
    rubric = {judge.name for judge in study.judges if judge.kind in HARM}
    rows = [row for row in study.safety if row.category and row.judge in rubric]
    models = [model for model in study.models if any(row.model == model.name for row in rows)]
    found = {(row.model, row.judge, row.prompts, row.category): row for row in rows}
    groups = []
    for judge, prompts in dict.fromkeys((row.judge, row.prompts) for row in rows):
        categories = dict.fromkeys(row.category for row in rows if (row.judge, row.prompts) == (judge, prompts))
        lines = [
            GridRow(c, "", "", tuple(_harm_cell(found.get((m.name, judge, prompts, c))) for m in models))
            for c in categories
        ]
        whole = [study.harm(judge, model.name, prompts) for model in models]
        if any(row is not None and row.macro is not None for row in whole):
            lines.append(GridRow("unweighted mean", "", "", tuple(map(_macro_cell, whole))))
        groups.append(Group(prompts if len(rubric) == 1 else f"{prompts}, by {judge}", tuple(lines)))
    columns = tuple(Column(model.label) for model in models)
    return (
        Grid(id_, "Mean harm by category, with 95% intervals", "Category", columns, tuple(groups), stacked=True)
        if groups
        else None
    )
