"""What a mixture or a preference set was made of, by the manifests from its rows back to the raw files. No text is read.

Titles, licences and citations are what the experiment says of its datasets. All else is what the manifests say was done, and
each is looked for only where its content is what the next one was made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os.path import commonprefix
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.manifest import Artifact, Manifest, load_manifest
from primum.artifact.results import EXPERIMENT, written_experiment
from primum.dag.curation import LEDGER, MIXTURE, PAIRS, RAW, ROWS
from primum.dag.preferences import RANKED, RESPONSES, SAMPLES
from primum.dag.scope import manifest_path
from primum.dag.training import MODEL
from primum.errors import PrimumError
from primum.export.lineage import Step, datasets_of, read_lineage
from primum.reading import regular
from primum.text.rows import ROW_TYPES

_HUB = "https://huggingface.co/datasets/"
# Rows of these types, or domains of a mixture, are requests that somebody should refuse, and what was said to them.
_HARMFUL = {"request", "graded", "safety", "judge"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where raw files came from: an ``address`` and the ``revision`` there, or the ``path`` alone where no address is known.

    One that is no repository has the checksum of its file as revision, or of ``files`` their content hash.
    """

    address: str
    revision: str
    path: str = ""
    files: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset under its ``name`` in a mixture. ``kind`` is the type of its rows before they were rendered.

    ``license`` and ``citation`` are empty where the experiment does not know them. ``outcomes`` is how many rows had which, by
    the ledger of a mixture: those that were kept are in it ``repeat`` times.
    """

    name: str
    dataset: str
    title: str
    license: str
    citation: str
    kind: str
    places: tuple[Place, ...]
    domain: str = ""
    repeat: int = 1
    outcomes: Mapping[str, int] | None = None

    @property
    def hubs(self) -> list[str]:
        """The ids of the hub's datasets that it was read from."""
        return [each.address.removeprefix(_HUB) for each in self.places if each.address.startswith(_HUB)]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A mixture or a preference set of an experiment, and what it was made of.

    ``responses`` is the lineage of the model that wrote a preference set's responses, and ``ranking`` who ordered them; both are
    empty where the responses are those of datasets.
    """

    kind: Literal["mixture", "preferences"]
    name: str
    experiment: str
    title: str
    disclaimer: str
    artifact: Artifact
    sources: tuple[Source, ...]
    responses: tuple[Step, ...] = ()
    ranking: str = ""

    @property
    def licences(self) -> dict[str, str]:
        """What each source, and the published model that responses go back to, is licensed by; empty where unknown."""
        found = {source.name: source.license for source in self.sources}
        # A model that was trained here from nothing has no licence of anybody else.
        return found | {f"model {step.name}": step.license for step in self.responses[:1] if not step.train}

    @property
    def harmful(self) -> tuple[str, ...]:
        """The names of the sources whose rows are requests for harm, or responses to such."""
        return tuple(source.name for source in self.sources if {source.kind, source.domain} & _HARMFUL)


def read_mixture(results: Path, name: str) -> DataSet:
    """The mixture ``name`` of the experiment in ``results``. PrimumError where it, or anything it was made of, is not there."""
    experiment = _experiment(results, "mixtures", name)
    at = partial(manifest_path, str(results))
    artifact, ledger = (Artifact.open(Path(at(path, mixture=name))) for path in (MIXTURE, LEDGER))
    item, inputs = artifact.manifest.spec["item"], artifact.manifest.inputs
    # Of the same inputs and, but for licences, by the same spec.
    same = ledger.manifest.spec["item"].items() >= {**item, "output": "ledger"}.items()
    if ledger.manifest.inputs != inputs or not same:
        raise PrimumError(f"{ledger.path}: is no ledger of the rows beside it: run the stage mix")
    outcomes: dict[str, Counter[str]] = {source: Counter() for source in item["order"]}
    for row in ledger.table().to_pylist():
        # What a publication counts without naming a source has no dataset, and no rows.
        if row["dataset"]:
            outcomes[row["source"]][row["outcome"]] += row["rows"]
    sources = []
    for source, content in zip(item["order"], inputs["rows"], strict=True):
        own = item["sources"][source]
        kept = {"domain": own["domain"], "repeat": own["repeat"], "outcomes": outcomes[source]}
        sources.append(_source(results, experiment, source, own["dataset"], content, **kept))
    return DataSet("mixture", name, *_named(experiment), artifact, tuple(sources))


def read_preferences(results: Path, name: str) -> DataSet:
    """The preference set ``name`` of the experiment in ``results``. PrimumError as of :func:`read_mixture`."""
    experiment = _experiment(results, "preferences", name)
    at = partial(manifest_path, str(results))
    artifact = Artifact.open(Path(at(PAIRS, preferences=name)))
    entry, inputs = experiment["preferences"][name], artifact.manifest.inputs
    if "demonstrations" in entry:
        return _demonstrated(results, experiment, name, artifact)
    read = inputs["rows"]
    if "ranker" not in entry:
        return DataSet(
            "preferences", name, *_named(experiment), artifact, _sources(results, experiment, entry["datasets"], read)
        )
    ranked = _made_from(Path(at(RANKED, preferences=name)), read[:1])
    sampled = _made_from(Path(at(SAMPLES, preferences=name, draw="000")), ranked.inputs["samples"][:1])
    _made_from(Path(at(MODEL, model=entry["from"])), sampled.inputs["model"])
    ranker = experiment["rankers"][entry["ranker"]]
    return DataSet(
        "preferences",
        name,
        *_named(experiment),
        artifact,
        _sources(results, experiment, entry["prompts"], sampled.inputs["prompts"]),
        tuple(read_lineage(results, experiment, entry["from"])),
        f"{entry['n']} a prompt, ranked by `{ranker['model']}` ({ranker['kind']})",
    )


def _demonstrated(results: Path, experiment: Mapping[str, Any], name: str, artifact: Artifact) -> DataSet:
    """A set of safety demonstrations against a model's own answers."""
    entry, inputs = experiment["preferences"][name], artifact.manifest.inputs
    asked = (entry.get("asked") or entry["demonstrations"])[0]
    path = Path(manifest_path(str(results), RESPONSES, model=entry["from"], dataset=asked))
    responses = _made_from(path, inputs["responses"][:1])
    _made_from(Path(manifest_path(str(results), MODEL, model=entry["from"])), responses.inputs["model"])
    judge = experiment["judges"][entry["judge"]]["model"]
    return DataSet(
        "preferences",
        name,
        *_named(experiment),
        artifact,
        _sources(results, experiment, datasets_of(entry), [*inputs["demonstrations"], *inputs.get("benign", ())]),
        tuple(read_lineage(results, experiment, entry["from"])),
        f"one a prompt; those that `{judge}` scored {entry['at_least']} or more are rejected",
    )


