"""The record of a run beside its report, ``report.run.js``: each artifact, what it was made of, when, where and at what cost.

It is no artifact, since another run takes other times. The page reads it where it is there (``primumRun(data)``), and a cell's
tree goes down to the raw files by it. It holds names, counts, numbers and hashes. Of a spec it has what is no text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, Input, read_graph
from primum.artifact.invocation import requested
from primum.artifact.manifest import Artifact, Manifest
from primum.dag.dag import STAGES
from primum.writing import write_whole

RUN_DATA = "report.run.js"
_RAW = "fetch"
_SETTINGS = 16
# A name, a revision or a path; never a sentence, a prompt or a template.
_WORD = re.compile(r"[\w./:@+-]{1,64}")
_HIDDEN = ("canary", "template", "policies", "policy", "system", "description", "source", "prompt", "doc_to_")


def write_run_data(results: Path) -> Path:
    """Write the record of the experiment in ``results``, such as ``results/demo``.

    PrimumError if it cannot be, or, once it is there, if a manifest that is damaged was left out.
    """
    path = results / RUN_DATA
    graph = read_graph(results)
    text = json.dumps(run_data(graph), separators=(",", ":"), ensure_ascii=False)
    write_whole(path, f"primumRun({text});\n")
    graph.check_readable()
    return path


def run_data(graph: Graph) -> dict[str, Any]:
    """``{"artifacts": [...]}``; an artifact's ``inputs`` are indices into the list, ``roles`` beside them what each is read as.

    Inputs that the results have no more come last, marked as ``lost``.
    """
    place = {artifact.path: number for number, artifact in enumerate(graph.artifacts)}
    lost: dict[str, tuple[int, Input]] = {}
    told, asked = [], requested(graph.results)
    for artifact in graph.artifacts:
        inputs = graph.inputs(artifact)
        indices = []
        for each in inputs:
            if each.artifact is not None:
                indices.append(place[each.artifact.path])
            else:
                number, _ = lost.setdefault(each.content, (len(place) + len(lost), each))
                indices.append(number)
        told.append(
            {
                "name": graph.name(artifact),
                **_told(artifact.manifest),
                "inputs": indices,
                "roles": [each.role for each in inputs],
                "bytes": _size(artifact),
                **({"job": job[0]} if (job := asked.get(artifact.path.relative_to(graph.results).as_posix())) else {}),
            }
        )
    told += [_lost(each) for _, each in lost.values()]
    return {"artifacts": told}


def _told(manifest: Manifest) -> dict[str, Any]:
    run = manifest.run
    adopted = [f"{note['why']} ({note['by']}, {note['at']})" for note in run.get("adopted", ())]
    found: dict[str, Any] = {
        "stage": manifest.stage,
        "help": STAGES[manifest.stage].help if manifest.stage in STAGES else "",
        "kind": manifest.kind,
        "content": manifest.content,
        "key": manifest.key,
        "sensitive": manifest.sensitive,
        "settings": settings(manifest.spec, words=manifest.sensitive is False),
        "counts": _counts(manifest.counts),
        "files": manifest.files if manifest.stage == _RAW else None,
        "adopted": "; ".join(adopted),
        **{key: run.get(key) for key in ("seconds", "finished", "host", "gpus", "cost", "commit", "clean")},
    }
    return {key: value for key, value in found.items() if value not in (None, "", {}, [])}


def _lost(each: Input) -> dict[str, Any]:
    told = _told(each.stored) if each.stored is not None else {"content": each.content, "key": each.key}
    return {"name": "", **told, "inputs": [], "roles": [], "lost": True}


def settings(spec: Mapping[str, Any], words: bool) -> dict[str, Any]:
    """The main settings of a spec: its numbers, switches and, with ``words``, names; at most 16, the item's own first.

    No sentence is among them. Of what is sensitive not even a word is shown.
    """
    found: dict[str, Any] = {}
    for part in ("item", "common"):
        for key, value in _leaves(spec.get(part) or {}):
            if words or not isinstance(value, str):
                found.setdefault(key, value)
    return dict(list(found.items())[:_SETTINGS])


def _leaves(value: Any, path: str = "") -> Any:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not any(hidden in str(key) for hidden in _HIDDEN):
                yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, bool | int | float) or (isinstance(value, str) and _WORD.fullmatch(value)):
        yield path, value


def _counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Counts by name; those within others are joined by a slash."""
    found: dict[str, Any] = {}
    for key, value in counts.items():
        if isinstance(value, Mapping):
            found |= {f"{key}/{name}": inner for name, inner in _counts(value).items()}
        elif isinstance(value, int | float):
            found[key] = value
    return found


def _size(artifact: Artifact) -> int:
    """The bytes on the disk, those of a folder in all its files; 0 for what is not there."""
    paths = [artifact.data / name for name in artifact.manifest.files] or [artifact.data]
    return sum(path.stat().st_size for path in paths if path.is_file())
