"""The files of a crate: the workflow as it is in the clone, each artifact's manifest, and the data that may go along."""

from __future__ import annotations

import mimetypes
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Artifact, Manifest, measure
from primum.dag.dag import Job
from primum.dag.workflow import Workflow
from primum.errors import PrimumError
from primum.progress import Progress

WORKFLOW = "workflow"
# Of a clone, what a run reads, and what says who made it and how it may be used.
_TOP = (
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "Snakefile", "pyproject.toml",
)  # fmt: skip
_DATA = ("data/canaries", "data/papers", "data/policies", "data/rubrics")
_FOLDERS = ("config", "envs", "profiles", "rules", "slurm", "src", *_DATA)
_LEFT = ("__pycache__", ".egg-info")
_FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".html": "text/html",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".cff": "application/yaml",
    ".toml": "application/toml",
    ".md": "text/markdown",
    ".py": "text/x-python",
    **dict.fromkeys((".smk", ".lock", ".in", ".override", ".j2", ".jinja", ".typed"), "text/plain"),
}


@dataclass(frozen=True, slots=True)
class CrateFile:
    """A file of the crate: its ``path`` there, its ``sha256`` and its ``size`` in bytes."""

    path: str
    sha256: str
    size: int

    @property
    def id(self) -> str:
        """Its ``@id``: the path as a URI has it."""
        return quote(self.path)

    @property
    def format(self) -> str:
        """Its media type."""
        suffix = Path(self.path).suffix
        return _FORMATS.get(suffix) or mimetypes.guess_type(self.path)[0] or "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Entry:
    """An artifact of the crate, made by ``job``: its manifest's file, and the ``files`` of its data.

    ``files`` are None where the data is left out, and ``why`` then says so: it is ``sensitive``, or was ``not asked for``.
    """

    job: Job
    path: str
    manifest: Manifest
    manifest_file: CrateFile
    files: tuple[CrateFile, ...] | None
    why: str = ""

    @property
    def name(self) -> str:
        """Its path in the results folder, such as ``scores/sft/medqa``."""
        return self.path.split("/", 2)[2].removesuffix(".json").removesuffix("/manifest")

    @property
    def data(self) -> str:
        """The path of its data in the crate: a Parquet file, or a folder with a slash behind it."""
        folder = self.manifest.kind == "folder"
        return self.path.removesuffix("manifest.json") if folder else f"{self.path.removesuffix('.json')}.parquet"


def read_run(run: Workflow) -> list[tuple[Job, Artifact]]:
    """Each artifact of a finished run with its job, in the order of the DAG.

    PrimumError where one is missing, or was made by another spec than this clone plans: the crate would not be of this workflow.
    """
    found = []
    for job in run.dag.jobs:
        for path in job.paths:
            artifact = Artifact.open(Path(path))
            if artifact.manifest.job != job.spec:
                raise PrimumError(
                    f"{path}: was made by other code, settings or versions than this clone has: run the experiment again, or use "
                    "the clone that made it"
                )
            found.append((job, artifact))
    return found


def copy_workflow(root: Path, experiment: Mapping[str, Any], folder: Path) -> list[CrateFile]:
    """Copy what a run of the clone at ``root`` reads, but for raw data, into ``folder``/workflow."""
    names = {name for name in _TOP if (root / name).is_file()}
    for name in _FOLDERS:
        for path in (root / name).rglob("*"):
            if path.is_file() and not any(part.endswith(_LEFT) for part in path.relative_to(root).parts):
                names.add(path.relative_to(root).as_posix())
    # Templates, policies and task files that the experiment names beside those.
    others = {key: value for key, value in experiment.items() if key != "datasets"}
    names |= {name for name in _texts(others) if _is_own(root, name)}
    return [copy(root / name, folder, f"{WORKFLOW}/{name}") for name in sorted(names)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)


def _is_own(root: Path, name: str) -> bool:
    """Whether a text of an experiment names a file of the clone."""
    if len(name) > 255 or "\n" in name or "/" not in name or name.startswith(("/", ".")) or ".." in name:
        return False
    return (root / name).is_file()


def copy_results(
    run: Workflow, found: Sequence[tuple[Job, Artifact]], folder: Path, with_data: bool, harmful: bool
) -> list[Entry]:
    """Copy each manifest into ``folder``/results, and the data of tables and report; all other data only ``with_data``.

    What is sensitive, or not known not to be, is left out unless ``harmful``. PrimumError where data is damaged.
    """
    results, progress, entries = Path(run.dag.results), Progress("export"), []
    for done, (job, artifact) in enumerate(found, 1):
        manifest = artifact.manifest
        inside = f"results/{results.name}/{artifact.path.relative_to(results).as_posix()}"
        why = ""
        if not with_data and job.stage.target not in ("tables", "report"):
            why = "not asked for"
        elif manifest.sensitive is not False and not harmful:
            why = "sensitive"
        kept = copy(artifact.path, folder, inside)
        entry = Entry(job, inside, manifest, kept, None, why)
        if not why:
            entry = Entry(job, inside, manifest, kept, tuple(_copy_data(artifact, entry.data, folder)))
        entries.append(entry)
        progress.update("artifacts", done, len(found), done, "artifacts")
    return entries


def _copy_data(artifact: Artifact, inside: str, folder: Path) -> Iterator[CrateFile]:
    if not artifact.data.exists():
        raise PrimumError(f"{artifact.data}: missing: run the experiment again, and it comes back from the store")
    if artifact.manifest.kind == "folder":
        for name, sha256 in artifact.manifest.files.items():
            file = copy(artifact.data / name, folder, inside + name)
            if file.sha256 != sha256:
                raise _damaged(artifact.data / name)
            yield file
        return
    file = copy(artifact.data, folder, inside)
    if measure(folder / inside, "table")[0] != artifact.manifest.content:
        raise _damaged(artifact.data)
    yield file
    beside = artifact.data.with_suffix(".csv")
    if beside.is_file():
        yield copy(beside, folder, inside.removesuffix(".parquet") + ".csv")


def _damaged(path: Path) -> PrimumError:
    return PrimumError(f"{path}: is not what its manifest describes: delete it and run again")


def copy(source: Path, folder: Path, inside: str) -> CrateFile:
    """Copy one file to the path ``inside`` the crate's ``folder``. Links of the store would let the two change each other."""
    target = folder / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise PrimumError(f"{source}: missing: run the experiment again") from None
    return CrateFile(inside, file_sha256(target), target.stat().st_size)


def write(text: str, folder: Path, inside: str) -> CrateFile:
    """Write one file of the crate."""
    target = folder / inside
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return CrateFile(inside, file_sha256(target), target.stat().st_size)
