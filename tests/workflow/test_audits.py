"""An audit that fails, and limits that change, in a small experiment that really runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from project import copy_project
from tiny import TINY, snakemake, started, taken, write
from tiny_run import TinyRun

from primum.artifact.manifest import load_manifest
from primum.dag.dag import parquet
from primum.dag.scope import manifest_path
from primum.dag.training import AUDIT, MODEL, PACKED

CHUNKS, AUDITED, TRAINED = (manifest_path("results/tiny", each, model="sft") for each in (PACKED, AUDIT, MODEL))


def _limited(unfilled: float, learning_rate: float = 0.001) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(TINY))
    changed["models"]["sft"]["limits"] = {"unfilled": unfilled}
    changed["models"]["sft"]["optimization"]["learning_rate"] = learning_rate
    changed["evaluate"] = {"models": ["sft"], "benchmarks": ["exam"]}
    return changed


def test_no_training_begins_behind_an_audit_that_fails(tmp_path: Path, tiny_run: TinyRun) -> None:
    project = tiny_run.give(copy_project(tmp_path / "project"), "fetch", "read", "mix", "overlap", "pretrain")
    write(project, _limited(0.0))
    said = snakemake(project, fails=True)
    assert "models.sft: unfilled: " in said
    assert "above the limit of 0%: lower chunk_tokens, or raise limits.unfilled" in said
    assert "sft_model" not in started(said)
    for path in (CHUNKS, parquet(CHUNKS), AUDITED, parquet(AUDITED), TRAINED):
        assert not (project / path).exists(), path

    write(project, _limited(0.9))
    assert {"pack_chunks", "sft_model", "write_report"} <= started(snakemake(project))
    before = {path: load_manifest(project / path) for path in (CHUNKS, AUDITED, TRAINED)}

    # Another limit that holds: looked at again, and nothing is trained or measured again.
    write(project, _limited(0.8))
    said = snakemake(project)
    assert started(said) == {"pack_chunks", "aggregate_tables", "write_report"}
    assert "pack" in taken(said)
    after = {path: load_manifest(project / path) for path in before}
    assert (after[CHUNKS].content, after[TRAINED]) == (before[CHUNKS].content, before[TRAINED])
    assert after[AUDITED].spec["item"]["limits"]["unfilled"] == 0.8

    # One that does not hold, with another training to be done: the chunks are there, and it must not begin.
    write(project, _limited(0.0, learning_rate=0.002))
    assert "sft_model" not in started(snakemake(project, fails=True))
