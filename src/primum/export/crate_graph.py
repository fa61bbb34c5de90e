"""The metadata of a crate, ``ro-crate-metadata.json``: which job made what of what, when, where and with what.

Its profile is Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun/provenance/0.5), which includes Workflow Run Crate and Process
Run Crate. The library rocrate writes it. What a crate does not hold is an entity all the same, with an ``@id`` that is no path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from primum.dag.dag import STAGES, Job
from primum.dag.stage import Stage
from primum.errors import PrimumError
from primum.export.crate_files import WORKFLOW, CrateFile, Entry
from primum.export.sources import places

_WFRUN = "https://w3id.org/ro/wfrun"
WORKFLOW_PROFILE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    f"{_WFRUN}/process/0.5": "Process Run Crate",
    f"{_WFRUN}/workflow/0.5": "Workflow Run Crate",
    f"{_WFRUN}/provenance/0.5": "Provenance Run Crate",
    WORKFLOW_PROFILE: "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
# Of a manifest's `run`, what says where and by what a job ran; it may differ between runs.
_MACHINE = (
    "host",
    "machine",
    "cpus",
    "gpus",
    "driver",
    "cuda",
    "container",
    "python",
    "slurm_job",
    "commit",
    "clean",
    "lock",
)
Node = dict[str, Any]


def ref(name: str) -> Node:
    """A reference to an entity."""
    return {"@id": name}


def refs(names: Iterable[str]) -> list[Node]:
    """References to entities, each once."""
    return [ref(name) for name in dict.fromkeys(names)]


@dataclass
class Graph:
    """The entities of a crate under construction, by ``@id``; ``data`` are those of the root's ``hasPart``."""

    nodes: dict[str, Node] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)

    def add(self, id_: str, kind: str | list[str], data: bool = False, /, **values: Any) -> str:
        """Add an entity unless it is there, without what is None or empty, and return its ``@id``."""
        if id_ not in self.nodes:
            kept = {key: value for key, value in values.items() if value is not None and value not in ("", [])}
            self.nodes[id_] = {"@type": kind, **kept}
            if data:
                self.data.append(id_)
        return id_

    def append(self, name: str, key: str, value: Node) -> None:
        """Append to a list of an entity."""
        known = self.nodes[name].setdefault(key, [])
        if value not in known:
            known.append(value)

    def value(self, name: str, title: str, value: Any, **more: Any) -> str:
        """A PropertyValue."""
        text = value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
        return self.add(name, "PropertyValue", name=title, value=text, **more)


def library() -> Any:
    """The module rocrate.rocrate. PrimumError, with the remedy, where it is not installed."""
    try:
        from rocrate import rocrate
    except ModuleNotFoundError as error:
        raise PrimumError(
            f"--format crate needs rocrate ({error.name} is not installed): pip install 'rocrate>=0.16,<0.17', which is in "
            "primum's extra 'export'"
        ) from None
    return rocrate


def file_node(graph: Graph, file: CrateFile, **values: Any) -> str:
    """A file of the crate as an entity."""
    known = {"sha256": file.sha256, "contentSize": str(file.size), "encodingFormat": file.format}
    return graph.add(file.id, "File", True, name=file.path.rpartition("/")[2], **known, **values)


def artifact_node(graph: Graph, entry: Entry, dataset: Mapping[str, Any] | None) -> str:
    """An artifact with its manifest; ``dataset`` is what the experiment says of a fetched one."""
    manifest, folder = entry.manifest, entry.manifest.kind == "folder"
    name = quote(entry.data) if entry.files is not None else f"#left-out/{entry.name}"
    values: Node = {
        "name": entry.name,
        "description": f"{STAGES[entry.job.stage.name].help}: {entry.name}",
        "identifier": [f"primum:key/{manifest.key}", f"primum:content/{manifest.content}"],
        "dateCreated": manifest.run.get("finished"),
    }
    if entry.why:
        values["creativeWorkStatus"] = f"left out of this crate: {entry.why}"
    if dataset is not None:
        found = places(manifest) if manifest.spec["item"].get("files") else ()
        at = [f"{place.address}@{place.revision}" for place in found if place.address]
        values |= {
            "alternateName": dataset.get("title"),
            "license": dataset.get("license") or "unknown",
            "citation": dataset.get("citation"),
            "isBasedOn": at,
            "url": next((place.address for place in found if place.address), None),
        }
    if not folder:
        if entry.files is None:
            graph.add(name, "File", True, encodingFormat="application/vnd.apache.parquet", **values)
        else:
            file_node(graph, entry.files[0], **{key: value for key, value in values.items() if key != "name"})
            for file in entry.files[1:]:
                file_node(graph, file, isBasedOn=ref(name))
    else:
        parts = [file_node(graph, file) for file in entry.files or ()]
        graph.add(name, "Dataset", True, hasPart=refs(parts), **values)
    file_node(graph, entry.manifest_file, about=ref(name), description=f"manifest of {entry.name}")
    return name


