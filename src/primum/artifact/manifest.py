"""The sidecar of an artifact: what must not differ between runs, and, under ``run``, what may."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from primum.artifact.canonical import digest
from primum.artifact.folder import MANIFEST, file_sha256, folder_files, folder_hash
from primum.artifact.table import (
    ContentHash,
    column_names,
    content_hash,
    file_hash,
    fsync,
    read_table,
    row_count,
    slices,
)
from primum.errors import PrimumError
from primum.reading import regular

SCHEMA_VERSION = 1
_CHECKSUM = "checksum"


@dataclass(frozen=True, slots=True)
class Manifest:
    """``content`` is the hash of the rows (``table``) or of the files (``folder``).

    ``spec`` is what the job was asked for and ``inputs`` the content hashes it read, by role: together they make
    ``key``, the artifact's address in the store. ``counts`` are the job's own: rows by status, drops by reason.
    ``job`` is the whole rule's spec, equal to what Snakemake plans as long as the artifact is up to date.
    ``sensitive`` marks requests for harm, responses and verdicts (:mod:`primum.dag.sensitive`). It is no part of ``key``. None is
    what was made before there was a mark, and counts as sensitive where something is about to leave.
    """

    kind: Literal["table", "folder"]
    stage: str
    spec: dict[str, Any]
    inputs: dict[str, list[str]]
    key: str
    content: str
    counts: dict[str, Any]
    job: str = ""
    files: dict[str, str] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    sensitive: bool | None = None


def artifact_key(spec: dict[str, Any], inputs: dict[str, list[str]]) -> str:
    """The store's address of what ``spec`` makes of ``inputs`` (content hashes by role)."""
    return digest({"spec": spec, "inputs": inputs, "schema": SCHEMA_VERSION})


def load_manifest(path: Path) -> Manifest:
    """Read a manifest; PrimumError with the path and the remedy if it is missing, not one, or changed since it was saved."""
    try:
        record = json.loads(regular(path).read_text(encoding="utf-8"))
        checksum = record.pop(_CHECKSUM, None)
        manifest = _of_form(Manifest(**record))
        found = digest(record)
    except FileNotFoundError:
        raise PrimumError(f"{path}: no such artifact: run the stage that makes it") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise PrimumError(f"{path}: not a manifest, or damaged: if primum made it, delete it and run again") from None
    except OSError as error:
        raise PrimumError(f"{path}: cannot be read ({error.strerror}): see to it and run again") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise PrimumError(f"{path}: schema version {manifest.schema_version}, expected {SCHEMA_VERSION}: run again")
    if checksum != found:
        raise PrimumError(f"{path}: damaged: it is not what was written there: delete it and run again")
    return manifest


def _of_form(manifest: Manifest) -> Manifest:
    """The manifest; TypeError where a field holds what no stage writes there. Somebody may have given it a fitting checksum."""
    texts = (manifest.stage, manifest.key, manifest.content, manifest.job, *manifest.files.values())
    objects = (manifest.spec, manifest.inputs, manifest.counts, manifest.run)
    if (
        manifest.kind not in ("table", "folder")
        or not all(isinstance(each, str) for each in texts)
        or not all(isinstance(each, dict) for each in objects)
        or not all(isinstance(hashes, list) for hashes in manifest.inputs.values())
        or not all(isinstance(each, str) for hashes in manifest.inputs.values() for each in hashes)
    ):
        raise TypeError
    return manifest


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write the manifest, with its own checksum, to a temporary name in the same folder, fsync it, and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # As JSON has it (tuples are lists), so that the checksum is that of what is read back.
    record = json.loads(json.dumps(asdict(manifest)))
    try:
        content = json.dumps({**record, _CHECKSUM: digest(record)}, indent=1, sort_keys=True)
        temporary.write_text(content + "\n", encoding="utf-8")
        fsync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact on the disk, named by its manifest's path."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Artifact:
        return cls(path, load_manifest(path))

    @property
    def name(self) -> str:
        """The last part of its path without suffix: a dataset's, model's or prompt set's name."""
        return self.path.parent.name if self.manifest.kind == "folder" else self.path.stem

    @property
    def data(self) -> Path:
        """The Parquet file, or the folder."""
        return data_path(self.path, self.manifest.kind)

    def table(self, columns: list[str] | None = None) -> Any:
        """The rows (a pyarrow Table), page checksums verified; the whole content hash too when all columns are read."""
        table = read_table(self.data, columns)
        if columns is None and content_hash(table) != self.manifest.content:
            raise PrimumError(f"{self.data}: is not what its manifest describes: delete it and run again")
        return table

    def column_names(self) -> list[str]:
        """The columns that the table has, by its footer alone."""
        return column_names(self.data)

    def row_count(self) -> int:
        """How many rows the table has, by its footer alone."""
        return row_count(self.data)

    def slices(self) -> Iterator[Any]:
        """The rows as :meth:`table` has them, in slices (pyarrow Tables): only one of them need be in the memory.

        Whether all of it is what the manifest describes is known at the end: PrimumError after the last slice.
        """
        state = ContentHash()
        for part in slices(self.data):
            state.update(part)
            yield part
        if state.hexdigest() != self.manifest.content:
            raise PrimumError(f"{self.data}: is not what its manifest describes: delete it and run again")

    def verify(self, weights: bool = True) -> None:
        """Check every file of a folder artifact, its safetensors only with ``weights``. PrimumError naming a changed one."""
        for name in self.manifest.files:
            if weights or not name.endswith(".safetensors"):
                self.file(name)

    def file(self, name: str) -> Path:
        """The path of one file of a folder artifact, its checksum verified."""
        path = self.data / name
        if name not in self.manifest.files:
            raise PrimumError(f"{self.data}: has no file {name!r}: it holds {', '.join(sorted(self.manifest.files))}")
        if not path.is_file() or file_sha256(path) != self.manifest.files[name]:
            raise PrimumError(f"{path}: is not what its manifest describes: delete the folder and run again")
        return path


def data_path(manifest: Path, kind: str) -> Path:
    """Where the data of a manifest lies: beside it for a table, around it for a folder."""
    return manifest.parent if kind == "folder" else manifest.with_suffix(".parquet")


def measure(data: Path, kind: str) -> tuple[str, dict[str, str]]:
    """The content hash of what is on the disk, and for a folder its files."""
    if kind == "table":
        return file_hash(data), {}
    files = folder_files(data)
    return folder_hash(files), files


__all__ = ["MANIFEST", "Artifact", "Manifest", "artifact_key", "data_path", "load_manifest", "measure", "save_manifest"]
