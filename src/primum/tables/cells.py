"""Which artifacts a row of a table was made of: what ``explain`` unfolds, what a cell of the report opens.

The tables' manifests list what was read, by role, in the order of the lists in their spec: a row's names lead to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.errors import PrimumError
from primum.tables.averages import AVERAGE

# Role -> the spec's list, whose entries are names in the same order as the role's artifacts.
LISTS = {
    "scores": "scores",
    "judgements": "judgements",
    "criteria": "graded",
    "generations": "generations",
    "ledgers": "mixtures",
    "tokens": "packed",
    "trained": "trained",
    "agreements": "agreements",
    "canaries": "canaries",
    "labels": "labels",
    "audits": "audited",
    "pairs": "pairs",
    "draws": "sampled",
    "ranked": "sampled",
}
# The columns that name a row of each table, as people ask for it.
NAMED = {
    "benchmarks": ("model", "benchmark", "subject"),
    "preferences": ("model", "benchmark", "subject"),
    "comparisons": ("model", "benchmark", "against", "other", "group"),  # both groups have an average
    "safety": ("model", "prompts", "judge", "category"),
    "rubrics": ("model", "prompts", "judge", "tag"),
    "judges": ("judge", "against", "part"),
    "confusion": ("judge", "label", "score"),
    "training": ("model", "step"),
    "curation": ("mixture", "source", "dataset", "outcome"),
    "audits": ("model", "check"),
    "pairs": ("preferences", "step", "outcome"),
    "axes": ("model", "axis"),
}


def behind(table: str, row: Mapping[str, Any], common: Mapping[str, Any]) -> list[tuple[str, int]]:
    """(role, index into the role's inputs) of the artifacts that ``row`` of ``table`` was made of and is compared with.

    ``common`` is the tables' spec. Raises PrimumError for a table that there is not.
    """
    if table not in NAMED:
        raise PrimumError(f"{table}: no such table; there are: {', '.join(NAMED)}")
    found = [
        (role, index)
        for role, wanted in _wanted(table, row, common)
        for index, entry in enumerate(common[LISTS[role]])
        if _names(entry) in wanted
    ]
    return list(dict.fromkeys(found))


_Names = tuple[str, ...]


def _names(entry: Any) -> _Names:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def _wanted(table: str, row: Mapping[str, Any], common: Mapping[str, Any]) -> Iterator[tuple[str, set[_Names]]]:
    if table in ("benchmarks", "preferences", "comparisons"):
        other = [row["other"]] if table == "comparisons" else []
        group = row["group"] if table == "comparisons" else table.removesuffix("s")
        names = _benchmarks(row["benchmark"], group, common)
        for model in [row["model"], *other, *([row["start"]] if row.get("start") else [])]:
            yield "scores", {(model, name) for name in names}
    elif table == "safety":
        prompts = _parts(row["prompts"], common["prompts"])
        judges = _members(row["judge"], common["judges"])
        for model in [row["model"], *([row["start"]] if row.get("start") else [])]:
            yield "judgements", {(judge, model, name) for judge in judges for name in prompts}
            yield "generations", {(model, name) for name in prompts}
        yield "agreements", {(judge,) for judge in judges}
        yield "labels", _labels(judges, common)
    elif table == "rubrics":
        for model in [row["model"], *([row["start"]] if row.get("start") else [])]:
            yield "criteria", {(row["judge"], model, name) for name in _parts(row["prompts"], common["prompts"])}
    elif table in ("judges", "confusion"):
        judges = _members(row["judge"], common["judges"])
        if table == "confusion" or row["against"] == "labels":
            yield "agreements", {(judge,) for judge in judges}
            yield "labels", _labels(judges, common)
        else:
            both = {*judges, *_members(row["against"], common["judges"])}
            yield "judgements", {_names(entry) for entry in common["judgements"] if entry[0] in both}
        if table == "judges":
            yield "canaries", {(judge,) for judge in judges}
    elif table == "training":
        yield "trained", {(row["model"],)}
    elif table == "curation":
        yield "ledgers", {(row["mixture"],)}
        yield "tokens", {(row["mixture"], str(row.get("tokens_of")))}
    elif table == "audits":
        yield "audits", {(row["model"],)}
    elif table == "pairs":
        for role in ("pairs", "draws", "ranked"):
            yield role, {(row["preferences"],)}


def _benchmarks(column: str, group: str, common: Mapping[str, Any]) -> set[str]:
    """The benchmarks of a column: itself, its parts, the members of a group file, or, for the average, all of ``group``."""
    entries = [entry for entry in common["benchmarks"] if entry["group"] == group]
    members = {entry["name"]: set(entry["benchmarks"]) for entry in common.get("groups", ())}
    if column == AVERAGE:
        return {str(entry["name"]) for entry in entries}
    return members.get(column) or _parts(column, entries)


def _parts(name: str, entries: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(entry["name"]) for entry in entries if name in (entry["name"], entry["part_of"])}


def _members(judge: str, judges: Sequence[Mapping[str, Any]]) -> set[str]:
    return {judge, *(member for entry in judges if entry["name"] == judge for member in entry["members"])}


def _labels(judges: set[str], common: Mapping[str, Any]) -> set[_Names]:
    return {(dataset,) for judge, dataset in common["labelled"] if judge in judges}
