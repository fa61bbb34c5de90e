"""The audits as the page shows them: a model a line, a check a column. All passed: a training that fails one never begins."""

from __future__ import annotations

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opens
from primum.report.numbers import count, percent
from primum.report.records import Audited

_KINDS = (("sft", "Packed samples"), ("dpo", "Preference pairs"))

_NOTE = (
    "A cell's tooltip has the count, of how many, and the limit. A dash: nothing to look at in this kind of training."
)


def audit_grid(study: Study, id_: str) -> Grid | None:
    """The share that each check found, by model; a dash where a check is none of the model's kind, or had nothing to look at."""
    found = {(row.model, row.check): row for row in study.audits}
    checks = list(dict.fromkeys(row.check for row in study.audits))
    if not checks:
        return None
    groups = []
    for kind, title in _KINDS:
        models = [m for m in study.models if m.kind == kind and any(m.name == name for name, _ in found)]
        rows = tuple(
            GridRow(
                model.label,
                model.name if model.title else "",
                model.kind,
                tuple(_cell(found.get((model.name, check))) for check in checks),
            )
            for model in models
        )
        groups += [Group(title, rows)] if rows else []
    caption = "Found in what each model learned from, % of samples, pairs or token places"
    return Grid(id_, caption, "Model", tuple(map(Column, checks)), tuple(groups), (), (_NOTE,))


def _cell(row: Audited | None) -> Cell:
    if row is None or row.share is None:
        return Cell()
    told = f"{count(row.count)} of {count(row.of)}; limit {percent(row.limit)}%"
    return Cell(percent(row.share), "", told, row.share, open=opens("audits", row.model, row.check))
