"""The items behind the tables' cells, as files that the page loads when a cell is opened: ids, numbers, statuses and categories.

A file is one call, ``primumItems(path, columns)``, since a page that is opened from the disk may load scripts and nothing else.
Items of a set (a benchmark, a judge and its prompts) are in one file, and what a model made of them in one more a model. No
request, response, question or answer is ever read into one. Equal artifacts give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.report.origins import Origins
from primum.report.packed import packed, packed_lists
from primum.tables.answers import SCORED
from primum.tables.rubrics import read_examples

ITEM = "id"
_SCORES = [
    *("id", "item", "subject", "seed", "status", "loglikelihoods", "prediction", "target"),
    *("correct", "truncated", "contaminated", "choices"),
]
_VALUE = "value"  # of tasks with process_results alone
_MILLINATS = 1000


@dataclass(frozen=True, slots=True)
class ItemSet:
    """The items behind cells of one kind: ``path`` names the set, ``shared`` are its columns, ``own`` those of each model.

    ``contents`` are the content hashes of the artifacts that each model's columns are of, by the artifacts' names.
    """

    path: str
    shared: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]
    contents: Mapping[str, Mapping[str, str]]


def listed(common: Mapping[str, Any], key: str, artifacts: Sequence[Artifact]) -> list[tuple[Any, Artifact]]:
    """The spec's list ``key`` beside its artifacts, which come in the same order. PrimumError where they are not as many."""
    names = common.get(key, ())
    if len(names) != len(artifacts):
        raise PrimumError(f"report: {len(names)} {key} in the spec, but {len(artifacts)} artifacts: run it again")
    return list(zip(names, artifacts, strict=True))


def score_sets(scores: Sequence[tuple[Any, Artifact]], origins: Origins) -> Iterator[ItemSet]:
    """A set a benchmark: its items, and of each model the answer, the log-likelihoods in millinats, and what is said of it.

    ``right`` is what an answer is worth, 0 where there is none. An item that a model was not asked has the status "".
    """
    for benchmark in dict.fromkeys(benchmark for (_, benchmark), _ in scores):
        found = {model: artifact for (model, name), artifact in scores if name == benchmark}
        tables = {model: _read_scores(artifact) for model, artifact in found.items()}
        ids, rows = _together(tables)
        first = _first_of(tables, rows, ids, ["item", "subject", "seed"])
        shared = {
            **named(ids.to_pylist(), first["item"].to_pylist()),
            "subject": packed(first["subject"]),
            "seed": packed(first["seed"]),
            **origins.of(first["item"]),
        }
        own = {model: _of_model(table, rows[model]) for model, table in tables.items()}
        contents = {
            model: {f"scores/{model}/{benchmark}": artifact.manifest.content} for model, artifact in found.items()
        }
        yield ItemSet(f"scores/{benchmark}", shared, own, contents)


def _read_scores(artifact: Artifact) -> pa.Table:
    valued = _VALUE in artifact.column_names()
    table = artifact.table([*_SCORES, *([_VALUE] if valued else [])])
    scored = pc.equal(table["status"], SCORED)
    worth = table[_VALUE] if valued else table["correct"].cast(pa.int8())
    right = pc.if_else(scored, worth, pa.scalar(0, worth.type))
    return table.drop_columns(["correct", *([_VALUE] if valued else [])]).append_column("right", right)


def _of_model(table: pa.Table, rows: pa.Array | None) -> dict[str, Any]:
    """The columns of one model; ``rows`` are the places of the set's items in its table, None where they are all of it."""
    if rows is not None:
        table = table.take(rows)
    contaminated = table["contaminated"].cast(pa.int8())
    return {
        "right": packed(table["right"], 4),
        "prediction": packed(table["prediction"]),
        "target": packed(table["target"]),
        "choices": packed(table["choices"]),
        "status": packed(pc.fill_null(table["status"], "")),
        "truncated": packed(pc.fill_null(table["truncated"], False).cast(pa.int8())),
        "contaminated": packed(contaminated),
        "loglikelihoods": packed_lists(table["loglikelihoods"], _MILLINATS),
    }


