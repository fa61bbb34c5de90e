"""Artifacts and jobs as a stage gets them, without a store, and an engine that says what it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from primum.artifact.folder import folder_files, folder_hash
from primum.artifact.job import Item, Job, Result
from primum.artifact.manifest import Artifact, Manifest, save_manifest
from primum.artifact.table import content_hash, write_table
from primum.engine import Report, Response
from primum.engine.protocol import Conversation
from primum.experiment.types import Sampling
from primum.progress import Progress


def table_artifact(path: Path, table: pa.Table) -> Artifact:
    """``table`` written to ``path`` (a .parquet), with its manifest in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path, {})
    return Artifact(path.with_suffix(".json"), Manifest("table", "test", {}, {}, "k", content_hash(table), {}))


def folder_artifact(folder: Path) -> Artifact:
    """``folder`` as it is, with its manifest in memory."""
    files = folder_files(folder)
    return Artifact(
        folder / "manifest.json", Manifest("folder", "test", {}, {}, "k", folder_hash(files), {}, files=files)
    )


def saved(artifact: Artifact) -> Artifact:
    """``artifact`` with its manifest on the disk, where another process finds it."""
    save_manifest(artifact.manifest, artifact.path)
    return artifact


def make_job(
    work: Path, common: Mapping[str, Any], items: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Artifact]]]
) -> Job:
    """A job of ``items``: name -> (spec, role -> artifact)."""
    made = [
        Item(name, spec, {role: [artifact] for role, artifact in inputs.items()}, name, work / "work" / name)
        for name, (spec, inputs) in items.items()
    ]
    return Job("test", common, made, Progress("test", work / "log.txt", interval=0))


def whole(result: Result) -> Result:
    """A result whose parts, if it has such, were put together, as they are when it is written."""
    if result.parts is None:
        return result
    return replace(result, table=pa.concat_tables(result.parts), parts=None)


class ScriptedEngine:
    """Answers by a function of the conversation."""

    def __init__(self, answer: Callable[[Conversation], Response]) -> None:
        self.surrogates = 0
        self.identifiers: Counter[str] = Counter()
        self.asked: list[Conversation] = []
        self._answer = answer

    def chat(
        self, conversations: Sequence[Conversation], sampling: Sampling, seed: int, report: Report
    ) -> list[Response]:
        self.asked.extend(conversations)
        report(len(conversations), 7 * len(conversations))
        return [self._answer(conversation) for conversation in conversations]
