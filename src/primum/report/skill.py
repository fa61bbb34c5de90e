"""The tables of skill: accuracy with what a reader must know of it, its clean subset, and models against the best."""

from __future__ import annotations

from collections.abc import Mapping

from primum.report.data import BEST, Accuracy, Comparison, Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opens, size_groups
from primum.report.numbers import count, interval, percent, plural, signed
from primum.report.parts import Model
from primum.tables.averages import AVERAGE

TIED, CUT, SILENT = "\u2248", "\u2020", "\u2021"
_GENERATION = "generation"
_INTERVALS = {
    "wilson": "Wilson's for a share of items",
    "effective": "Wilson's with the effective number of items for means over subjects and benchmarks and for clusters of items",
    "crossed": "drawn further out by the few-shot seeds where there are several",
}


def accuracy_grid(study: Study, group: str, id_: str, caption: str) -> Grid | None:
    """Models by benchmarks of a group, the best two of each size class marked, chance below. None without any rows.

    What is not told apart from the best of its column is marked as tied, whatever the size class.
    """
    rows = study.preferences if group == "preference" else study.accuracy
    found = {(row.model, row.benchmark): row for row in rows if not row.subject}
    models = [model for model in study.models if any(model.name == name for name, _ in found)]
    if not models:
        return None
    names = study.columns(group)
    best = study.against(BEST, group)

    def cells(model: Model) -> tuple[Cell, ...]:
        keys = [(model.name, name) for name, _ in names]
        return tuple(_accuracy_cell(found.get(key), best.get(key), f"{group}s") for key in keys)

    macros = {entry.name for entry in study.benchmarks if entry.macro}
    means = {entry.part_of for entry in study.benchmarks} | {e.name for e in study.groups if not e.weight_by_size}
    worded = {
        name for name, _ in names if {row.method for row in found.values() if row.benchmark == name} == {_GENERATION}
    }
    worded = worded if len(models) > 1 else set()
    columns, chances = [], []
    for name, label in names:
        column = [row for row in found.values() if row.benchmark == name]
        size = f"{count(max((row.n for row in column), default=0))} items"
        sub = "unweighted" if name == AVERAGE else f"{size}, macro" if name in macros | means else size
        sub += ", in words" if name in worded else ""
        columns.append(Column(label, sub, "average" if name == AVERAGE else ""))
        chance = next((row.chance for row in column if row.chance is not None), None)
        chances.append(Cell(percent(chance), sort=chance))
    # A benchmark that all models answer in words says so itself.
    own = [row for row in found.values() if row.benchmark not in worded | means | {AVERAGE}]
    ranked = {row.model for row in own if row.method != _GENERATION}
    tags = {row.model: "by generation" for row in own if row.model not in ranked}
    groups = size_groups(models, cells, tags)
    ranks = f"Best in bold, second underlined{', within a size class' if len(groups) > 1 else ''}. "
    notes = [(ranks if len(models) > 1 else "") + _method(found, best), *_told(study, found)]
    return Grid(
        id_, caption, "Model", tuple(columns), groups, (GridRow("Chance", "", "", tuple(chances)),), tuple(notes), True
    )


def _method(found: Mapping[tuple[str, str], Accuracy], best: Mapping[tuple[str, str], Comparison]) -> str:
    """One sentence: how intervals, tests and ties were computed."""
    used = {row.interval for row in found.values()}
    told = "Below each accuracy its 95% interval: " + "; ".join(w for key, w in _INTERVALS.items() if key in used)
    if any(row.tied is not None for row in best.values()):
        told += (
            f". {TIED} marks a tie: what a paired test on the same items does not tell apart from the best of its column at "
            "5%, with Holm's correction over all pairs of models and columns; it does not say that they are equal"
        )
    return told + "."


