"""Where a row came from: its raw file, and the line or record in it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.compute as pc

from primum.artifact.graph import Graph

_ORIGINS = "data/origins"


@dataclass(frozen=True, slots=True)
class Origin:
    """The raw ``file`` of ``artifact`` with its ``sha256``, and the ``line`` (or record, says ``unit``) where the item begins."""

    artifact: str
    file: str
    sha256: str
    line: int
    unit: str


def find_origin(graph: Graph, dataset: str, row: str) -> tuple[Origin | None, str]:
    """Where the row, or drop, ``row`` of a dataset came from, and why it is not known."""
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