def _experiment(results: Path, section: str, name: str) -> Mapping[str, Any]:
    experiment: Mapping[str, Any] = written_experiment(results)
    names = experiment.get(section) or {}
    if name not in names:
        raise PrimumError(f"{results}: has no {section}.{name}; there are: {', '.join(sorted(names)) or 'none'}")
    return experiment


def _named(experiment: Mapping[str, Any]) -> tuple[str, str, str]:
    return experiment["name"], experiment.get("title") or experiment["name"], experiment.get("disclaimer") or ""


def _sources(
    results: Path, experiment: Mapping[str, Any], datasets: Sequence[str], contents: Sequence[str]
) -> tuple[Source, ...]:
    if len(datasets) != len(contents):
        raise PrimumError(
            f"{results}: the pairs are of other datasets than the experiment has now: run the stage pairs"
        )
    return tuple(
        _source(results, experiment, name, name, content) for name, content in zip(datasets, contents, strict=True)
    )


def _source(results: Path, experiment: Mapping[str, Any], name: str, dataset: str, content: str, **kept: Any) -> Source:
    at = partial(manifest_path, str(results), dataset=dataset)
    path = Path(at(ROWS))
    rows = _made_from(path, [content])
    raw = _made_from(Path(at(RAW)), rows.inputs["raw"])
    entry = experiment["datasets"].get(dataset)
    if entry is None:
        raise PrimumError(f"{results}: its {EXPERIMENT} has no datasets.{dataset} any more: run the experiment again")
    return Source(
        name,
        dataset,
        entry.get("title") or dataset,
        "" if (entry.get("license") or "").lower() == "unknown" else entry.get("license") or "",
        entry.get("citation") or "",
        _kind(path.with_suffix(".parquet")),
        places(raw),
        **kept,
    )


def _made_from(path: Path, contents: Sequence[str]) -> Manifest:
    """The manifest at ``path``, if its content is what was read."""
    manifest = load_manifest(path)
    if [manifest.content] != list(contents):
        raise PrimumError(f"{path}: is not what the data was made from: run the experiment again")
    return manifest


def _kind(path: Path) -> str:
    try:
        schema = pq.read_schema(regular(path)).remove_metadata()
    except (OSError, pa.ArrowException) as error:
        raise PrimumError(f"{path}: cannot be read ({type(error).__name__}): run the stage read") from None
    found = next((name for name, kind in ROW_TYPES.items() if kind.SCHEMA.equals(schema)), None)
    if found is None:
        raise PrimumError(f"{path}: holds rows of no known type: run the stage read again")
    return found


def places(raw: Manifest) -> tuple[Place, ...]:
    """Each repository once, and the files that are of none: one with its address, or several with what their addresses share."""
    found: dict[Place, None] = {}
    single: dict[str, list[Mapping[str, Any]]] = {}
    for file in raw.spec["item"]["files"]:
        entry = file if file.get("hub") or file.get("git") else raw.spec["item"]
        if entry.get("hub"):
            found[Place(f"{_HUB}{entry['hub']}", entry["revision"])] = None
        elif entry.get("git"):
            found[Place(entry["git"], entry["revision"])] = None
        else:
            host = "/".join((file.get("url") or "").split("/")[:3])
            single.setdefault(host, []).append(file)
    for host, files in single.items():
        where = _shared([file["url" if host else "path"] for file in files])
        checksum = f"sha256 {files[0]['sha256']}" if len(files) == 1 else f"content {raw.content}"
        found[Place(where if host else "", checksum, "" if host else where, len(files))] = None
    return tuple(found)


def _shared(paths: Sequence[str]) -> str:
    """The folder that all are in, or the only one."""
    if len(paths) == 1:
        return paths[0]
    # Not commonpath, which makes one slash of an address' two.
    return commonprefix(list(paths)).rpartition("/")[0] + "/"  # noqa: RUF071 - cut at a slash here
