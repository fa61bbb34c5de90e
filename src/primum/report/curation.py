"""Mixtures as the page shows them: which models each trains, its ledger, what became of its sources' rows, and their overlap."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from primum.report.data import Study
from primum.report.flow import flow
from primum.report.grids import Grid
from primum.report.ledger import ledger_grid
from primum.report.overlap import overlap_grid
from primum.report.records import KEPT

_COLOURS = 7


@dataclass(frozen=True, slots=True)
class Mixture:
    """``flow`` and ``overlap`` are None where there is nothing to draw, or to count."""

    name: str
    ledger: Grid
    flow: Markup | None
    overlap: Grid | None


def outcomes(study: Study) -> dict[str, str]:
    """Each outcome's colour class: kept first, then the reasons for dropping, the commonest first."""
    rows: Counter[str] = Counter()
    for row in study.ledger:
        rows[row.outcome] += row.rows
    reasons = sorted((name for name in rows if rows[name] and name != KEPT), key=lambda name: (-rows[name], name))
    return {KEPT: "fill-kept"} | {name: f"fill-drop{min(i, _COLOURS - 1)}" for i, name in enumerate(reasons)}


def mixtures(study: Study) -> tuple[Mixture, ...]:
    """Every mixture of the ledger, its sources in the mixture's order."""
    colours = outcomes(study)
    result = []
    for number, name in enumerate(dict.fromkeys(row.mixture for row in study.ledger)):
        rows = [row for row in study.ledger if row.mixture == name]
        used = ", ".join(model.label for model in study.models if model.data == name)
        caption = f"Ledger of {name}" + (f", which trains {used}" if used else "")
        ledger = ledger_grid(rows, f"ledger-{number}", caption)
        result.append(Mixture(name, ledger, flow(rows, name, colours), overlap_grid(rows, f"overlap-{number}", name)))
    return tuple(result)
