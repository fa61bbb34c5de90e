"""How far responses meet the criteria that they are judged by: a model a line, the whole and each axis and theme a column."""

from __future__ import annotations

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opens
from primum.report.numbers import count, interval, percent, plural, signed
from primum.report.rubric_scores import RubricScore

# The groups that people compare models by; a dataset's other tags are in the table alone.
_SHOWN = ("axis", "theme")
_NOTE = (
    "A score is the points of the criteria that are met over all that could be had: the mean over conversations, cut to the "
    "range from 0 to 100. A cell's tooltip has its interval."
)


def rubric_grid(study: Study, id_: str) -> Grid | None:
    """The scores in percent by judge and prompt set; None where no response was judged by criteria."""
    found = {(row.judge, row.prompts, row.model, row.tag): row for row in study.rubrics}
    if not found:
        return None
    every = sorted({row.tag for row in study.rubrics})
    tags = ["", *(tag for kind in _SHOWN for tag in every if tag.startswith(f"{kind}:"))]
    pairs = list(dict.fromkeys((row.judge, row.prompts) for row in study.rubrics))
    groups = []
    for judge, prompts in pairs:
        models = [model for model in study.models if (judge, prompts, model.name, "") in found]
        rows = tuple(
            GridRow(
                model.label,
                model.name if model.title else "",
                model.kind,
                tuple(_cell(found.get((judge, prompts, model.name, tag))) for tag in tags),
            )
            for model in models
        )
        groups.append(Group(f"{prompts}, judged by {judge}", rows))
    columns = [Column("Score", "%"), *(Column(tag.partition(":")[2], tag.partition(":")[0]) for tag in tags[1:])]
    return Grid(id_, "Criteria met, % of points", "Model", tuple(columns), tuple(groups), (), tuple(_notes(study)))


def _notes(study: Study) -> list[str]:
    wholes = [row for row in study.rubrics if not row.tag]
    notes = [_NOTE]
    if lost := sum(row.unscored for row in wholes):
        notes.append(
            f"‡ {count(lost)} of {plural(sum(row.criteria for row in wholes), 'question')} to the judge brought no verdict. The "
            "responses they are about are left out of the score, and no criterion is taken for unmet: the tooltip says between "
            "which bounds the score is, whatever the missing verdicts are."
        )
    if cut := sum(row.truncated for row in wholes):
        notes.append(f"{plural(cut, 'response')} reached the token limit and were judged as far as they go.")
    return notes


def _cell(row: RubricScore | None) -> Cell:
    if row is None:
        return Cell(tip="not measured")
    told = f"{count(row.scored)} of {count(row.n)} responses scored"
    missed = "‡" if row.unscored else ""
    if row.unscored:
        told += f"; between {interval(row.bound_low, row.bound_high, scale=100)} with the missing verdicts"
    if row.score is None or row.mean is None:
        return Cell(tip=told)
    if row.ci_low is not None:
        told = f"95% CI {interval(row.ci_low, row.ci_high, scale=100)}; {told}"
    if row.change is not None and row.start:
        told += f"; {signed(100 * row.change)} from {row.start}"
    # Sorted by the mean before it is cut, so that models below 0 are apart.
    names = opens("rubrics", row.model, row.prompts, row.judge, *([row.tag] if row.tag else []))
    return Cell(percent(row.score) + missed, "", told, row.mean, open=names)
