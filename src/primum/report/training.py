"""Training as the page shows it: curves of all models together, and a table of where each began and ended."""

from __future__ import annotations

import math

from primum.report.data import Study
from primum.report.grids import Cell, Column, Grid, GridRow, Group, opening, opens
from primum.report.numbers import MINUS, count, decimal, percent, plural
from primum.report.parts import Model
from primum.report.pictures import Curve, Picture, Values, thinned

# Of each curve: what a screen shows, whatever the number of steps.
_MOST = 400


def curve_pictures(study: Study) -> tuple[Picture, ...]:
    """A picture a measure, a curve a model: the loss in nats, the loss of DPO, and its two rewards; none without values."""
    kinds = {model.name: model.kind for model in study.models}
    drawn = (
        ("loss", "Loss of pretraining and fine-tuning", "nats a token", "loss", None, False),
        ("dpo-loss", "Preference loss of DPO", "loss", "loss", math.log(2), True),
        ("reward-accuracy", "Pairs ranked right", "share of pairs", "reward_accuracy", 0.5, True),
        ("reward-margin", f"Reward margin, chosen {MINUS} rejected", "margin", "reward_margin", 0.0, True),
    )
    pictures = []
    for id_, title, unit, column, reference, dpo in drawn:
        curves = tuple(
            Curve(model.label, thinned(values, _MOST), thinned(_values(study, model, f"held_out_{column}"), _MOST))
            for model in study.models
            if (kinds[model.name] == "dpo") == dpo and (values := _values(study, model, column))
        )
        if curves:
            label = f"{title}, {unit} by step: {'; '.join(_told(curve) for curve in curves)}"
            pictures.append(Picture(id_, title, label, unit=unit, reference=reference, curves=curves))
    return tuple(pictures)


def _told(curve: Curve) -> str:
    if not curve.values:
        return f"{curve.name} without a finite value"
    return f"{curve.name} from {curve.values[0][1]:.3g} to {curve.values[-1][1]:.3g}"


def _values(study: Study, model: Model, column: str) -> Values:
    """A column of ``training`` over a model's steps, where it has a value."""
    steps = [(step.step, getattr(step, column)) for step in study.steps if step.model == model.name]
    return tuple((step, value) for step, value in steps if value is not None)


def training_grid(study: Study, id_: str) -> Grid | None:
    """Where each model's training began and ended: steps, losses, held-out losses and, of DPO, rewards. None without training."""
    rows = []
    for model in study.models:
        values = {
            name: _values(study, model, name)
            for name in ("loss", "held_out_loss", "held_out_reward_accuracy", "held_out_reward_margin")
        }
        values |= {name: _values(study, model, name) for name in ("reward_accuracy", "reward_margin")}
        if not values["loss"]:
            continue
        last = values["loss"][-1][0]
        accuracy = _end(values["reward_accuracy"])
        held_out = _end(values["held_out_reward_accuracy"])
        cells: tuple[Cell, ...] = (
            Cell(count(last), sort=last),
            *_ends(values["loss"]),
            *_ends(values["held_out_loss"]),
            Cell(percent(accuracy), "" if held_out is None else f"held out {percent(held_out)}", sort=accuracy),
            _margin(_end(values["reward_margin"]), _end(values["held_out_reward_margin"])),
        )
        tag = model.data or ""
        cells = opening(cells, opens("training", model.name))
        rows.append(GridRow(model.label, model.name if model.title else "", model.kind, cells, tag and f"on {tag}"))
    columns = (
        Column("Steps"),
        *(Column("Loss", "first"), Column("Loss", "last"), Column("Held out", "loss, first")),
        *(Column("Held out", "loss, last"), Column("Ranked right", "% of pairs, last"), Column("Margin", "last")),
    )
    note = (
        f"Of {plural(len(rows), 'training')}. Losses are nats a token, for DPO the preference loss. First and last are of the "
        "steps that were written down; a single batch is noisy."
    )
    caption = "Where each training began and ended"
    return Grid(id_, caption, "Model", columns, (Group("", tuple(rows)),), (), (note,), True) if rows else None


def _end(values: Values) -> float | None:
    return values[-1][1] if values else None


def _ends(values: Values) -> tuple[Cell, Cell]:
    if not values:
        return Cell(), Cell()
    (first, begun), (last, ended) = values[0], values[-1]
    return _loss(begun, first), _loss(ended, last)


def _loss(value: float, step: int) -> Cell:
    told = f"at step {count(step)}"
    return Cell(decimal(value, 3), "", told, value) if math.isfinite(value) else Cell("not finite", "", told)


def _margin(own: float | None, held_out: float | None) -> Cell:
    return Cell(decimal(own), "" if held_out is None else f"held out {decimal(held_out)}", sort=own)