def _together(tables: Mapping[str, pa.Table]) -> tuple[pa.Array, dict[str, pa.Array | None]]:
    """All ids in ascending order, and where each table has them: None where it has all of them in that order."""
    ids = [table[ITEM].combine_chunks() for table in tables.values()]
    every = pc.unique(pa.chunked_array(ids)) if ids else pa.array([], pa.string())
    every = every.take(pc.sort_indices(every))
    rows = {
        model: None if own.equals(every) else pc.index_in(every, value_set=own)
        for model, own in zip(tables, ids, strict=True)
    }
    return every, rows


def _first_of(
    tables: Mapping[str, pa.Table], rows: Mapping[str, pa.Array | None], ids: pa.Array, names: Sequence[str]
) -> dict[str, Any]:
    """The columns that all models share, of each item from the first model that has it."""
    found: dict[str, Any] = {name: pa.nulls(len(ids), next(iter(tables.values()))[name].type) for name in names}
    for model, table in tables.items():
        place = rows[model]
        for name in names:
            own = table[name] if place is None else table[name].take(place)
            found[name] = pc.coalesce(found[name], own.combine_chunks() if isinstance(own, pa.ChunkedArray) else own)
        if all(not found[name].null_count for name in names):
            break
    return found


def named(ids: Sequence[str], items: Sequence[str]) -> dict[str, Any]:
    """``n``, and the ids without what all begin with, a dataset's name and a slash; the rows' own, too, where they are others."""
    name, slash, _ = min(ids, default="").partition("/")
    prefix = name + slash if slash and all(id_.startswith(name + slash) for id_ in (*ids, *items)) else ""
    told = {"n": len(ids), "prefix": prefix, ITEM: [id_[len(prefix) :] for id_ in ids]}
    return told if list(ids) == list(items) else {**told, "item": [item[len(prefix) :] for item in items]}


def row_set(
    path: str, rows: Mapping[str, Mapping[str, Mapping[str, Any]]], shared: Sequence[str], **told: Any
) -> ItemSet:
    """A set from ``rows``, by model and id: few, where a benchmark has many. ``told`` are its ``origins`` and ``contents``."""
    ids = sorted({id_ for own in rows.values() for id_ in own})
    first = {id_: own[id_] for own in reversed(list(rows.values())) for id_ in own}
    origins: Origins = told["origins"]
    columns = {name: packed(pa.array([first[id_][name] for id_ in ids])) for name in shared}
    items = [str(first[id_].get("item", id_)) for id_ in ids]
    names = [name for name in next(iter(first.values()), {}) if name not in (*shared, "item")]
    own = {
        model: {name: packed(pa.array([found.get(id_, {}).get(name) for id_ in ids])) for name in names}
        for model, found in rows.items()
    }
    return ItemSet(
        path, {**named(ids, items), **columns, **origins.of(pa.array(items, pa.string()))}, own, told["contents"]
    )


def _criteria_ids(criteria: Artifact) -> dict[str, list[str]]:
    """The ids of each example's criteria, in their order."""
    found: dict[str, list[tuple[int, str]]] = {}
    for row in criteria.table(["id", "example", "number"]).to_pylist():
        found.setdefault(row["example"], []).append((int(row["number"]), row["id"]))
    return {example: [id_ for _, id_ in sorted(numbered)] for example, numbered in found.items()}


def rubric_sets(criteria: Sequence[tuple[Any, Artifact]], origins: Origins) -> Iterator[ItemSet]:
    """A set a judge of criteria and its prompts: each criterion of each conversation, and whether a model's response meets it."""
    for judge, prompts in dict.fromkeys((judge, prompts) for (judge, _, prompts), _ in criteria):
        found = {model: a for (j, model, p), a in criteria if (j, p) == (judge, prompts)}
        rows: dict[str, dict[str, dict[str, Any]]] = {}
        for model, artifact in found.items():
            ids = _criteria_ids(artifact)
            rows[model] = {
                ids[name][place]: {
                    "item": name,
                    "tags": " ".join(sorted({*example.tags, *asked.tags})),
                    "points": asked.points,
                    "met": None if asked.met is None else int(asked.met),
                    "status": asked.status,
                    "response": example.response,
                }
                for name, example in read_examples(artifact).items()
                for place, asked in enumerate(example.criteria)
            }
        contents = {m: {f"criteria/{judge}/{m}/{prompts}": a.manifest.content} for m, a in found.items()}
        yield row_set(f"rubrics/{judge}/{prompts}", rows, ["tags", "points"], origins=origins, contents=contents)
