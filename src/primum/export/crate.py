"""``primum export --format crate``: a run as a Workflow Run RO-Crate, which :mod:`primum.reproduce.replay` makes again.

The folder holds the workflow, every manifest, tables and report, and all other data if it is asked for. The same results give the
same bytes: nothing in it is of the time, or of the place, at which it was written.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from primum.artifact.results import EXPERIMENT, written_experiment
from primum.dag.dag import STAGES
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.export.crate_files import WORKFLOW, CrateFile, Entry, copy, copy_results, copy_workflow, read_run, write
from primum.export.crate_graph import (
    APACHE,
    PROFILES,
    TERMS,
    WORKFLOW_PROFILE,
    Graph,
    artifact_node,
    file_node,
    job_node,
    library,
    parameter,
    ref,
    refs,
    stage_nodes,
)
from primum.export.sbom import bom_text

README, SBOM = "README.md", "sbom.cdx.json"


@dataclass(frozen=True, slots=True)
class Crate:
    """What a crate holds: its ``entries``, and all ``files`` but the metadata, which counts in neither."""

    entries: tuple[Entry, ...]
    files: tuple[CrateFile, ...]

    @property
    def left_out(self) -> dict[str, int]:
        """How many artifacts are listed without their data, by why."""
        return dict(Counter(entry.why for entry in self.entries if entry.why))


def write_crate(run: Workflow, folder: Path, with_data: bool, harmful: bool) -> Crate:
    """Write the crate of a finished run into the empty ``folder``.

    PrimumError where rocrate is not installed, where the run is not finished, or where it is not of this clone.
    """
    library()
    found = read_run(run)
    experiment = written_experiment(Path(run.dag.results))
    if experiment != json.loads(run.experiment.model_dump_json(by_alias=True)):
        raise PrimumError(f"{run.dag.results}/{EXPERIMENT}: is not the experiment that this clone has: run it again")
    workflow = copy_workflow(run.dag.root, experiment, folder)
    entries = copy_results(run, found, folder, with_data, harmful)
    name = run.experiment.name
    expanded = copy(Path(run.dag.results) / EXPERIMENT, folder, f"results/{name}/{EXPERIMENT}")
    bill = write(bom_text(run.dag.root, experiment, {entry.name: entry.manifest for entry in entries}), folder, SBOM)
    readme = write(_readme(name, entries), folder, README)
    files = [*workflow, expanded, bill, readme]
    graph = _graph(run, experiment, entries, files)
    _save(graph, folder)
    data = [file for entry in entries for file in (entry.manifest_file, *(entry.files or ()))]
    return Crate(tuple(entries), (*files, *data))


def _readme(name: str, entries: list[Entry]) -> str:
    counts = Counter(entry.why for entry in entries)
    lines = [
        f"# {name}: a run of primum",
        "",
        "A Workflow Run RO-Crate. `ro-crate-metadata.json` lists each job with what it read and made, and each file",
        "with its sha256.",
        "",
        f"- `{WORKFLOW}/`: the workflow as it was run, with its experiment and its locks",
        f"- `results/{name}/`: the manifest of each of {len(entries)} artifacts, tables, report, and the data of {counts['']}",
        f"- `{SBOM}`: the software that the lock names, the models and the datasets, in CycloneDX's form",
        "",
        *(
            [f"Left out as not asked for: the data of {counts['not asked for']} artifacts."]
            if counts["not asked for"]
            else []
        ),
        *(
            [
                f"Left out as sensitive (requests for harm, and answers to them): the data of {counts['sensitive']} artifacts."
            ]
            if counts["sensitive"]
            else []
        ),
        "",
        "To make it again, where primum is installed from the locks in `workflow/envs/`: `primum replay FOLDER`. It runs the",
        "workflow that is in here: do so only if you trust whom you have it from.",
    ]
    return "\n".join(lines) + "\n"


def _graph(run: Workflow, experiment: dict[str, Any], entries: list[Entry], files: list[CrateFile]) -> Graph:
    graph = Graph()
    ids: dict[str, str] = {}
    for file in files:
        file_node(graph, file)
    jobs = {(job.stage.name, job.name): job for job in (entry.job for entry in entries)}
    for position, stage in enumerate((each for each in STAGES if any(key[0] == each for key in jobs)), 1):
        stage_nodes(graph, STAGES[stage], position)
    for entry, path in zip(entries, (path for job in run.dag.jobs for path in job.paths), strict=True):
        dataset = experiment["datasets"].get(entry.name.rpartition("/")[2]) if entry.job.stage.name == "fetch" else None
        ids[path] = artifact_node(graph, entry, dataset)
    actions = []
    for key, job in jobs.items():
        made = [entry for entry in entries if (entry.job.stage.name, entry.job.name) == key]
        actions.append(job_node(graph, job, made, ids))
    _whole(graph, run, experiment, entries, ids, actions)
    return graph


def _whole(
    graph: Graph,
    run: Workflow,
    experiment: dict[str, Any],
    entries: list[Entry],
    ids: dict[str, str],
    actions: list[str],
) -> None:
    """The workflow, its run as one action that orchestrates the jobs, the engine, and the crate itself."""
    name, main = run.experiment.name, f"{WORKFLOW}/Snakefile"
    authors = _authors(graph, run.dag.root)
    language = graph.add(
        "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
        "ComputerLanguage",
        name="Snakemake",
        url=ref("https://snakemake.readthedocs.io"),
        version=version("snakemake"),
    )
    licence = graph.add(APACHE, "CreativeWork", name="Apache License 2.0", identifier="Apache-2.0", url=APACHE)
    stages = [each for each in STAGES if f"#stage/{each}" in graph.nodes]
    graph.nodes[README]["about"] = ref("./")
    graph.nodes[main] |= {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "primum",
        "description": "curation, training, alignment, generation, judging, tables, and a report, of one experiment",
        "programmingLanguage": ref(language),
        "hasPart": refs([f"#stage/{each}" for each in stages]),
        "step": refs([f"#step/{each}" for each in stages]),
        "author": refs(authors),
        "creator": refs(authors),
        "license": ref(licence),
        "version": version("primum"),
    }
    by_path = dict(zip(ids, entries, strict=True))
    raw = [ids[path] for path, entry in by_path.items() if entry.job.stage.name in ("fetch", "snapshot")]
    last = [ids[path] for path, entry in by_path.items() if entry.job.stage.target in ("tables", "report")]
    expanded = f"results/{name}/{EXPERIMENT}"
    parameter(graph, main, "input", "experiment", "File", [expanded])
    parameter(graph, main, "input", "raw", "Dataset", raw)
    for kind, role in (("File", "tables"), ("Dataset", "report")):
        parameter(graph, main, "output", role, kind, [each for each in last if graph.nodes[each]["@type"] == kind])
    times = [graph.nodes[action] for action in actions if "endTime" in graph.nodes[action]]
    began, ended = min(each["startTime"] for each in times), max(each["endTime"] for each in times)
    users = [each["@id"] for action in actions for each in graph.nodes[action].get("agent", ())]
    whole = graph.add(
        "#run",
        "CreateAction",
        name=f"primum {name}",
        description=f"the run of the experiment {name}; jobs whose results were in the store are of earlier runs",
        instrument=ref(main),
        object=refs([expanded, *raw]),
        result=refs(last),
        startTime=began,
        endTime=ended,
        agent=refs(users),
        actionStatus="http://schema.org/CompletedActionStatus",
    )
    steps = [
        graph.add(
            f"#control/{action.removeprefix('#job/')}",
            "ControlAction",
            name=f"orchestrate {graph.nodes[action]['name']}",
            instrument=ref(f"#step/{action.split('/')[1]}"),
            object=ref(action),
        )
        for action in actions
    ]
    engine = graph.add(
        "#engine",
        "SoftwareApplication",
        name="Snakemake",
        softwareVersion=version("snakemake"),
        url="https://snakemake.github.io",
    )
    graph.add(
        "#orchestration",
        "OrganizeAction",
        name="run of Snakemake",
        instrument=ref(engine),
        object=refs(steps),
        result=ref(whole),
        startTime=began,
        endTime=ended,
        agent=refs(users),
    )
    profiles = [
        graph.add(each, "CreativeWork", name=title, version=each.rpartition("/")[2]) for each, title in PROFILES.items()
    ]
    disclaimer = experiment.get("disclaimer")
    graph.nodes["./"] = {
        "name": experiment.get("title") or name,
        "description": " ".join(filter(None, [experiment.get("description"), disclaimer]))
        or f"a run of the experiment {name}",
        "datePublished": ended,
        "license": ref(licence),
        "conditionsOfAccess": "The workflow is Apache-2.0. Each dataset keeps its own licence, which stands with it.",
        "conformsTo": refs(profiles),
        "mainEntity": ref(main),
        "mentions": refs([whole, *actions]),
        "author": refs(authors),
        "creator": refs(authors),
    }


def _authors(graph: Graph, root: Path) -> list[str]:
    """The authors of the workflow as entities, by CITATION.cff."""
    try:
        cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))["authors"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        raise PrimumError(f"{root / 'CITATION.cff'}: cannot be read: restore it from the project") from None
    names = [
        each.get("name") or f"{each.get('given-names', '')} {each.get('family-names', '')}".strip() for each in cited
    ]
    kinds = ["Organization" if "name" in each else "Person" for each in cited]
    return [
        graph.add(f"#author/{n}", kind, name=title) for n, (title, kind) in enumerate(zip(names, kinds, strict=True), 1)
    ]


def _save(graph: Graph, folder: Path) -> None:
    from rocrate.model import ContextEntity, DataEntity

    crate = library().ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    data = set(graph.data)
    for name, values in graph.nodes.items():
        if name != "./":
            kind = DataEntity if name in data else ContextEntity
            crate.add(kind(crate, name, properties=_plain(values)))
    for key, value in _plain(graph.nodes["./"]).items():
        crate.root_dataset[key] = value
    crate.metadata["conformsTo"] = refs(["https://w3id.org/ro/crate/1.1", WORKFLOW_PROFILE])
    crate.metadata.write(folder)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The properties of an entity, a list of one as that one: RO-Crate 1.1 recommends it."""
    single = {key: value[0] for key, value in values.items() if isinstance(value, list) and len(value) == 1}
    return values | single