def _told(study: Study, found: Mapping[tuple[str, str], Accuracy]) -> list[str]:
    """What is not as it should be, each with its counts."""
    means = {AVERAGE, *(entry.part_of for entry in study.benchmarks), *(entry.name for entry in study.groups)}
    rows = [row for row in found.values() if row.benchmark not in means]

    def where(picked: list[tuple[Accuracy, int]]) -> str:
        return "; ".join(
            f"{study.model(r.model).label} on {r.benchmark}, {count(k)} of {count(r.n)}" for r, k in picked
        )

    notes = []
    if cut := [(row, row.truncated) for row in rows if row.truncated]:
        notes.append(f"{CUT} The prompt was cut to fit the model's context: {where(cut)}.")
    if silent := [(row, row.unanswered) for row in rows if row.unanswered]:
        notes.append(f"{SILENT} Items without a valid answer count as wrong: {where(silent)}.")
    if any(row.method == _GENERATION for row in rows):
        notes.append(
            "By generation: the model wrote its answer, which was parsed; all others are ranked by log-likelihood. The "
            "two ways of asking are not the same test. Answers are read strictly; a cell's tip says what a flexible "
            "reading of them gives."
        )
    if lacking := [row for row in found.values() if row.benchmark in means and row.note]:
        told = "; ".join(f"{study.model(row.model).label}, {row.benchmark}: {row.note}" for row in lacking)
        notes.append(f"No mean where benchmarks are missing that others have, since it would not compare: {told}.")
    if others := [row for row in rows if row.note]:
        told = "; ".join(f"{study.model(row.model).label} on {row.benchmark}, {row.note}" for row in others)
        notes.append(f"No change is given for: {told}.")
    return notes


def _accuracy_cell(row: Accuracy | None, best: Comparison | None = None, table: str = "benchmarks") -> Cell:
    if row is None or row.accuracy is None:
        return Cell(tip=row.note if row else "not measured")
    seeds = f" over {row.seeds} seeds" if row.seeds > 1 else ""
    ends = interval(row.ci_low, row.ci_high, scale=100)
    told = f"95% CI {ends}; {count(row.correct)} right{seeds} of {plural(row.n, 'item')}"
    if row.flexible_accuracy is not None:
        read = interval(row.flexible_low, row.flexible_high, scale=100)
        told += f"; read flexibly {percent(row.flexible_accuracy)} (95% CI {read})"
    if row.change is not None and row.start:
        told += f"; {signed(100 * row.change)} points from {row.start}"
    if best is not None:
        told += f"; against {best.other}: {_difference(best)}"
    mean = row.benchmark == AVERAGE
    flags = (
        (TIED if best is not None and best.tied else "")
        + (CUT if row.truncated and not mean else "")
        + (SILENT if row.unanswered and not mean else "")
    )
    extra = "" if row.ci_low is None or row.ci_high is None else ends
    return Cell(percent(row.accuracy), extra, told, row.accuracy, flags=flags, open=_opens(row, table))


def _opens(row: Accuracy, table: str = "benchmarks") -> str:
    return opens(table, row.model, row.benchmark, *([row.subject] if row.subject else []))


def _difference(row: Comparison) -> str:
    """A comparison in words: points, the corrected interval and p-value, and what could have been seen."""
    if row.difference is None or row.p_holm is None or row.level is None or row.detectable is None:
        return row.note
    ends = " to ".join(signed(100 * end) for end in (row.ci_low, row.ci_high) if end is not None)
    told = f"{signed(100 * row.difference)} points ({100 * row.level:.2f}% CI {ends}), Holm p = {row.p_holm:.2g}"
    if row.equivalent:
        return f"{told}, the same within {100 * row.margin:g}"
    return f"{told}, tied: {100 * row.detectable:.1f} would have been seen at 80% power" if row.tied else told


