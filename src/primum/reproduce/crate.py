"""A crate that ``primum export --format crate`` wrote, as it is read again: every file against its checksum."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, measure
from primum.artifact.results import EXPERIMENT
from primum.artifact.table import read_table
from primum.errors import PrimumError
from primum.progress import Progress
from primum.reading import regular
from primum.tables.csv import write_csv

_METADATA = "ro-crate-metadata.json"
WORKFLOW = "workflow/"
_SOFTWARE = "sbom.cdx.json"


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
    """Open a crate, and compare each of its files with its checksum, and with what else in the crate speaks of it.

    PrimumError naming the first that is missing or other.
    """
    path = folder / _METADATA
    try:
        graph = json.loads(regular(path).read_text(encoding="utf-8"))["@graph"]
        files = dict(_files(graph))
        about = {unquote(str(node["@id"])) for node in graph if "about" in node}
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
    named = sorted(name for name in about & files.keys() if name.startswith(results))
    manifests = {name: load_manifest(folder / name) for name in named}
    # The list may have been made anew for a file that was changed: what is in the crate is held against each other, too.
    for name, manifest in manifests.items():
        _check_artifact(folder, name, manifest, files)
    _check_software(folder, files)
    return Recorded(folder, results.split("/")[1], files, manifests)


def _check_artifact(folder: Path, name: str, manifest: Manifest, files: Mapping[str, str]) -> None:
    """PrimumError where a manifest does not fit itself, or its data, or the CSV file of a table, does not fit the manifest."""
    path = folder / name
    try:
        has_job = isinstance(json.loads(manifest.job)["libraries"], dict)
    except (ValueError, KeyError, TypeError):
        has_job = False
    if not has_job or artifact_key(manifest.spec, manifest.inputs) != manifest.key:
        raise PrimumError(
            f"{path}: its key or its job is not that of its spec: it was changed: ask for the crate again"
        )
    changed = "is not what its manifest describes: it was changed: ask for the crate again"
    if manifest.kind == "folder":
        for file, sha256 in manifest.files.items():
            if files.get(around := name.removesuffix("manifest.json") + file, sha256) != sha256:
                raise PrimumError(f"{folder / around}: {changed}")
        return
    data = path.with_suffix(".parquet")
    if f"{name.removesuffix('.json')}.parquet" not in files:
        return
    if measure(data, "table")[0] != manifest.content:
        raise PrimumError(f"{data}: {changed}")
    if manifest.stage == "tables" and f"{name.removesuffix('.json')}.csv" in files:
        with tempfile.TemporaryDirectory() as place:
            write_csv(read_table(data), fresh := Path(place, "fresh.csv"))
            if fresh.read_bytes() != path.with_suffix(".csv").read_bytes():
                raise PrimumError(f"{path.with_suffix('.csv')}: is not what {data.name} gives: ask for the crate again")


def _check_software(folder: Path, files: Mapping[str, str]) -> None:
    """PrimumError where the list of software is of another lock than the workflow's."""
    from primum.export.sbom import read_lock

    if _SOFTWARE not in files:
        return
    path = folder / _SOFTWARE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        said = {each["name"]: each["value"] for each in told["metadata"]["properties"]}
        lock = f"{WORKFLOW}envs/{said['primum:lock']}"
        is_of_it = said["primum:lock-sha256"] == files.get(lock)
        named = {each["name"]: each["version"] for each in told["components"] if each["type"] == "library"}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise PrimumError(f"{path}: is no list of software of primum: ask for the crate again") from None
    if not is_of_it or named != read_lock(folder / lock)[0]:
        raise PrimumError(f"{path}: names other software than {lock}: ask for the crate again")


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
