"""Every artifact against its manifest: rows, pages, files, counts, what a Parquet file says of itself, and who may read it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from primum.artifact.canonical import canonical_json
from primum.artifact.folder import MANIFEST, folder_hash
from primum.artifact.graph import is_of_artifacts
from primum.artifact.manifest import Manifest, artifact_key, data_path
from primum.artifact.store import table_file
from primum.verify.finding import AGAIN, Finding, Seen
from primum.verify.reading import Inode, Reading, Readings, wanted
from primum.verify.study import Study

_OTHERS = 0o077
_STRAY = ("has no manifest: no job made it", "delete it, or keep it elsewhere")
# The name of a file that is being put into place.
_TEMPORARY = re.compile(r"\..*\.\d+")
# Stage -> which of its counts is the number of rows. Others count what was left out as well, or the rows of something else.
# Of what is read, but for the rows themselves, it is all of them: drops by reason, and the origins of rows and drops.
_ROWS = {
    **dict.fromkeys(("read", "questions", "answer", "generate", "respond", "sample", "judge", "agreement"), "rows"),
    **dict.fromkeys(("grade", "assess", "verdicts", "tables"), "rows"),
    **dict.fromkeys(("overlap", "pair-overlap", "score", "parse"), "items"),
    **dict.fromkeys(("pairs", "pair", "contrast"), "kept"),
}
# Of these each status that rows have is counted under its name.
_STATUSES = frozenset({"answer", "generate", "respond", "judge", "agreement", "grade", "assess"})


def check_artifacts(study: Study, readings: Readings) -> Iterator[Seen]:
    """All artifacts of a results folder, then the store's entries of the same keys."""
    for path, wrong in study.graph.unreadable.items():
        yield Finding(path, *_said(path, wrong))
    told: set[Inode] = set()
    for artifact in study.graph.artifacts:
        _, stored = study.entries.get(artifact.manifest.key, (None, None))
        yield from _check_data(artifact.manifest, artifact.data, readings, told, stored)
        yield from _check_mode(artifact.manifest, artifact.data)
    yield from _check_links(study)
    yield from _check_strays(study)
    for entry, manifest in study.entries.values():
        if manifest is None:
            yield Finding(entry / MANIFEST, "is damaged, or of another key", "delete the entry and run snakemake again")
            continue
        data = table_file(entry) if manifest.kind == "table" else entry
        # A hard link of what was found in the results is the same damage.
        yield from _check_data(manifest, data, readings, told)
        yield from _check_mode(manifest, data)


def _said(path: Path, error: str) -> tuple[str, str]:
    """What is wrong and the remedy, of an error of one line about ``path``."""
    wrong, _, remedy = error.removeprefix(f"{path}: ").rpartition(": ")
    return wrong, remedy


def _check_data(
    manifest: Manifest, data: Path, readings: Readings, told: set[Inode], stored: Manifest | None = None
) -> Iterator[Finding]:
    """``told`` has the files that were found wrong already, under another name; ``stored`` is the store's manifest.

    A table that was lost and came back from there is of those bytes.
    """
    if manifest.kind == "folder":
        found = list(_folder_faults(manifest, data, readings))
    else:
        found = [(data, *fault) for fault in table_faults(manifest, readings.of(data), stored)]
    before = frozenset(told)
    for path, wrong, remedy in found:
        inode = readings.inodes.get(path)
        if inode is None or inode not in before:
            yield Finding(path, wrong, remedy)
        if inode is not None:
            told.add(inode)


def table_faults(
    manifest: Manifest, reading: Reading | None, stored: Manifest | None = None
) -> Iterator[tuple[str, str]]:
    """What is wrong, and the remedy, of a table that was read, or is not there (None)."""
    if reading is None:
        yield "is missing, or no file", "run snakemake again, which has it from the store or makes it"
        return
    if reading.error:
        yield reading.error, AGAIN
        return
    if reading.content != manifest.content:
        yield "its rows are not those that its manifest describes", AGAIN
        return
    written = {each.run.get("sha256", reading.sha256) for each in (manifest, stored) if each is not None}
    if reading.sha256 not in written:
        yield "its rows are right, and other bytes of it are not those that were written", AGAIN
    if not _is_footer_of(manifest, reading.footer):
        yield "its footer names another spec or key than its manifest", AGAIN
    counted = _counted(manifest, reading.rows)
    if counted != reading.rows:
        yield f"has {reading.rows:,} rows, its manifest counts {counted:,}", AGAIN
    if manifest.stage in _STATUSES:
        for status, rows in sorted(reading.statuses.items()):
            if manifest.counts.get(status, 0) != rows:
                yield f"has {rows:,} rows of one status, its manifest counts {manifest.counts.get(status, 0)}", AGAIN
                break


