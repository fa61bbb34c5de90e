"""Folder artifacts: models, raw files and reports. Their content is the name and sha256 of every file in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from primum.artifact.canonical import digest
from primum.errors import PrimumError
from primum.reading import regular

MANIFEST = "manifest.json"


def file_sha256(path: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_files(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file in ``folder`` but its manifest. Links are refused with PrimumError."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise PrimumError(f"{path}: artifacts hold no links: replace it with the file it points to")
        if path.is_file() and name != MANIFEST and not name.startswith("."):
            files[name] = file_sha256(path)
    return files


def folder_hash(files: dict[str, str]) -> str:
    """The content hash of a folder, from :func:`folder_files`."""
    return digest(files)
