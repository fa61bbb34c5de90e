"""What became of preference sets: the prompts, a model's responses to them where it gave them, and the pairs."""

from __future__ import annotations

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opens
from primum.report.numbers import count

_TITLES = {"prompts": "Prompts", "responses": "Responses", "benign": "Benign requests", "pairs": "Pairs"}


def pairs_grid(study: Study, id_: str) -> Grid | None:
    """How many of each outcome, a set a line; a dash where a set has no such step. None where there are no sets."""
    found = {(row.preferences, row.step, row.outcome): row.count for row in study.pairs}
    outcomes = [
        (step, outcome)
        for step in _TITLES
        for outcome in dict.fromkeys(row.outcome for row in study.pairs if row.step == step)
        if any(row.count for row in study.pairs if (row.step, row.outcome) == (step, outcome))
    ]
    if not outcomes:
        return None
    rows = []
    for name in dict.fromkeys(row.preferences for row in study.pairs):
        steps = {row.step for row in study.pairs if row.preferences == name}
        cells = tuple(
            _cell(found.get((name, step, outcome), 0), opens("pairs", name, step, outcome)) if step in steps else Cell()
            for step, outcome in outcomes
        )
        used = ", ".join(model.label for model in study.models if model.data == name)
        rows.append(GridRow(name, used, "", cells))
    columns = tuple(Column(outcome, _TITLES[step]) for step, outcome in outcomes)
    caption = "Where preference pairs come from, and what was left out"
    note = "A dash: the set has no such step; where the pairs are a dataset's, no model was asked."
    return Grid(id_, caption, "Preference set", columns, (Group("", tuple(rows)),), (), (note,))


def _cell(number: int, address: str) -> Cell:
    return Cell(count(number), sort=float(number), open=address)
