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

# Columns of text that hold names alone. All other text may be a question, an answer or a judge's words.
_SHOWN = frozenset({"id", "item", "subject", "category", "status", "method", "example", "response_status", "prompt_id"})
_SHOWN |= {"tokens", "characters"}  # how many each choice of a score has
_ORIGINS = "data/origins"
_OVERLAPS = "overlaps"
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Origin:
    """The raw ``file`` of ``artifact`` with its ``sha256``, and the ``line`` (or record, says ``unit``) where the item begins."""

    artifact: str
    file: str
    sha256: str
    line: int
    unit: str


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

    ``trained`` are the training sets that hold a part of it.
    """

    id: str
    measured: Sequence[tuple[str, Mapping[str, Any]]]
    origin: Origin | None
    note: str = ""
    trained: Sequence[Trained] = ()


def find_item(graph: Graph, artifacts: Sequence[Artifact], id: str) -> Item:
    """The item ``id`` in ``artifacts``: rows whose ``id``, ``item`` or ``example`` it is. PrimumError where none has it."""
    measured: list[tuple[str, Mapping[str, Any]]] = []
    examples: list[str] = []
    for artifact in artifacts:
        if artifact.manifest.kind != "table":
            continue
        table = artifact.table(_columns(artifact))
        names = [name for name in ("id", "item", "example") if name in table.column_names]
        hits = [pc.equal(table.column(name), id) for name in names]
        mask = hits[0]
        for each in hits[1:]:
            mask = pc.or_(mask, each)
        examples += table.column(names[-1]).slice(0, _LISTED).to_pylist()
        measured += [(graph.name(artifact), row) for row in table.filter(mask).to_pylist()]
    if not measured:
        like = f"; items are called as {', '.join(dict.fromkeys(examples[:_LISTED]))}" if examples else ""
        raise PrimumError(f"--item {id}: no such item in {', '.join(map(graph.name, artifacts)) or 'this cell'}{like}")
    row = measured[0][1]
    asked = str(row.get("item") or row.get("example") or id)
    origin, note = _origin(graph, asked)
    return Item(id, measured, origin, note, list(_trained(graph, artifacts, asked)))


def _trained(graph: Graph, artifacts: Sequence[Artifact], asked: str) -> Iterator[Trained]:
    """The training sets that hold a part of the benchmark item ``asked``, by the overlaps that its scores were made of."""
    inputs = (each for artifact in artifacts for each in graph.inputs(artifact) if each.role == _OVERLAPS)
    overlaps = {graph.name(each.artifact): each.artifact for each in inputs if each.artifact is not None}
    for name, overlap in sorted(overlaps.items()):
        table = overlap.table()
        for row in table.filter(pc.equal(table.column("id"), asked)).to_pylist():
            # Of overlaps that were made before they said so, no row is known.
            first = row.get("first", "")
            origin, note = _origin(graph, first) if first else (None, "which row is not recorded: run the stage again")
            yield Trained(f"data/{name.removeprefix(f'data/{_OVERLAPS}/')}", row["rows"], first, origin, note)


def _columns(artifact: Artifact) -> list[str]:
    from pyarrow import parquet

    return [field.name for field in parquet.read_schema(artifact.data) if _is_shown(field)]


def _is_shown(field: pa.Field) -> bool:
    """Whether a column is a number or a name. Lists of integers may be token ids, which spell text."""
    if field.name in _SHOWN or pa.types.is_integer(field.type):
        return True
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    return bool(pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _origin(graph: Graph, row: str) -> tuple[Origin | None, str]:
    """Where the row of a dataset came from, and why it is not known."""
    dataset = row.partition("/")[0]
    names = {graph.name(artifact): artifact for artifact in graph.artifacts}
    origins, raw = names.get(f"{_ORIGINS}/{dataset}"), names.get(f"data/raw/{dataset}")
    if origins is None:
        return None, f"{_ORIGINS}/{dataset} is not there, which would say the raw file and line"
    table = origins.table(["id", "file", "line", "unit"])
    found = table.filter(pc.equal(table.column("id"), row)).to_pylist()
    if not found:
        return None, f"{_ORIGINS}/{dataset} has no row {row}"
    entry = found[0]
    sha256 = raw.manifest.files.get(entry["file"], "") if raw is not None else ""
    return Origin(f"data/raw/{dataset}", entry["file"], sha256, entry["line"], entry["unit"]), ""
