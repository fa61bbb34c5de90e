"""A stage that asks in batches, as a rule runs it: killed while it waits, run again, and asked again at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
from batch_server import Lost, batch_server
from canary import holding, open_or_unmarked
from stage_artifacts import folder_artifact, saved, table_artifact
from tiny_llama import endpoint_json

from primum.artifact.canonical import canonical_json
from primum.artifact.manifest import Artifact
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.cli import main
from primum.engine import batch
from primum.text.rows import RequestRow, to_table

CANARY = "canary-request-77b1"
ROWS = [RequestRow(f"set/{n:03d}", "set", "general", f"{CANARY} {n}") for n in range(8)]
COMMON = {
    "engine": {"kind": "openai", "concurrency": 1},
    "sampling": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 8},
    "seed": 0,
}


def _command(root: Path, model: Path, prompts: Path, batches: bool) -> list[str]:
    spec = {"stage": "generate", "code": "c", "libraries": {}, "common": COMMON, "items": [["set", {"system": ""}]]}
    output = Asked(root / "results/generations/api/set.json", {"prompts": [prompts]}, sensitive=True)
    asked = Request(
        canonical_json(spec), [output], {"model": [model]}, "table", Store(root / "store"), frozenset(), batches
    )
    asked.save(root / "request.json")
    return ["stage", "generate", "--request", str(root / "request.json"), "--log", str(root / "results/log.txt")]


def test_a_stage_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    monkeypatch.setattr(batch, "AT_ONCE", 3)
    monkeypatch.setattr(batch, "POLL", 0.01)
    with batch_server() as provider:
        (tmp_path / "model").mkdir()
        endpoint_json(tmp_path / "model", provider.url)
        model = saved(folder_artifact(tmp_path / "model")).path
        prompts = saved(table_artifact(tmp_path / "input/set.parquet", to_table(ROWS, RequestRow))).path
        command = _command(tmp_path, model, prompts, batches=True)
        running = multiprocessing.get_context("fork").Process(target=main, args=(command,))
        provider.before = _killing(running)
        running.start()
        running.join(60)
        assert running.exitcode == -9
        # The questions that are under way are in a folder that nobody else may enter.
        kept = [path for path in holding(tmp_path, CANARY) if path.name.startswith("batch-")]
        assert [path.parent.stat().st_mode & 0o777 for path in kept] == [0o700]
        assert [each for each in open_or_unmarked(tmp_path, CANARY) if "/input/" not in each] == []
        main(command)
        answers = Artifact.open(tmp_path / "results/generations/api/set.json")
        assert [row["response"] for row in answers.table().to_pylist()] == [row.request.upper() for row in ROWS]
        assert set(provider.paid.values()) == {1}
        assert (len(provider.batches), provider.files) == (1, {})
        assert not [path for path in holding(tmp_path, CANARY) if "work" in path.parts]
        # It is the same artifact however it was asked for.
        answers.path.unlink()
        calls = provider.calls.total()
        main(_command(tmp_path, model, prompts, batches=False))
        assert Artifact.open(answers.path).manifest.key == answers.manifest.key
        assert provider.calls.total() == calls


def _killing(process: ForkProcess) -> Callable[[str], None]:
    def kill(name: str) -> None:
        if name == "GET batches one" and process.is_alive():
            process.kill()
            raise Lost

    return kill
