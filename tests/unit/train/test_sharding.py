"""A model shared between processes: the numbers of one process, whole checkpoints, and a clear end where it is not shared."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pyarrow as pa
import pytest
import torch
from stage_artifacts import folder_artifact
from test_launch import job_of, train
from test_train_dpo import PAIRS, _reference
from test_train_sft import _chunks, _digests, _folder, _logged, _losses, _weights

from primum.artifact.job import ALONE, Devices, Job, Result
from primum.cluster.launch import Launch
from primum.errors import PrimumError
from primum.progress import Progress
from primum.train import checkpoints, loading, sharding
from primum.train.history import HISTORY

TWO = Devices(1, 2, activation_checkpointing=True)
LORA = {"r": 2, "alpha": 4, "dropout": 0.0, "modules": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def chunks() -> pa.Table:
    return _chunks(32)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> pa.Table:
    return _reference(tmp_path_factory.mktemp("pairs"), tiny_model, PAIRS).table


def assert_equal(one: Result, several: Result, start: Path, within: float = 1e-3) -> None:
    """The same losses and weights but for rounding, and a training that moved the weights by far more than that."""
    assert several.counts == one.counts
    assert _losses(several) == pytest.approx(_losses(one), abs=1e-4)
    for name in (name for name in HISTORY.names if name.startswith("held_out")):
        assert _logged(several, name) == pytest.approx(_logged(one, name), abs=1e-4), name
    before, alone, shared = _weights(start), _weights(_folder(one)), _weights(_folder(several))
    assert list(alone) == list(shared)
    moved = max((alone[name] - before[name]).abs().max().item() for name in alone)
    assert moved > 1e-3
    for name, value in alone.items():
        assert value.dtype == shared[name].dtype
        assert (value.float() - shared[name].float()).abs().mean() < within * moved, name


@pytest.mark.parametrize("kind", ["sft", "lora", "dpo"])
def test_two_processes_train_as_one_does(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, pairs: pa.Table, kind: str
) -> None:
    """The two hold half of the model each, and compute activations again in the backward pass.

    They are asked about an odd number of held-out rows, so that one of them has nothing to do at last.
    """
    stage, table = ("dpo", pairs) if kind == "dpo" else ("sft", chunks)
    changes: dict[str, Any] = {"micro_batch": 4, "held_out": {"take": 5, "eval_steps": 3}}
    changes |= {"lora": LORA, "learning_rate": 0.01} if kind == "lora" else {}
    changes |= {"optimizer": "rmsprop"} if kind == "dpo" else {}
    one = train(tmp_path / "1", tiny_model, stage, table, ALONE, **changes)
    two = train(tmp_path / "2", tiny_model, stage, table, TWO, **changes)
    assert_equal(one, two, tiny_model)
    assert two.cost == {"nodes": 1, "processes": 2, "activation_checkpointing": True, "cpu_offload": False}


def test_bfloat16_is_the_same_whatever_the_number_of_processes(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table
) -> None:
    """One process has weights in float32, too, computes in bfloat16 and sums in float32; it is launched for that."""
    changes: dict[str, Any] = {"micro_batch": 4, "dtype": "bfloat16", "attention": "varlen"}
    one = train(tmp_path / "1", tiny_model, "sft", chunks, ALONE, **changes)
    two = train(tmp_path / "2", tiny_model, "sft", chunks, TWO, **changes)
    assert_equal(one, two, tiny_model, within=1e-2)
    assert {str(value.dtype) for value in _weights(_folder(one)).values()} == {"torch.bfloat16"}
    exact = train(tmp_path / "3", tiny_model, "sft", chunks, ALONE, micro_batch=4)
    assert _losses(one) != _losses(exact)
    assert _losses(one) == pytest.approx(_losses(exact), abs=0.1)


def _stop(work: Path, launch: Launch, job: Job, how: signal.Signals) -> tuple[Path, int]:
    """Begin ``job`` and stop it at a moment of its own choosing, behind a new checkpoint: (its request, its status)."""
    there = "work/m/checkpoints/checkpoint-*/complete-1.json"
    before = set(work.glob(there))
    request = launch.prepare(job, job.items)
    process = subprocess.Popen(launch.command(request), stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not set(work.glob(there)) - before:
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.02)
    time.sleep(random.uniform(0, 0.5))
    if how == signal.SIGKILL:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        started = psutil.Process(process.pid)
        for each in (started, *started.children(recursive=True)):
            each.terminate()
            time.sleep(0.02)
    process.communicate(timeout=120)
    assert process.returncode != 0, "it was over before it was stopped"
    return request, process.returncode


def test_a_shared_training_that_is_stopped_ends_in_the_same_bytes(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table
) -> None:
    """By SIGTERM all stop after the same step; then, gone on, by SIGKILL between two checkpoints."""
    whole = train(tmp_path / "whole", tiny_model, "sft", chunks, TWO, steps=200)
    work, asked = tmp_path / "cut", {"steps": 200, "checkpoint_steps": 20}
    job, launch = job_of(work, tiny_model, "sft", chunks, **asked), Launch("primum.train.sft", TWO, work / "said.txt")
    request, ended = _stop(work, launch, job, signal.SIGTERM)
    with pytest.raises(PrimumError, match="its checkpoint is saved, run again"):
        launch.result(job.items[0], request, ended)
    saved = max(int(path.name.split("-")[1]) for path in work.glob("work/m/checkpoints/checkpoint-*"))
    _stop(work, launch, job, signal.SIGKILL)
    assert f"resuming from checkpoint-{saved}" in (work / "said.txt").read_text()
    resumed = train(work, tiny_model, "sft", chunks, TWO, **asked)
    assert "resuming from checkpoint-" in (work / "progress.txt").read_text()
    assert _digests(_folder(resumed)) == _digests(_folder(whole))


def test_a_checkpoint_of_two_processes(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    """Each vouches for its own files; four processes go on from it, one with a whole model says that it cannot."""
    two = train(tmp_path, tiny_model, "sft", chunks, TWO, micro_batch=2, checkpoint_steps=2)
    work = tmp_path / "work/m"
    newest = work / "checkpoints/checkpoint-4"
    marks = [json.loads((newest / f"complete-{number}.json").read_text()) for number in range(2)]
    assert [mark["processes"] for mark in marks] == [2, 2]
    shards = {f"optimizer_0/__{number}_0.distcp" for number in range(2)}
    assert [sorted(shards & set(mark["files"])) for mark in marks] == [[name] for name in sorted(shards)]
    vouched = [name for mark in marks for name in mark["files"]]
    assert len(vouched) == len(set(vouched))
    there = {path.relative_to(newest).as_posix() for path in newest.rglob("*") if path.is_file()}
    assert there == {*vouched, "complete-0.json", "complete-1.json"}
    said = (tmp_path / "progress.txt").read_text()
    assert "[test] checkpoint-4 is saved: " in said
    assert " GB a process, 2 of them, " in said
    with pytest.raises(
        PrimumError, match=r"checkpoint-4 was saved by 2 processes that share the model, and one process "
    ):
        train(tmp_path, tiny_model, "sft", chunks, ALONE, checkpoint_steps=2)

    half = newest / "optimizer_0/__1_0.distcp"
    half.write_bytes(half.read_bytes()[:-100])
    shutil.rmtree(_folder(two).with_name("two"), ignore_errors=True)
    _folder(two).rename(_folder(two).with_name("two"))
    four = train(tmp_path, tiny_model, "sft", chunks, Devices(1, 4), micro_batch=2, checkpoint_steps=2)
    said = (tmp_path / "progress.txt").read_text()
    assert "checkpoint-4 is not whole: removed" in said
    assert "resuming from checkpoint-2, saved by 2 processes" in said
    before = Result(two.item, folder=_folder(two).with_name("two"), counts=two.counts)
    assert_equal(before, four, tiny_model)


# Without other processes ----------------------------------------------------------------------------------------------


def test_a_mark_of_a_process_that_is_missing_makes_a_checkpoint_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "checkpoints/checkpoint-7"
    (folder / "model").mkdir(parents=True)
    for name in ("model/__0_0.distcp", "model/__1_0.distcp", "model/.metadata", "rng_state_1.pth", "scheduler.pt"):
        (folder / name).write_bytes(name.encode())
    progress = Progress("test", tmp_path / "log.txt")
    monkeypatch.setattr(checkpoints, "world_size", lambda: 2)
    sizes = []
    for number in range(2):
        monkeypatch.setattr(checkpoints, "rank", lambda number=number: number)
        sizes.append(checkpoints.vouch(folder))
    assert sizes == [len("model/__0_0.distcp" + "model/.metadata" + "scheduler.pt"), len("model/__1_0.distcp") + 15]
    monkeypatch.setattr(checkpoints, "rank", lambda: 0)
    assert checkpoints.whole_checkpoint(tmp_path, progress) == str(folder)
    (folder / "complete-1.json").unlink()
    assert checkpoints.whole_checkpoint(tmp_path, progress) is None
    assert not folder.exists()


def test_a_training_that_asked_for_sharding_and_did_not_get_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = SimpleNamespace(param_groups=[{"params": list(model.parameters())}])
    check = sharding.CheckSharded()
    check.on_train_begin(None, None, None, model=model, optimizer=optimizer)
    monkeypatch.setattr(sharding, "is_launched", lambda: True)
    with pytest.raises(PrimumError, match="weight is not shared between 1 processes"):
        check.on_train_begin(None, None, None, model=model, optimizer=optimizer)
    monkeypatch.setattr(sharding, "DTensor", torch.nn.Parameter)
    monkeypatch.setattr(torch.nn.Parameter, "device_mesh", SimpleNamespace(size=lambda: 1), raising=False)
    check.on_train_begin(None, None, None, model=model, optimizer=optimizer)
    # What weights without an address of their own lead to: one of them is stepped in place of the others.
    optimizer.param_groups[0]["params"][0] = optimizer.param_groups[0]["params"][1]
    with pytest.raises(PrimumError, match="the optimizer does not hold the shared weights"):
        check.on_train_begin(None, None, None, model=model, optimizer=optimizer)


def test_only_the_first_process_reads_the_weights(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others have the same names and shapes, each weight at an address of its own, and the buffers."""
    source = folder_artifact(tiny_model)
    first = loading.load_trainable(source)
    monkeypatch.setattr(loading, "rank", lambda: 1)
    monkeypatch.setattr(type(source), "verify", lambda self: pytest.fail("read"))
    other = loading.load_trainable(source)
    weights = dict(other.named_parameters())
    assert {name: each.shape for name, each in weights.items()} == {n: p.shape for n, p in first.named_parameters()}
    assert {each.dtype for each in weights.values()} == {torch.float32}
    assert len({each.data_ptr() for each in weights.values()} - {0}) == len(weights)
    for name, buffer in first.named_buffers():
        assert torch.equal(buffer, dict(other.named_buffers())[name])


def test_computing_activations_again_changes_no_bit(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    kept, again = (
        train(tmp_path / str(flag), tiny_model, "sft", chunks, Devices(activation_checkpointing=flag), steps=2)
        for flag in (False, True)
    )
    assert _digests(_folder(kept)) == _digests(_folder(again))
