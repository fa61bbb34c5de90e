"""What launches processes: an error of one is the error of all. And SIGTERM leaves a checkpoint."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import folder_artifact, make_job, saved, table_artifact
from test_train_sft import _chunks, _digests, _folder, _optimization, _sft

from primum.artifact.job import Devices, Job, Result
from primum.cluster.launch import Launch
from primum.errors import PrimumError
from primum.train import common


@pytest.fixture(scope="module")
def chunks() -> pa.Table:
    return _chunks(32)


def job_of(work: Path, model: Path, stage: str, table: pa.Table, **changes: Any) -> Job:
    """A job of ``stage`` (sft or dpo) whose inputs other processes can open."""
    own = {name: changes.pop(name, default) for name, default in (("lora", None), ("attention", "sdpa"))}
    held_out = changes.pop("held_out", None)
    spec = {"optimization": _optimization(**changes), "held_out": held_out, "threads": 1, "seed": 3}
    spec |= (
        {**own, "attention_reset": True, "template": None, "fold_system": False} if stage == "sft" else {"beta": 0.1}
    )
    given = saved(table_artifact(work / "given.parquet", table))
    shutil.copytree(model, work / "start", dirs_exist_ok=True)
    start = saved(folder_artifact(work / "start"))
    return make_job(work, {}, {"m": (spec, {"model": start, "packed" if stage == "sft" else "pairs": given})})


def train(work: Path, model: Path, stage: str, table: pa.Table, devices: Devices, **changes: Any) -> Result:
    """A training on ``devices``, whose launched processes' progress is in ``progress.txt``."""
    job = job_of(work, model, stage, table, **changes)
    (result,) = Launch(f"primum.train.{stage}", devices, work / "progress.txt").run(job)
    return result


def test_the_error_is_the_processes_own(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    with pytest.raises(PrimumError, match="batch=8 is no multiple of micro_batch=3 x 2 devices"):
        train(tmp_path / "1", tiny_model, "sft", chunks, Devices(1, 2), micro_batch=3)


@pytest.mark.parametrize(
    ("nodes", "processes", "said"),
    [
        (2, 3, "3 processes cannot be spread evenly over 2 nodes"),
        (2, 1, "1 processes cannot be spread evenly over 2 nodes"),
        (2, 2, "2 nodes need a Slurm allocation: run with --profile slurm"),
    ],
)
def test_what_cannot_be_launched(monkeypatch: pytest.MonkeyPatch, nodes: int, processes: int, said: str) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(PrimumError, match=said):
        Launch("primum.train.sft", Devices(nodes, processes)).command(Path("request.json"))


def test_sigterm_leaves_a_checkpoint_and_the_rest_follows(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No checkpoints were asked for: the signal alone makes one, after the step that is under way."""
    whole = _sft(tmp_path / "whole", tiny_model, chunks)
    original, handler = common.Watch.on_log, signal.getsignal(signal.SIGTERM)

    def on_log(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        original(self, args, state, control, **more)
        if state.global_step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as terminated:
        terminated.setattr(common.Watch, "on_log", on_log)
        with pytest.raises(
            PrimumError, match="stopped by SIGTERM after step 2 of 4: its checkpoint is saved, run again"
        ):
            _sft(tmp_path / "cut", tiny_model, chunks)
    assert signal.getsignal(signal.SIGTERM) == handler
    resumed = _sft(tmp_path / "cut", tiny_model, chunks)
    assert "resuming from checkpoint-2" in (tmp_path / "cut/log.txt").read_text()
    assert _digests(_folder(resumed)) == _digests(_folder(whole))
