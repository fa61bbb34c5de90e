"""A crate that ``primum export --format crate`` wrote, as it is read again: every file against its checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Manifest, load_manifest
from primum.artifact.results import EXPERIMENT
from primum.errors import PrimumError
from primum.progress import Progress
from primum.reading import regular

_METADATA = "ro-crate-metadata.json"
WORKFLOW = "workflow/"


@dataclass(frozen=True, slots=True)
class Recorded:
    """An opened crate: the experiment's ``name``, its ``files`` (path -> sha256), and its ``manifests`` by path."""

    folder: Path
    name: str
    files: Mapping[str, str]
    manifests: Mapping[str, Manifest]

    def has_data(self, path: str) -> bool:
        """Whether the data of the artifact whose manifest is at ``path`` is in the crate."""
        if self.manifests[path].kind == "table":
            return f"{path.removesuffix('.json')}.parquet" in self.files
        folder = path.removesuffix("manifest.json")
        return all(folder + name in self.files for name in self.manifests[path].files)


def open_crate(folder: Path) -> Recorded:
    """Open a crate, and compare each of its files with its checksum. PrimumError naming the first that is missing or other."""
    path = folder / _METADATA
    try:
        graph = json.loads(regular(path).read_text(encoding="utf-8"))["@graph"]
        files = dict(_files(graph))
    except OSError:
        raise PrimumError(f"{path}: cannot be read: name the folder of a crate, as primum export wrote it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PrimumError(f"{path}: is not the metadata of a crate of primum: export it again") from None
    progress = Progress("replay")
    for done, (name, sha256) in enumerate(files.items(), 1):
        file = folder / name
        if file.is_symlink() or not file.is_file():
            raise PrimumError(f"{file}: is in the crate's list, and missing: copy the crate again")
        if file_sha256(file) != sha256:
            raise PrimumError(f"{file}: is not what the crate's list says: it was changed, or damaged on the way")
        progress.update("files", done, len(files), done, "files")
    expanded = [name for name in files if PurePosixPath(name).match(f"results/*/{EXPERIMENT}")]
    if len(expanded) != 1 or f"{WORKFLOW}Snakefile" not in files:
        raise PrimumError(f"{path}: holds no run of a workflow of primum: export it again")
    results = expanded[0].removesuffix(EXPERIMENT)
    about = {unquote(node["@id"]) for node in graph if "about" in node and str(node["@id"]).startswith(results)}
    manifests = {name: load_manifest(folder / name) for name in sorted(about & files.keys())}
    return Recorded(folder, results.split("/")[1], files, manifests)


def _files(graph: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for node in graph:
        kinds = node.get("@type")
        if "sha256" not in node or "File" not in ([kinds] if isinstance(kinds, str) else kinds or []):
            continue
        name = unquote(node["@id"])
        if name.startswith(("/", "#")) or ":" in name.split("/")[0] or ".." in PurePosixPath(name).parts:
            raise ValueError(name)
        found.append((name, node["sha256"]))
    return found