def stage_nodes(graph: Graph, stage: Stage, position: int) -> None:
    """A stage: what it runs as a tool, and its step of the workflow."""
    tool, step = f"#stage/{stage.name}", f"#step/{stage.name}"
    code = f"{WORKFLOW}/src/{stage.module.replace('.', '/')}.py"
    has = {"isPartOf": ref(code) if code in graph.nodes else None}
    graph.add(tool, "SoftwareApplication", name=f"primum stage {stage.name}", description=stage.help, **has)
    graph.add(step, "HowToStep", name=stage.name, position=str(position), workExample=ref(tool))


def parameter(graph: Graph, owner: str, way: str, role: str, kind: str, examples: Iterable[str]) -> None:
    """A FormalParameter of a tool or of the workflow, with the entities that stood for it."""
    label = owner.lstrip("#")
    name = f"#parameter/{label}/{way}/{role}"
    graph.add(name, "FormalParameter", name=role, additionalType=kind)
    for example in examples:
        graph.append(name, "workExample", ref(example))
        graph.append(example, "exampleOfWork", ref(name))
    graph.append(owner, way, ref(name))


def job_node(graph: Graph, job: Job, made: Sequence[Entry], ids: Mapping[str, str]) -> str:
    """A job as an action: what it read, what it made, when, where, by whom, with which versions and settings."""
    stage, label = job.stage, f"{job.stage.name}/{job.name}"
    tool, runs = f"#stage/{stage.name}", [entry.manifest.run for entry in made]
    read = [path for role in job.plan.roles for path in job.plan.reads(role)]
    inputs = {path: ids[path] for path in read}
    outputs = [ids[output.path] for output in job.plan.outputs]
    spec = json.loads(job.spec)
    asked = {key: spec[key] for key in ("common", "items")}
    settings = graph.value(f"#spec/{label}", "spec", asked, description="what the job was asked for")
    graph.append(settings, "exampleOfWork", ref(f"#parameter/stage/{stage.name}/input/spec"))
    parameter(graph, tool, "input", "spec", "PropertyValue", [settings])
    for role in job.plan.roles:
        _typed(graph, tool, "input", role, [inputs[path] for path in job.plan.reads(role)])
    _typed(graph, tool, "output", "made", outputs)
    graph.nodes[tool]["softwareVersion"] = spec["code"]
    for name, version in spec["libraries"].items():
        package = graph.add(
            f"#package/{name}-{version}",
            "SoftwareApplication",
            name=name,
            softwareVersion=version,
            url=f"https://pypi.org/project/{name}/",
        )
        graph.append(tool, "softwareRequirements", ref(package))
    first, last = _times(runs)
    names = sorted({str(run["user"]) for run in runs if run.get("user")})
    users = [graph.add(f"#user/{quote(name)}", "Person", name=name) for name in names]
    costs = {"seconds": _seconds(runs)} | {
        cost: sum(run["cost"][cost] for run in runs if cost in (run.get("cost") or {}))
        for cost in sorted({key for run in runs for key, value in (run.get("cost") or {}).items() if _is_number(value)})
    }
    usage = [
        graph.value(f"#used/{label}/{cost}", cost, value, propertyID=f"{_USAGE}/{cost}", unitCode=_unit(cost))
        for cost, value in costs.items()
    ]
    machine = [
        graph.value(f"#machine/{key}/{quote(str(value))}", key, value)
        for run in runs
        for key in _MACHINE
        if (value := run.get(key)) not in (None, "", [])
    ]
    return graph.add(
        f"#job/{label}",
        "CreateAction",
        name=f"{stage.name} {job.name}",
        description=stage.help,
        instrument=ref(tool),
        object=refs([settings, *inputs.values()]),
        result=refs(outputs),
        startTime=first,
        endTime=last,
        agent=refs(users),
        actionStatus="http://schema.org/CompletedActionStatus",
        resourceUsage=refs(usage),
        additionalProperty=refs(machine),
    )


_USAGE = "https://w3id.org/ro/terms/workflow-run#resourceUsage"


def _typed(graph: Graph, tool: str, way: str, role: str, examples: Sequence[str]) -> None:
    """One parameter for files and one for folders: a FormalParameter has one type."""
    for kind, name in (("File", role), ("Dataset", f"{role}-folder")):
        own = [example for example in dict.fromkeys(examples) if graph.nodes[example]["@type"] == kind]
        if own:
            parameter(graph, tool, way, name, kind, own)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unit(cost: str) -> str | None:
    """The unit of a cost in QUDT's vocabulary, where its name says what it is."""
    kind = "SEC" if cost.endswith("seconds") else "NUM" if cost.endswith("tokens") else ""
    return f"http://qudt.org/vocab/unit/{kind}" if kind else None


def _seconds(runs: Sequence[Mapping[str, Any]]) -> float:
    return round(sum(float(run.get("seconds", 0)) for run in runs), 3)


def _times(runs: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """When the first artifact was begun, and the last was done, as ISO 8601 in UTC."""
    spans = [
        (datetime.fromisoformat(str(run["finished"])), timedelta(seconds=float(run.get("seconds", 0))))
        for run in runs
        if run.get("finished")
    ]
    if not spans:
        return None, None
    return _iso(min(end - took for end, took in spans)), _iso(max(end for end, _ in spans))


def _iso(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()
