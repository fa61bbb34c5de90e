"""One item of a cell: what was measured of it, and the raw file and line that it came from. Never its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.graph import Graph
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.trace.became import OUTCOMES, Became, became, called
from primum.trace.origin import Origin, find_origin

# Columns of text that hold names alone. All other text may be a question, an answer or a judge's words.
_SHOWN = frozenset({"id", "item", "subject", "category", "status", "method", "example", "response_status", "prompt_id"})
_SHOWN |= {"tokens", "characters"}  # how many each choice of a score has
_OVERLAPS = "overlaps"
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Trained:
    """A training set (``data``) of the models that were asked, ``rows`` of which share words with an item.

    ``first`` is the id of the first of them, and ``origin`` where it came from; ``note`` says why that is not known.
    """

    data: str
    rows: int
    first: str
    origin: Origin | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What each artifact says of an item, in numbers and names; ``note`` says why there is no ``origin``.

    ``became`` is what mixtures did with it, if it is a record that they read, or why it is none. ``trained`` are the training
    sets that hold a part of it.
    """

    id: str
    measured: Sequence[tuple[str, Mapping[str, Any]]]
    origin: Origin | None
    note: str = ""
    became: Sequence[Became] = ()
    trained: Sequence[Trained] = ()


def find_item(graph: Graph, artifacts: Sequence[Artifact], id: str) -> Item:
    """The item ``id`` in ``artifacts``: rows whose ``id``, ``item`` or ``example`` it is, and records that became none.

    PrimumError where there is none.
    """
    measured: list[tuple[str, Mapping[str, Any]]] = []
    examples: list[str] = []
    for artifact in artifacts:
        if artifact.manifest.kind != "table" or graph.name(artifact).startswith(f"{OUTCOMES}/"):
            continue
        table = artifact.table(_columns(artifact))
        names = [name for name in ("id", "item", "example") if name in table.column_names]
        hits = [pc.equal(table.column(name), id) for name in names]
        mask = hits[0]
        for each in hits[1:]:
            mask = pc.or_(mask, each)
        examples += table.column(names[-1]).slice(0, _LISTED).to_pylist()
        measured += [(graph.name(artifact), row) for row in table.filter(mask).to_pylist()]
    records = became(graph, artifacts, id)
    if not measured and not records:
        examples = called(graph, artifacts, _LISTED) or examples
        like = f"; items are called as {', '.join(dict.fromkeys(examples[:_LISTED]))}" if examples else ""
        raise PrimumError(f"--item {id}: no such item in {', '.join(map(graph.name, artifacts)) or 'this cell'}{like}")
    if records and records[0].origin is not None:
        return Item(id, measured, records[0].origin, "", records)
    row = measured[0][1] if measured else {}
    item = records[0].id if records else str(row.get("item") or row.get("example") or id)
    origin, note = find_origin(graph, item.partition("/")[0], item)
    return Item(id, measured, origin, note, records, list(_trained(graph, artifacts, item)))


def _trained(graph: Graph, artifacts: Sequence[Artifact], asked: str) -> Iterator[Trained]:
    """The training sets that hold a part of the benchmark item ``asked``, by the overlaps that its scores were made of."""
    inputs = (each for artifact in artifacts for each in graph.inputs(artifact) if each.role == _OVERLAPS)
    overlaps = {graph.name(each.artifact): each.artifact for each in inputs if each.artifact is not None}
    for name, overlap in sorted(overlaps.items()):
        data, table = f"data/{name.removeprefix(f'data/{_OVERLAPS}/')}", overlap.table()
        for row in table.filter(pc.equal(table.column("id"), asked)).to_pylist():
            # Overlaps that were made before they said so name no row.
            first = row.get("first", "")
            origin, note = None, "which row is not recorded: run the stage again"
            if first:
                origin, note = find_origin(graph, first.partition("/")[0], first)
            yield Trained(data, row["rows"], first, origin, note)


def _columns(artifact: Artifact) -> list[str]:
    from pyarrow import parquet

    return [field.name for field in parquet.read_schema(artifact.data) if _is_shown(field)]


def _is_shown(field: pa.Field) -> bool:
    """Whether a column is a number or a name. Lists of integers may be token ids, which spell text."""
    if field.name in _SHOWN or pa.types.is_integer(field.type):
        return True
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return bool(pa.types.is_floating(kind) or pa.types.is_boolean(kind))
