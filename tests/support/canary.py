"""Where a text lies after a run: in files that only their owner may read, and that say what they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from primum.artifact.manifest import load_manifest

# What is under way has no manifest yet: a journal, what somebody else's error said.
UNDER_WAY = ("work", "tmp")


def holding(root: Path, text: str) -> list[Path]:
    """Every file under ``root``, hidden ones too, that holds ``text``: as it is, or in a cell of a Parquet file."""
    return [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink() and _holds(path, text)]


def _holds(path: Path, text: str) -> bool:
    content = path.read_bytes()
    if content.startswith(b"PAR1") and content.endswith(b"PAR1"):
        # Nested columns have their text in the rows' own words.
        return any(text in str(row) for row in pq.read_table(path).to_pylist())
    return text.encode() in content


def open_or_unmarked(root: Path, text: str) -> list[str]:
    """Those of :func:`holding` that another user could read, or that are neither marked nor under way, and why."""
    wrong = []
    for path in holding(root, text):
        around = [each for each in path.parents if each.is_relative_to(root) and each != root]
        readable = path.stat().st_mode & 0o077 and all(each.stat().st_mode & 0o011 for each in around)
        manifests = [path.with_suffix(".json"), *(each / "manifest.json" for each in path.parents)]
        manifest = next((each for each in manifests if each.is_file()), None)
        marked = manifest is not None and load_manifest(manifest).sensitive is True
        if readable or not (marked or set(UNDER_WAY) & set(path.relative_to(root).parts)):
            wrong.append(f"{path}: {'open to others' if readable else 'not marked'}")
    return wrong
