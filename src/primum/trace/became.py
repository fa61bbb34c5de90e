"""What became of a record: why it became no row, or what each mixture did with the row, and which row a duplicate repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.graph import Graph
from primum.artifact.manifest import Artifact
from primum.trace.origin import Origin, find_origin

OUTCOMES = "data/outcomes"
_DROPS = "data/drops"
_COPY = re.compile(r"\+[0-9]+$")  # a row that a mixture has again


@dataclass(frozen=True, slots=True)
class Became:
    """What ``artifact`` says of the record ``id``: its ``outcome`` in a ``source`` of a mixture, or, without one, why it is none.

    ``repeats`` is what became of the row that a duplicate repeats. ``origin`` is None where it is not known.
    """

    artifact: str
    source: str
    id: str
    outcome: str
    origin: Origin | None
    repeats: Became | None = None

    @property
    def sentence(self) -> str:
        """All but the origin, in words."""
        if not self.source:
            return f"became no row: {self.outcome}"
        if self.repeats is None:
            return f"{self.outcome}, of the source {self.source}"
        twin = self.repeats
        then = twin.outcome if twin.repeats is None else f"{twin.outcome} of {twin.repeats.id}"
        return f"{self.outcome}, of the source {self.source}: repeats {twin.id} of {twin.source}, which was {then}"


def became(graph: Graph, artifacts: Sequence[Artifact], id: str) -> list[Became]:
    """What became of the record ``id`` of the mixtures, or datasets, that ``artifacts`` are of."""
    names = {graph.name(artifact): artifact for artifact in graph.artifacts}
    every = {name: each for name, each in names.items() if name.startswith(f"{OUTCOMES}/")}
    mixtures: dict[str, None] = {}
    datasets: dict[str, None] = {}
    for artifact in artifacts:
        item = artifact.manifest.spec.get("item", {})
        if artifact.manifest.stage == "mix":
            mixtures[f"{OUTCOMES}/{item['mixture']}"] = None
            datasets |= dict.fromkeys(_datasets(artifact))
        elif artifact.manifest.stage in ("read", "fetch"):
            dataset = graph.name(artifact).rpartition("/")[2]
            datasets[dataset] = None
            mixtures |= {name: None for name, each in every.items() if dataset in _datasets(each)}
    ids = dict.fromkeys([id, _COPY.sub("", id)])
    for each in ids:
        found = [found for name in mixtures if name in every for found in _in_mixture(graph, every[name], each)]
        found += [drop for name in datasets for drop in _dropped(graph, names.get(f"{_DROPS}/{name}"), name, each)]
        if found:
            return found
    return []


def called(graph: Graph, artifacts: Sequence[Artifact], count: int) -> list[str]:
    """What the first rows are called of the mixtures that ``artifacts`` are of."""
    mixtures = {
        f"{OUTCOMES}/{each.manifest.spec['item']['mixture']}" for each in artifacts if each.manifest.stage == "mix"
    }
    found = [each for each in graph.artifacts if graph.name(each) in mixtures]
    return [_own(id) for each in found for id in each.table(["id"])["id"].slice(0, count).to_pylist()]


def _datasets(mixed: Artifact) -> list[str]:
    """The datasets of the mixture of which an artifact is."""
    sources: Mapping[str, Mapping[str, str]] = mixed.manifest.spec["item"].get("sources", {})
    return [source["dataset"] for source in sources.values() if "dataset" in source]


def _in_mixture(graph: Graph, outcomes: Artifact, id: str) -> Iterator[Became]:
    """What a mixture did with a row: once for each source of its dataset. ``id`` is the row's own, or as the outcomes have it."""
    table = outcomes.table(["id", "source", "outcome", "twin_id"])
    ids = table["id"]
    # The number of the source is before the row's own id, which may have slashes.
    mask = pc.or_(pc.equal(ids, id), pc.ends_with(ids, pattern=f"/{id}"))
    for row in table.filter(mask).to_pylist():
        if id in (row["id"], _own(row["id"])):
            yield _told(graph, outcomes, table, row, set())


def _told(
    graph: Graph, outcomes: Artifact, table: pa.Table, row: Mapping[str, str | None], seen: set[str | None]
) -> Became:
    own, twin = _own(str(row["id"])), row["twin_id"]
    repeats = None
    if twin is not None and twin not in seen:  # a row repeats an earlier one, unless somebody has edited it
        found = table.filter(pc.equal(table["id"], twin)).to_pylist()
        repeats = _told(graph, outcomes, table, found[0], {*seen, row["id"]}) if found else None
    origin, _ = find_origin(graph, own.partition("/")[0], own)
    return Became(graph.name(outcomes), str(row["source"]), own, str(row["outcome"]), origin, repeats)


def _dropped(graph: Graph, drops: Artifact | None, dataset: str, id: str) -> Iterator[Became]:
    """The records of this id that became no row of a dataset: more than one where they shared it."""
    if drops is None or f"{dataset}/" not in id:  # a mixture has many datasets
        return
    for row in drops.table(["id", "reason"]).to_pylist():
        if id in (row["id"], _own(row["id"])):
            origin, _ = find_origin(graph, dataset, row["id"])
            yield Became(graph.name(drops), "", _own(row["id"]), row["reason"], origin)


def _own(id: str) -> str:
    """The id of a record without the number before it."""
    return id.partition("/")[2]
