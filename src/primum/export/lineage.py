"""How a model of a run was made: each training from the first on, its data, its settings, and what its manifests count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from primum.artifact.manifest import Manifest, load_manifest
from primum.dag.curation import MIXTURE, PAIRS
from primum.dag.scope import manifest_path
from primum.dag.training import MODEL, PACKED, REFERENCE

# Of a model's entry, beside its optimization: all that changes its weights, or what it is asked with.
_SETTINGS = (
    "architecture", "beta", "max_length", "chunk_tokens", "attention", "attention_reset", "train_on_inputs", "lora", "template",
    "fold_system", "seed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """A model of a lineage. ``train`` is empty for one that was fetched, whose ``hub`` id and ``revision`` are known.

    ``data`` says also who answered and ranked, where a model learns from answers. ``datasets`` are catalog entries by name,
    ``counts`` what the manifests of data and model say, ``content`` the model's hash.
    """

    name: str
    train: str
    start: str
    hub: str
    revision: str
    license: str
    data: str
    datasets: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    counts: Mapping[str, int]
    content: str


def read_lineage(results: Path, experiment: Mapping[str, Any], model: str) -> list[Step]:
    """The steps that made ``model``, the first one first; the last is the model itself."""
    steps: list[Step] = []
    name: str | None = model
    while name is not None:
        entry = experiment["models"].get(name, {})
        steps.insert(0, _step(results, experiment, name, entry))
        name = entry.get("from")
    return steps


def _step(results: Path, experiment: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> Step:
    at = partial(manifest_path, str(results))
    train, data = entry.get("train") or "", entry.get("data") or ""
    if train == "dpo":
        pairs = experiment["preferences"][data]
        names = datasets_of(pairs)
        data = _sampled(experiment, data) if "from" in pairs else data
        kept, made = at(PAIRS, preferences=entry["data"]), at(REFERENCE, model=name)
    else:
        sources = experiment.get("mixtures", {}).get(data, {}).get("sources", {})
        names = [source["dataset"] for source in sources.values()]
        kept, made = at(MIXTURE, mixture=data), at(PACKED, model=name)
    manifest = _manifest(at(MODEL, model=name))
    item = manifest.spec.get("item", {}) if manifest is not None and manifest.stage == "snapshot" else {}
    counts: dict[str, int] = {}
    if train:
        for path, wanted in ((kept, ("kept",)), (made, ("packed", "kept", "tokens", "loss-tokens", "truncated"))):
            found = _manifest(path)
            counts |= {key: found.counts[key] for key in wanted if found is not None and key in found.counts}
        counts |= {key: manifest.counts[key] for key in ("steps", "parameters") if manifest and key in manifest.counts}
    settings = {key: entry[key] for key in _SETTINGS if entry.get(key) is not None}
    return Step(
        name,
        train,
        entry.get("from") or "",
        item.get("hub") or "",
        item.get("revision") or "",
        entry.get("license") or "",
        data,
        {each: experiment["datasets"][each] for each in dict.fromkeys(names)},
        {**entry.get("optimization", {}), **settings},
        counts,
        "" if manifest is None else manifest.content,
    )


def datasets_of(pairs: Mapping[str, Any]) -> list[str]:
    """The datasets that a preference set's prompts, or pairs, are of."""
    if "demonstrations" in pairs:
        return [*pairs["demonstrations"], *(pairs.get("benign") or {}).get("datasets", ())]
    return [*(pairs["prompts"] if "ranker" in pairs else pairs["datasets"])]


def _sampled(experiment: Mapping[str, Any], data: str) -> str:
    """Who answered the prompts of a set, and who ranked or judged the answers."""
    pairs = experiment["preferences"][data]
    if "judge" in pairs:
        judge = experiment["judges"][pairs["judge"]]
        return (
            f"{data}: safety demonstrations against answers by `{pairs['from']}` that `{judge['model']}` scored "
            f"{pairs['at_least']} or more"
        )
    ranker = experiment["rankers"][pairs["ranker"]]
    return (
        f"{data}: {pairs['n']} answers a prompt by `{pairs['from']}`, ranked by `{ranker['model']}` ({ranker['kind']})"
    )


def _manifest(path: str) -> Manifest | None:
    """None where it is not there: what was made of it may be all the same."""
    return load_manifest(Path(path)) if Path(path).exists() else None