def clean_grid(study: Study, id_: str) -> Grid | None:
    """Accuracy without the items that were found in a model's training data, where there are such. None without any."""
    found = {(row.model, row.benchmark): row for row in study.accuracy if not row.subject}
    flagged = {key for key, row in found.items() if row.flagged}
    names = [(name, label) for name, label in study.columns("benchmark") if any(name == n for _, n in flagged)]
    models = [model for model in study.models if any(model.name == m for m, _ in flagged)]
    if not models:
        return None

    def cell(row: Accuracy | None) -> Cell:
        if row is None or not row.flagged:
            return Cell(tip="no item is known to have been trained on")
        ends = interval(row.clean_low, row.clean_high, scale=100)
        told = f"{count(row.flagged)} of {plural(row.n, 'item')} flagged; clean: {count(row.clean_n)}, 95% CI {ends}"
        if row.unknown:
            told += f"; unknown: {count(row.unknown)}"
        text, extra = percent(row.clean_accuracy), f"all {percent(row.accuracy)}; {ends}"
        return Cell(text, extra, told, row.clean_accuracy, open=_opens(row))

    lines = tuple(
        GridRow(m.label, m.name if m.title else "", m.kind, tuple(cell(found.get((m.name, name))) for name, _ in names))
        for m in models
    )
    columns = []
    for name, label in names:
        flags = [row.flagged for (_, benchmark), row in found.items() if benchmark == name]
        columns.append(Column(label, f"up to {count(max(flags))} flagged"))
    notes = (
        "Accuracy over the items known not to be in a model's training mixture; below it that over all items, and the "
        "95% interval of the clean one.",
    )
    return Grid(id_, "Accuracy on clean items, %", "Model", tuple(columns), (Group("", lines),), (), notes, True)


def comparison_grid(study: Study, group: str, id_: str) -> Grid | None:
    """Points behind the best of each column, with the Holm-corrected p-value. None where nothing was compared."""
    best = study.against(BEST, group)
    models = [model for model in study.models if any(model.name == name for name, _ in best)]
    if not models:
        return None
    names = study.columns(group)

    def cell(row: Comparison | None) -> Cell:
        if row is None:
            return Cell(tip="the best, or not measured")
        if row.difference is None or row.p_holm is None:
            return Cell(tip=row.note)
        p_value = f"p {row.p_holm:.3f}" if row.p_holm >= 0.001 else "p < 0.001"
        told = f"{_difference(row)}; {plural(row.n, 'item')}"
        names = opens("comparisons", row.model, row.benchmark, row.other)
        flags = TIED if row.tied else ""
        return Cell(signed(100 * row.difference), p_value, told, row.difference, flags=flags, open=names)

    lines = tuple(
        GridRow(m.label, m.name if m.title else "", m.kind, tuple(cell(best.get((m.name, name))) for name, _ in names))
        for m in models
    )
    others = {row.benchmark: study.model(row.other).label for row in best.values()}
    columns = tuple(Column(label, others.get(name, "")) for name, label in names)
    notes = (
        "The best is below each heading. p-values and intervals are corrected (Holm): a tied one's interval holds 0. A cell's "
        "tip has its interval, and for a tie the smallest difference that these items show at 80% power.",
    )
    return Grid(id_, "Points behind the best", "Model", columns, (Group("", lines),), (), notes, True)


def subject_grid(study: Study, id_: str) -> Grid | None:
    """Accuracy by subject, for benchmarks that have several: subjects down, models across."""
    rows = [row for row in study.accuracy if row.subject]
    models = [model for model in study.models if any(row.model == model.name for row in rows)]
    found = {(row.model, row.benchmark, row.subject): row for row in rows}
    labels = {benchmark.name: benchmark.label for benchmark in study.benchmarks}
    groups = []
    for benchmark in dict.fromkeys(row.benchmark for row in rows):
        subjects = dict.fromkeys(row.subject for row in rows if row.benchmark == benchmark)
        lines = [
            GridRow(
                s.replace("_", " "), "", "", tuple(_accuracy_cell(found.get((m.name, benchmark, s))) for m in models)
            )
            for s in subjects
        ]
        groups.append(Group(labels[benchmark], tuple(lines)))
    columns = tuple(Column(model.label) for model in models)
    return Grid(id_, "Accuracy by subject, %", "Subject", columns, tuple(groups), stacked=True) if groups else None
