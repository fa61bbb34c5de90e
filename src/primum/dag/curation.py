"""Curation: raw files -> rows -> mixtures and preference pairs, and what they share with the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from primum.artifact.folder import file_sha256
from primum.dag.judges import judge_prompt
from primum.dag.scope import Scope
from primum.dag.sensitive import are_sensitive_pairs, is_sensitive, is_sensitive_mixture
from primum.dag.stage import Output, Plan, Stage
from primum.experiment.preferences import ReadPreferences
from primum.experiment.types import Mixture
from primum.hub.mirror import mirror_folder

RAW = "data/raw/{dataset}/manifest.json"
ROWS = "data/rows/{dataset}.json"
DROPS = "data/drops/{dataset}.json"
ORIGINS = "data/origins/{dataset}.json"
MIXTURE = "data/mixtures/{mixture}.json"
LEDGER = "data/ledgers/{mixture}.json"
OUTCOMES = "data/outcomes/{mixture}.json"
PHI = "data/phi/{mixture}.json"
PAIRS = "data/pairs/{preferences}.json"
OVERLAP = "data/overlaps/{kind}/{data}.json"

# Which datasets one job reads: together, since a job over Slurm costs more than to read a small file. Those of one group have
# the same readers, so that another dataset starts no job that does not need it.
GROUPS = {
    "training": Scope.training_datasets,
    "benchmarks": Scope.benchmark_datasets,
    "safety": Scope.safety_datasets,
}


def rows_of(scope: Scope, datasets: list[str]) -> list[str]:
    """The manifests of the rows of ``datasets``."""
    return [scope.path(ROWS, dataset=name) for name in datasets]


def _fetch(scope: Scope, name: str) -> Plan:
    dataset = scope.experiment.datasets[name]
    # What a spec says of git, it says where there is some: the keys of all other datasets stay as they were.
    files = [file.model_dump(mode="json", exclude={"git"} if file.git is None else None) for file in dataset.files]
    for entry, file in zip(dataset.files, files, strict=True):
        # Files of the project are pinned by what they hold now, so that an edit is a change of the spec. One that is neither
        # here nor in the mirror has no checksum, and is refused when it is about to be fetched.
        if not entry.in_repository and not dataset.in_repository and file["url"] is None and file["sha256"] is None:
            places = [folder / file["path"] for folder in (scope.root, mirror_folder()) if folder is not None]
            file["sha256"] = next((file_sha256(path) for path in places if path.is_file()), None)
    spec = {"files": files, "hub": dataset.hub, "revision": dataset.revision}
    if dataset.git is not None:
        spec["git"] = dataset.git
    return Plan([Output(name, scope.path(RAW, dataset=name), spec, sensitive=is_sensitive(scope, [name]))])


def _read(scope: Scope, group: str) -> Plan:
    return Plan([output for name in sorted(GROUPS[group](scope)) for output in _read_one(scope, name)])


def _read_one(scope: Scope, name: str) -> Iterator[Output]:
    dataset = scope.experiment.datasets[name]
    spec = {"dataset": name, "adapter": dataset.adapter, "options": dataset.options}
    raw = {"raw": [scope.path(RAW, dataset=name)]}
    for output, path in (("rows", ROWS), ("drops", DROPS), ("origins", ORIGINS)):
        sensitive = output == "rows" and is_sensitive(scope, [name])
        yield Output(f"{name}/{output}", scope.path(path, dataset=name), {**spec, "output": output}, raw, sensitive)


def _mix(scope: Scope, _: str) -> Plan:
    return Plan([output for name in sorted(scope.mixtures()) for output in _mix_one(scope, name)])


def _mix_one(scope: Scope, name: str) -> Iterator[Output]:
    mixture = scope.experiment.mixtures[name]
    judges = sorted({source.judge for source in mixture.sources.values() if source.judge})
    spec: dict[str, Any] = {
        **mixture.model_dump(mode="json"),
        "mixture": name,
        "seed": scope.experiment.seed,
        "order": list(mixture.sources),
        "judges": {judge: judge_prompt(scope, judge) for judge in judges},
        "benchmarks": scope.decontaminating(name),
    }
    sources = [source.dataset for source in mixture.sources.values()]
    inputs = {
        "rows": rows_of(scope, sources),
        "drops": [scope.path(DROPS, dataset=dataset) for dataset in sources],
        "benchmarks": rows_of(scope, scope.decontaminating(name)),
    }
    # What the catalog says of licences is in the ledger alone: the rows stay what they are when it is corrected.
    licences = {"licences": {dataset: scope.experiment.datasets[dataset].license for dataset in sources}}
    if mixture.phi is None:
        del spec["phi"]
    for output, path in mixed(mixture):
        own = {**spec, "output": output, **(licences if output == "ledger" else {})}
        sensitive = output == "rows" and is_sensitive_mixture(scope, name)
        yield Output(f"{name}/{output}", scope.path(path, mixture=name), own, inputs, sensitive)


def mixed(mixture: Mixture) -> list[tuple[str, str]]:
    """What is made of a mixture, and where: places of identifiers where it looks for some."""
    made = [("rows", MIXTURE), ("ledger", LEDGER), ("outcomes", OUTCOMES)]
    return [*made, *([("phi", PHI)] if mixture.phi else [])]


def _pairs(scope: Scope, _: str) -> Plan:
    # Which datasets a set has is no part of a spec, but of what the job is told to read.
    sets = {name: scope.experiment.preferences[name] for name in read_preferences(scope)}
    datasets = {name: list(each.datasets) for name, each in sets.items() if isinstance(each, ReadPreferences)}
    outputs = [
        Output(
            name,
            scope.path(PAIRS, preferences=name),
            {"seed": scope.experiment.seed},
            {"rows": rows_of(scope, read)},
            are_sensitive_pairs(scope, name),
        )
        for name, read in datasets.items()
    ]
    return Plan(outputs, chosen=[f"{name}:{dataset}" for name, read in datasets.items() for dataset in read])


def read_preferences(scope: Scope) -> list[str]:
    """The preference sets of datasets; those that a model is asked for are made later (:mod:`primum.dag.preferences`)."""
    return sorted(set(scope.preferences()) - set(scope.paired_later()))


def curated(scope: Scope) -> list[tuple[str, str]]:
    """(kind, name) of the data whose overlap with the benchmarks is looked for before anything is trained."""
    later = {("pairs", name) for name in scope.paired_later()}
    return sorted(set(scope.overlapping()) - later)


def _overlap(scope: Scope, _: str) -> Plan:
    return plan_overlaps(scope, curated(scope))


def plan_overlaps(scope: Scope, data_sets: Sequence[tuple[str, str]]) -> Plan:
    """The job that looks for benchmark items in mixtures and pairs."""
    outputs = []
    for kind, name in data_sets:
        mixture = scope.experiment.mixtures[name] if kind == "mixtures" else None
        # Preference pairs have no rule of their own, and are looked through by that of mixtures.
        ngram = mixture.ngram if mixture else Mixture.model_fields["ngram"].default
        data = scope.path(MIXTURE, mixture=name) if mixture else scope.path(PAIRS, preferences=name)
        outputs.append(
            Output(f"{kind}/{name}", scope.path(OVERLAP, kind=kind, data=name), {"ngram": ngram}, {"data": [data]})
        )
    benchmarks = scope.knowledge()
    return Plan(outputs, {"benchmarks": benchmarks}, {"benchmarks": rows_of(scope, benchmarks)})


STAGES = (
    Stage(
        name="fetch",
        help="bring raw files here and verify their checksums",
        module="primum.curate.fetch",
        target="fetch",
        rule="fetch_dataset",
        job="{dataset}",
        jobs=Scope.fetched,
        plan=_fetch,
        kind="folder",
        libraries=(),
    ),
    Stage(
        name="read",
        help="turn raw files into rows, and say where each came from",
        module="primum.curate.read",
        target="curate",
        rule="read_{group}",
        job="{group}",
        jobs=lambda scope: [group for group, datasets in GROUPS.items() if datasets(scope)],
        plan=_read,
    ),
    Stage(
        name="mix",
        help="clean, deduplicate, decontaminate and sample mixtures, with a ledger of each",
        module="primum.curate.mix",
        target="curate",
        rule="mix_sources",
        job="mixtures",
        jobs=lambda scope: ["mixtures"] if scope.mixtures() else [],
        plan=_mix,
        libraries=("pyarrow", "rensa", "jinja2", "python-stdnum"),
    ),
    Stage(
        name="pairs",
        help="join the preference pairs of each DPO stage",
        module="primum.curate.pairs",
        target="curate",
        rule="join_pairs",
        job="pairs",
        jobs=lambda scope: ["pairs"] if read_preferences(scope) else [],
        plan=_pairs,
    ),
    Stage(
        name="overlap",
        help="which benchmark items each training set holds a part of",
        module="primum.curate.contamination",
        target="curate",
        rule="find_overlaps",
        job="overlaps",
        jobs=lambda scope: ["overlaps"] if curated(scope) else [],
        plan=_overlap,
    ),
)
