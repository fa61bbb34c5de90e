"""Tables and report made again from what they were made of: they are pure and fast, and no model runs.

That is done where the code and the versions are those that they were made by. ``recount.py`` counts without that code.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

import primum
from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digest
from primum.artifact.folder import file_sha256
from primum.artifact.job import Item, Job, Result
from primum.artifact.libraries import check_libraries
from primum.artifact.manifest import Artifact
from primum.artifact.table import content_hash
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.progress import Progress
from primum.tables.cells import NAMED
from primum.verify.finding import RUN, Finding, Seen, Unchecked
from primum.verify.reading import BROKEN
from primum.verify.study import Study

_SOURCE = Path(primum.__file__).parents[1]
_FIRST = "see to the inputs first, then delete it and run snakemake again"
Run = Callable[[Job], Iterator[Result]]


def check_tables(study: Study) -> Iterator[Seen]:
    """Every table against the one that its inputs make."""
    from primum.tables.stage import run

    jobs: dict[str, list[Artifact]] = {}
    for artifact in _made_by(study, "tables"):
        shared = {part: artifact.manifest.spec[part] for part in ("code", "libraries", "common")}
        jobs.setdefault(canonical_json([shared, artifact.manifest.inputs]), []).append(artifact)
    for artifacts in jobs.values():
        yield from _remake(study, artifacts, run, _compare_table)


def check_report(study: Study) -> Iterator[Seen]:
    """The report against the one that its tables make."""
    from primum.report.stage import run

    for artifact in _made_by(study, "report"):
        yield from _remake(study, [artifact], run, _compare_folder)


def _made_by(study: Study, stage: str) -> list[Artifact]:
    return [artifact for artifact in study.graph.artifacts if artifact.manifest.stage == stage]


def _remake(
    study: Study, artifacts: list[Artifact], run: Run, compare: Callable[[Artifact, Result], Iterator[Finding]]
) -> Iterator[Seen]:
    """Make ``artifacts`` of one job again, and compare each."""
    first = artifacts[0].manifest
    kind = STAGES[first.stage].kind
    why = _other_code(first.stage, first.spec)
    if why:
        yield Unchecked(f"{first.stage}: made again of their inputs", why, len(artifacts))
        return
    with tempfile.TemporaryDirectory(prefix="primum-verify-") as work:
        try:
            inputs = study.inputs(artifacts[0])
        except PrimumError as error:
            # It is told where it is missing, and not again by all that is made of it.
            yield Unchecked(f"{first.stage}: made again of their inputs", str(error), len(artifacts))
            return
        items = [
            Item(artifact.name, artifact.manifest.spec["item"], inputs, artifact.manifest.key, Path(work, str(index)))
            for index, artifact in enumerate(artifacts)
        ]
        made = run(Job(first.stage, first.spec["common"], items, Progress("verify", silent=True)))
        for artifact in artifacts:
            try:
                yield from compare(artifact, next(made))
            except (*BROKEN, StopIteration) as error:
                # Its message may hold a value of a row.
                said = str(error) if isinstance(error, PrimumError) else type(error).__name__
                path = artifact.path if kind == "folder" else artifact.data
                yield Finding(path, f"cannot be made again of its inputs ({said})", _FIRST)
                return


def _other_code(stage: str, spec: Mapping[str, Any]) -> str:
    """Why it cannot be compared, if it is so."""
    if code_digest(STAGES[stage].module, _SOURCE) != spec["code"]:
        return "made by other code"
    try:
        check_libraries(spec["libraries"])
    except PrimumError as error:
        return f"made with other versions ({str(error).partition(':')[0]})"
    return ""


def _compare_table(artifact: Artifact, result: Result) -> Iterator[Finding]:
    if result.table is None or content_hash(result.table) == artifact.manifest.content:
        return
    yield Finding(
        artifact.data, _difference(artifact, result.table), "delete it and its manifest, and run snakemake again"
    )


def _difference(artifact: Artifact, made: pa.Table) -> str:
    """The first cell that differs, as numbers and names, and how many do."""
    try:
        there = {row["id"]: row for row in artifact.table().to_pylist()}
    except BROKEN:
        return "is not what its inputs make"
    rows = {row["id"]: row for row in made.to_pylist()}
    if there.keys() != rows.keys() or not rows:
        others = len(there.keys() - rows.keys())
        return f"has {len(there):,} rows, {others:,} of which its inputs do not make: they make {len(rows):,}"
    cells = [
        (rows[id_], column)
        for id_ in rows
        for column in made.column_names
        if there[id_].get(column) != rows[id_][column]
    ]
    if not cells:
        return "has other columns than its inputs make"
    row, column = cells[0]
    who = "/".join(str(row[name]) for name in NAMED.get(artifact.name, ("id",)) if row.get(name) not in (None, ""))
    said, means = there[row["id"]].get(column), row[column]
    more = f", and {len(cells) - 1:,} more cells differ" if len(cells) > 1 else ""
    return f"{who}: its {column} is {said}, its inputs make {means}{more}"


def _compare_folder(artifact: Artifact, result: Result) -> Iterator[Finding]:
    folder = result.folder
    if folder is None:
        return
    made = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(made.keys() | artifact.manifest.files.keys()):
        path = artifact.data / name
        if name not in made or not path.is_file():
            yield Finding(path, "is not what its tables make: it is missing, or not one of its files", RUN)
        elif file_sha256(path) != file_sha256(made[name]):
            yield Finding(path, "is not what its tables make", "delete the folder and run snakemake again")