def _counted(manifest: Manifest, there: int) -> int:
    """The rows that a manifest counts; as many as are ``there`` where it counts something else."""
    if manifest.stage == "read" and manifest.spec["item"].get("output") in ("drops", "origins"):
        return sum(manifest.counts.values())
    return int(manifest.counts.get(_ROWS.get(manifest.stage, ""), there))


def _is_footer_of(manifest: Manifest, footer: Mapping[str, str]) -> bool:
    """Whether a table's footer is its manifest's, or that of the artifact which was adopted under this key."""
    if footer.get("schema_version") != str(manifest.schema_version):
        return False
    spec, key = footer.get("spec", ""), footer.get("key", "")
    if key == manifest.key:
        return spec == canonical_json(manifest.spec)
    notes = manifest.run.get("adopted") or ()
    try:
        former = json.loads(spec)
        same = all(former[part] == manifest.spec[part] for part in ("stage", "common", "item"))
        return same and key in {note["key"] for note in notes} and artifact_key(former, manifest.inputs) == key
    except (ValueError, KeyError, TypeError):
        return False


def _folder_faults(manifest: Manifest, data: Path, readings: Readings) -> Iterator[tuple[Path, str, str]]:
    again = "delete the folder and run snakemake again"
    if folder_hash(manifest.files) != manifest.content:
        yield data / MANIFEST, "its content hash is not that of the files it lists", again
    for name, sha256 in manifest.files.items():
        reading = readings.of(data / name)
        if reading is None:
            yield data / name, "is missing, or no file", again
        elif reading.error or reading.content != sha256:
            yield data / name, reading.error or "is not what its manifest describes", again
    for path in sorted(data.rglob("*")) if data.is_dir() else ():
        name = path.relative_to(data).as_posix()
        if (path.is_dir() and not path.is_symlink()) or name in manifest.files or name == MANIFEST:
            continue
        if path.is_symlink():
            yield path, "is a link, and artifacts hold none", "delete it"
        elif not _TEMPORARY.fullmatch(path.name):
            yield path, "is no file of its artifact", "delete it, or keep it elsewhere"
    if manifest.stage == "fetch" and manifest.counts.get("files", len(manifest.files)) != len(manifest.files):
        yield data / MANIFEST, f"lists {len(manifest.files):,} files, and counts {manifest.counts['files']:,}", again


def _check_mode(manifest: Manifest, data: Path) -> Iterator[Finding]:
    """What is sensitive is its owner's alone."""
    if manifest.sensitive is not True:
        return
    places = [data, *data.rglob("*")] if manifest.kind == "folder" else [data]
    for path in places:
        if path.exists() and not path.is_symlink() and path.stat().st_mode & _OTHERS:
            yield Finding(path, "is sensitive, and others than its owner may read it", f"chmod go-rwx {path}")


def _check_links(study: Study) -> Iterator[Seen]:
    """Links in the place of a manifest or of a folder of artifacts. Those of data are told with the artifact."""
    whole = {artifact.data for artifact in study.graph.artifacts if artifact.manifest.kind == "folder"}
    for folder, folders, files in os.walk(study.results):
        here = Path(folder)
        if here in whole or here == study.results:
            folders[:] = [] if here in whole else [each for each in folders if is_of_artifacts(each)]
        for name in sorted([*folders, *(each for each in files if each.endswith(".json"))]):
            path = here / name
            if path.is_symlink() and here not in whole and not name.startswith("."):
                yield Finding(path, "is a link, and artifacts hold none", "put what it leads to in its place")


def _check_strays(study: Study) -> Iterator[Seen]:
    """Data without a manifest: nothing says what it is, and no job made it."""
    known = {artifact.data for artifact in study.graph.artifacts}
    known |= {data_path(path, "table") for path in study.graph.unreadable}
    folders = {artifact.data for artifact in study.graph.artifacts if artifact.manifest.kind == "folder"}
    folders |= {path.parent for path in study.graph.unreadable if path.name == MANIFEST}
    for suffix in ("*.parquet", "*.safetensors"):
        for path in sorted(study.results.rglob(suffix)):
            hidden = any(part.startswith(".") for part in path.relative_to(study.results).parts)
            if path not in known and not hidden and folders.isdisjoint(path.parents):
                yield Finding(path, *_STRAY)
    for path in sorted((study.results / "tables").glob("*.csv")):
        if path.with_suffix(".parquet") not in known:
            yield Finding(path, *_STRAY)


def files_of(study: Study) -> Iterator[tuple[Path, bool]]:
    """All files to be read of a results folder and of its store, and whether each is a table."""
    for artifact in study.graph.artifacts:
        yield from wanted(artifact.data, artifact.manifest.kind)
    for entry, manifest in study.entries.values():
        if manifest is not None:
            yield from wanted(table_file(entry) if manifest.kind == "table" else entry, manifest.kind)
