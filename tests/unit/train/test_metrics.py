"""What a training says of itself while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from test_train_sft import _chunks, _sft

from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.progress import Progress
from primum.train.metrics import Metrics

ROOT = Path(__file__).parents[3]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_a_step_as_the_history_has_it(tmp_path: Path, tiny_model: Path) -> None:
    result = _sft(tmp_path, tiny_model, _chunks(16), steps=3)
    assert result.folder is not None
    lines, history = (
        _lines(tmp_path / "log.metrics.jsonl"),
        pq.read_table(result.folder / "history.parquet").to_pylist(),
    )
    for name in ("step", "loss", "learning_rate", "grad_norm"):
        assert [line[name] for line in lines] == [pytest.approx(row[name]) for row in history]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["tokens_per_second"] > 0 and 0.1 < line["memory_gb"] < 24 for line in lines)
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_what_goes_on_is_appended_and_what_begins_begins_anew(tmp_path: Path) -> None:
    def step(metrics: Metrics, number: int, **logs: float) -> None:
        metrics.on_log(None, SimpleNamespace(global_step=number), None, logs=logs)

    path = tmp_path / "llama3.1-8b.metrics.jsonl"
    first, second, third = (Metrics(Progress("sft", tmp_path / "llama3.1-8b.log"), 10.0) for _ in range(3))
    step(first, 1, loss=3.0)
    step(first, 2, loss=2.0)
    step(first, 2, train_runtime=1.0)  # no step's
    step(second, 2, loss=2.0, **{"rewards/margins": 0.5})  # from a checkpoint after step 1
    assert [(line["step"], line["loss"]) for line in _lines(path)] == [(1, 3.0), (2, 2.0), (2, 2.0)]
    assert _lines(path)[-1]["rewards/margins"] == 0.5
    step(third, 1, loss=9.0, grad_norm=float("nan"))
    assert _lines(path)[0]["grad_norm"] is None
    assert [line["loss"] for line in _lines(path)] == [9.0]
    step(Metrics(Progress("sft", None, silent=True), 10.0), 1, loss=1.0)  # of several processes, all but the first
    path.unlink()
    path.mkdir()
    step(first, 3, loss=1.0)  # nowhere to write is no reason to stop


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("tensorbord", "--config report_to=tensorbord: unknown; there are: mlflow, tensorboard, trackio, wandb"),
        ("wandb", "--config report_to=wandb: is not installed: pip install wandb"),
    ],
)
def test_a_service_that_is_not_there_is_an_error_before_the_first_job(
    asked: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("primum.dag.workflow.find_spec", lambda name: None)
    with pytest.raises(PrimumError) as caught:
        open_workflow({"experiment": "demo", "report_to": asked}, ROOT)
    assert str(caught.value) == said
