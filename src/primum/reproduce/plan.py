"""What of a results folder can be made again, of what, and which artifacts together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, Input
from primum.artifact.invocation import requested
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.results import experiment_of
from primum.dag.dag import TRAINING
from primum.errors import PrimumError
from primum.hub.mirror import mirror_folder
from primum.project import project_root
from primum.reproduce.classes import EXACT, PINNED, class_of
from primum.reproduce.elsewhere import libraries_of
from primum.reproduce.sample import Candidate


def mirror_of(results: Path) -> Path | None:
    """Where raw files come from: the mirror that the environment names, else the project, which has those of the demo."""
    try:
        return mirror_folder() or project_root(results)
    except PrimumError:
        return None


def inputs_of(graph: Graph, artifact: Artifact, mirror: Path | None) -> dict[str, list[tuple[str, Artifact]]]:
    """What an artifact was made of, by role. PrimumError with the reason why it is not made again."""
    kind = class_of(artifact.manifest)
    if kind == "recorded":
        raise PrimumError(
            "a model behind an endpoint: the recorded answers are the artifact, and are not asked for again"
        )
    if kind == "pinned" and not _is_here(artifact.manifest, mirror):
        raise PrimumError("published files: they are not in this project, and PRIMUM_MIRROR names no mirror of them")
    libraries_of(artifact)
    inputs: dict[str, list[tuple[str, Artifact]]] = {}
    for each in graph.inputs(artifact):
        inputs.setdefault(each.role, []).append(_found(graph, each))
    return inputs


def _found(graph: Graph, given: Input) -> tuple[str, Artifact]:
    if given.artifact is None:
        raise PrimumError("an input is not in these results any more")
    return graph.name(given.artifact), given.artifact


def _is_here(manifest: Manifest, mirror: Path | None) -> bool:
    """Whether a published thing can be brought here without the network."""
    item = manifest.spec["item"]
    if "endpoint" in item or mirror_folder() is not None:
        return True
    files = item.get("files", ())
    own = all(file["url"] is None and not file.get("hub") and not file.get("git") for file in files)
    return bool(files) and own and mirror is not None and not item.get("hub") and not item.get("git")


def shared_roles(results: Path) -> dict[str, tuple[str, ...]]:
    """By the path of a manifest below the results: the roles in which all artifacts of its job read the same."""
    asked = requested(results)
    return {place: tuple(request["inputs"]) for place, (_, request) in asked.items() if "inputs" in request}


def candidate_of(name: str, artifact: Artifact, shared: Mapping[str, tuple[str, ...]]) -> Candidate:
    """An artifact with what it takes, and with which others it is made: with those whose jobs had all in common but the items."""
    manifest = artifact.manifest
    file = f"{name}/manifest.json" if manifest.kind == "folder" else f"{name}.json"
    roles = shared.get(file)
    asked = {key: manifest.spec.get(key) for key in ("stage", "common", "libraries")}
    read = name if roles is None else {role: manifest.inputs.get(role) for role in roles}
    group = json.dumps([asked, read], sort_keys=True)
    # A training has a process of its own, as it had: threads and seeds are the process's.
    if manifest.stage in TRAINING:
        group = name
    model = manifest.stage not in EXACT | PINNED
    return Candidate(artifact, name, group, float(manifest.run.get("seconds", 0.0)), model)


def resources_of(results: Path) -> Mapping[str, Any]:
    """What the experiment asked for its stages."""
    found = experiment_of(results).get("resources")
    return found if isinstance(found, dict) else {}
