"""What opens when a cell of the page is opened: the files of its items, and the page's index of what there is to open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from primum.artifact.manifest import Artifact
from primum.report.audited import audit_sets
from primum.report.contaminated import contaminated_set
from primum.report.data import BEST, Study
from primum.report.items import ItemSet, listed, rubric_sets, score_sets
from primum.report.judged_items import judged_sets, label_sets
from primum.report.learned_items import curation_sets, pair_sets
from primum.report.origins import Origins
from primum.tables.averages import AVERAGE, columns, wholes
from primum.tables.cells import behind

ITEMS = "items"
# The file of a set that is of no model.
OWN = "all"


def item_sets(study: Study, common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]]) -> Iterator[ItemSet]:
    """Every set of items that a cell of the page opens. PrimumError where inputs are not those that the spec names."""
    origins = Origins(dict(listed(common, "origins", inputs.get("origins", ()))))
    yield from score_sets(listed(common, "scores", inputs.get("scores", ())), origins)
    yield from judged_sets(study, common, inputs, origins)
    yield from rubric_sets(listed(common, "graded", inputs.get("criteria", ())), origins)
    yield from label_sets(common, inputs, origins)
    yield from curation_sets(study, common, inputs, origins)
    yield from pair_sets(common, inputs, origins)
    yield from audit_sets(common, inputs, origins)
    yield from contaminated_set(common, inputs, origins)


def write_items(sets: Iterator[ItemSet], folder: Path) -> dict[str, list[str]]:
    """Write the files of ``sets`` below ``folder``; the models of each set by its path. One set at a time is in memory."""
    there: dict[str, list[str]] = {}
    for each in sets:
        _write(folder, each.path, each.shared)
        for model, own in each.own.items():
            _write(folder, f"{each.path}/{model or OWN}", {**own, "artifacts": dict(each.contents[model])})
        there[each.path] = list(each.own)
    return there


def _write(folder: Path, path: str, told: Mapping[str, Any]) -> None:
    file = folder / ITEMS / f"{path}.js"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(told, separators=(",", ":"), allow_nan=False, sort_keys=True)
    file.write_text(f"primumItems({json.dumps(f'{ITEMS}/{path}')},{text});\n", encoding="utf-8")


def index(study: Study, common: Mapping[str, Any], there: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What the page's script must know before a cell is opened: names, which sets there are, and what they are compared with."""
    starts = {row.model: row.start for row in study.safety if row.start}
    starts |= {row.model: row.start for row in study.rubrics if row.start}
    starts |= {row.model: row.start for row in study.accuracy if row.start}
    return {
        "experiment": study.experiment,
        "models": [{"name": each.name, "label": each.label, "kind": each.kind} for each in study.models],
        "tables": {each.name: each.content for each in study.files},
        "labels": {each.name: each.label for each in study.benchmarks},
        "judges": {each.name: each.kind for each in study.judges},
        "datasets": {f"{row.mixture}/{row.source}": row.dataset for row in study.ledger if row.dataset},
        "starts": starts,
        "best": {f"{row.group}/{row.benchmark}": row.other for row in study.comparisons if row.against == BEST},
        "made": _made(study, common) if common else {},
        "trained_on": dict(common.get("trained_on", {})),
        "sets": {path: list(models) for path, models in there.items()},
        "parts": {"scores": _parts(study), "prompts": {c.name: list(c.benchmarks) for c in _wholes(study)}},
    }


def _made(study: Study, common: Mapping[str, Any]) -> dict[str, dict[str, list[int]]]:
    """Of cells that name no artifact of their items, what their table read for them: places in its inputs, by role."""
    cells: dict[str, tuple[str, dict[str, Any]]] = {}
    cells |= {f"training/{row.model}": ("training", {"model": row.model}) for row in study.steps}
    cells |= {f"audits/{row.model}": ("audits", {"model": row.model}) for row in study.audits}
    cells |= {f"pairs/{row.preferences}": ("pairs", {"preferences": row.preferences}) for row in study.pairs}
    for row in study.ledger:
        of = {"mixture": row.mixture, "tokens_of": row.tokens_of}
        if row.tokens_of or f"curation/{row.mixture}" not in cells:
            cells[f"curation/{row.mixture}"] = ("curation", of)
    for each in study.agreements:
        cells[f"judges/{each.judge}/{each.against}"] = ("judges", {"judge": each.judge, "against": each.against})
    made: dict[str, dict[str, list[int]]] = {}
    for name, (table, values) in cells.items():
        for role, place in behind(table, values, common):
            made.setdefault(name, {}).setdefault(role, []).append(place)
    return made


def _parts(study: Study) -> dict[str, list[str]]:
    """The benchmarks behind each column that is a mean of several, and behind the average of each group."""
    found: dict[str, list[str]] = {}
    for group in ("benchmark", "preference"):
        entries = [each for each in study.benchmarks if each.group == group]
        groups = [
            {"name": e.name, "benchmarks": e.benchmarks, "weight_by_size": e.weight_by_size, "title": e.title}
            for e in study.groups
        ]
        for column in columns([(each.name, each.part_of) for each in entries], groups):
            name = f"{group}/{AVERAGE}" if column.name == AVERAGE else column.name
            if list(column.benchmarks) != [column.name]:
                found[name] = list(column.benchmarks)
    return found


def _wholes(study: Study) -> Iterator[Any]:
    made = wholes([(entry.name, entry.part_of) for entry in study.prompts])
    return (column for column in made if list(column.benchmarks) != [column.name])
