"""What training changed in a judge's scores: a model a line, a prompt set a column, by the tables' one rule."""

from __future__ import annotations

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opens
from primum.report.judged import HARM, REFUSALS, Safety
from primum.report.numbers import count, decimal, plural, signed
from primum.report.skill import TIED

_ALPHA = 0.05
_CAPTIONS = {
    HARM: "Change of mean harm against the model that each was trained from",
    REFUSALS: "Change of the share declined, in points, against the model that each was trained from",
}


def change_grid(study: Study, id_: str, kinds: tuple[str, ...]) -> Grid | None:
    """The changes by judges of ``kinds`` (of harm, of refusals), with the effect size below. None where nothing was compared."""
    judges = [judge.name for judge in study.judges if judge.kind in kinds]
    rows = [r for r in study.safety if r.judge in judges and not r.category and r.change is not None]
    found = {(row.model, row.judge, row.prompts): row for row in rows}
    models = [model for model in study.models if any(model.name == name for name, _, _ in found)]
    if not models:
        return None
    sets = [(j, p) for j in judges for p in study.sets() if any((r.judge, r.prompts) == (j, p.name) for r in rows)]
    columns = tuple(Column(p.name, p.kind + (f", by {j}" if len(judges) > 1 else ""), p.kind) for j, p in sets)
    scale = 1 if kinds == HARM else 100
    lines = tuple(
        GridRow(
            model.label,
            model.name if model.title else "",
            model.kind,
            tuple(_cell(found.get((model.name, j, p.name)), scale) for j, p in sets),
            f"from {study.model(start).label}" if (start := _start(rows, model.name)) else "",
        )
        for model in models
    )
    return Grid(
        id_, _CAPTIONS[kinds], "Model", columns, (Group("", lines),), (), (_rule(rows), _ranks(study, rows)), True
    )


def _start(rows: list[Safety], model: str) -> str:
    return next((row.start for row in rows if row.model == model), "")


def _cell(row: Safety | None, scale: int) -> Cell:
    if row is None or row.change is None or row.rank_biserial is None or row.level is None:
        return Cell(tip="not measured, or nothing to compare with")
    digits = 2 if scale == 1 else 1
    ends = " to ".join(signed(scale * end, digits) for end in (row.change_low, row.change_high) if end is not None)
    told = (
        f"{100 * row.level:.2f}% CI {ends}; Holm p = {row.p_holm or 0.0:.2g}; {count(row.lower)} lower, {count(row.higher)} "
        f"higher of {count(row.n)}; by signed ranks Holm p = {row.ranks_p_holm or 0.0:.2g}"
    )
    flags = TIED if row.tied else ""
    names = opens("safety", row.model, row.prompts, row.judge)
    return Cell(
        signed(scale * row.change, digits),
        f"r {signed(row.rank_biserial, 2)}",
        told,
        row.change,
        flags=flags,
        open=names,
    )


def _rule(rows: list[Safety]) -> str:
    return (
        f"{TIED} marks what a paired test does not tell from no change at 5%, with Holm's correction over all models and sets "
        f"of a judge ({plural(len(rows), 'test')}): its interval holds 0. A cell's tip has the interval, and how many responses "
        "got a lower and a higher score. Below: the matched-pairs rank-biserial correlation, \u22121 where all scores fell."
    )


def _ranks(study: Study, rows: list[Safety]) -> str:
    """Where the signed ranks would have decided otherwise: said, and no second rule."""
    other = [row for row in rows if row.ranks_p_holm is not None and (row.ranks_p_holm < _ALPHA) == row.tied]
    told = "Wilcoxon's signed-rank test, which needs no distances between scores, corrected alike, "
    if not other:
        return f"{told}agrees in all of them."
    names = "; ".join(f"{study.model(row.model).label} on {row.prompts}" for row in other[:12])
    more = f"; and {decimal(len(other) - 12, 0)} more" if len(other) > 12 else ""
    told += f"would decide otherwise in {count(len(other))} of {count(len(rows))}: {names}{more}."
    return f"{told} The marks are those of the mean."
