"""Supervised fine-tuning: equivalences, the same bits again, resuming, and guards."""

from __future__ import annotations

import hashlib
import math
import random
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from shipped import ROOT
from stage_artifacts import folder_artifact, make_job, table_artifact
from transformers import TrainerState

from primum.artifact.job import Result
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.experiment.models import LoRA, Optimization, SFTModel
from primum.progress import Progress
from primum.text.packing import IGNORED, PACKED, Sample, pack
from primum.train import common
from primum.train.common import Watch, arguments
from primum.train.sft import run


def _chunks(number: int, length: int = 24) -> pa.Table:
    draw = random.Random(5)
    samples = []
    for _ in range(number * 3):
        ids = np.array([draw.randrange(5, 300) for _ in range(draw.randint(4, length // 2))], dtype=np.int32)
        samples.append(Sample(ids, np.where(np.arange(len(ids)) < len(ids) // 3, IGNORED, ids).astype(np.int32)))
    return pack(samples, length, 0).slice(0, number)


def _optimization(**changes: Any) -> dict[str, Any]:
    settings = {"learning_rate": 1e-3, "batch": 8, "steps": 4, **changes}
    return Optimization.model_validate(settings).model_dump(mode="json")


def _sft(
    work: Path, model: Path, chunks: pa.Table, lora: dict[str, Any] | None = None, reset: bool = True, **changes: Any
) -> Result:
    spec = {
        "held_out": changes.pop("held_out", None),
        "attention": changes.pop("attention", "sdpa"),
        "optimization": _optimization(**changes),
        "attention_reset": reset,
        "lora": None if lora is None else LoRA.model_validate(lora).model_dump(mode="json"),
        "template": None,
        "fold_system": False,
        "threads": 1,
        "seed": 3,
    }
    packed = table_artifact(work / "packed.parquet", chunks)
    job = make_job(work, {}, {"m": (spec, {"model": folder_artifact(model), "packed": packed})})
    return next(iter(run(job)))


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _digests(folder: Path) -> dict[str, str]:
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    assert {"model.safetensors", "history.parquet", "config.json", "tokenizer.json"} <= set(files)
    return files


def _folder(result: Result) -> Path:
    assert result.folder is not None
    return result.folder


def _logged(result: Result, column: str) -> dict[int, float]:
    """A column of the history, by the steps at which it has a value."""
    rows = pq.read_table(_folder(result) / "history.parquet").to_pylist()
    return {row["step"]: row[column] for row in rows if row[column] is not None}


def _losses(result: Result) -> list[float]:
    return list(_logged(result, "loss").values())


@pytest.fixture(scope="module")
def chunks() -> pa.Table:
    return _chunks(32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, chunks: pa.Table) -> Path:
    """Four steps of eight chunks, never interrupted."""
    return _folder(_sft(tmp_path_factory.mktemp("sft"), tiny_model, chunks))


def test_a_batch_is_the_same_at_once_and_accumulated(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, trained: Path
) -> None:
    import torch

    start = _weights(tiny_model)
    at_once = _weights(trained)
    accumulated = _sft(tmp_path, tiny_model, chunks, micro_batch=1)
    moved = max((at_once[name] - start[name]).abs().max().item() for name in at_once)
    assert moved > 1e-3, "training did something"
    for name, value in _weights(_folder(accumulated)).items():
        # Adam divides by the gradient's size, so a rounding error of a tiny gradient can move a weight visibly.
        assert (value - at_once[name]).abs().mean() < 1e-5, name
        torch.testing.assert_close(value, at_once[name], atol=moved / 10, rtol=0)
    expected = pq.read_table(trained / "history.parquet").column("loss").to_pylist()
    assert _losses(accumulated) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("reset", [True, False])
def test_the_first_loss_is_that_of_the_samples(tmp_path: Path, tiny_model: Path, chunks: pa.Table, reset: bool) -> None:
    """One step over all chunks: the mean over labelled tokens, each sample alone, or each chunk as one sequence."""
    import torch
    from transformers import AutoModelForCausalLM

    few = chunks.slice(0, 6)
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    total, tokens = 0.0, 0
    for chunk in few.to_pylist():
        starts = {sum(chunk["seq_lengths"][:i]) for i in range(len(chunk["seq_lengths"]))}
        bounds = sorted(starts | {len(chunk["input_ids"])}) if reset else [0, len(chunk["input_ids"])]
        for first, last in pairwise(bounds):
            with torch.inference_mode():
                logprobs = model(torch.tensor([chunk["input_ids"][first:last]])).logits[0].log_softmax(-1)
            for place in range(first + 1, last):
                if chunk["labels"][place] != IGNORED and place not in starts:
                    total -= logprobs[place - first - 1, chunk["labels"][place]].item()
                    tokens += 1
    result = _sft(tmp_path, tiny_model, few, reset=reset, batch=6, steps=1, micro_batch=2)
    assert _losses(result) == [pytest.approx(total / tokens, abs=1e-3)]


def test_the_loss_of_a_model_that_caps_its_logits_is_its_own(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table
) -> None:
    """Gemma 2 squeezes its logits between -2 and 2 here, so no token is less likely than e^-4 / 300."""
    import torch
    from transformers import Gemma2Config, Gemma2ForCausalLM

    folder = tmp_path / "gemma"
    shutil.copytree(tiny_model, folder)
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=309, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, final_logit_softcapping=2.0, initializer_range=2.0, pad_token_id=1,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(folder)
    loss = _losses(_sft(tmp_path, folder, chunks.slice(0, 6), batch=6, steps=1))
    assert 0 < loss[0] < math.log(309) + 4


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, tiny_model: Path, chunks: pa.Table, trained: Path) -> None:
    assert _digests(_folder(_sft(tmp_path, tiny_model, chunks))) == _digests(trained)


def _stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A job that is killed once step ``step`` is done and its checkpoint, if any, is written."""
    original = common.Watch.on_step_begin

    def on_step_begin(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == step:
            raise KeyboardInterrupt
        original(self, args, state, control, **more)

    monkeypatch.setattr(common.Watch, "on_step_begin", on_step_begin)


def _remove_rng(checkpoint: Path) -> None:
    (checkpoint / "rng_state.pth").unlink()


def _truncate_optimizer(checkpoint: Path) -> None:
    data = (checkpoint / "optimizer.pt").read_bytes()
    (checkpoint / "optimizer.pt").write_bytes(data[: len(data) // 2])


def _unfinished(checkpoint: Path) -> None:
    (checkpoint / "complete-0.json").unlink()


def _half_written_mark(checkpoint: Path) -> None:
    mark = (checkpoint / "complete-0.json").read_text()
    (checkpoint / "complete-0.json").write_text(mark[: len(mark) // 2])


@pytest.mark.parametrize(
    ("damage", "resumed_from"),
    [
        (None, "checkpoint-3"),
        (_remove_rng, "checkpoint-2"),
        (_truncate_optimizer, "checkpoint-2"),
        (_unfinished, "checkpoint-2"),
        (_half_written_mark, "checkpoint-2"),
    ],
)
def test_a_resumed_run_gives_the_same_bytes_whatever_happened_to_its_checkpoints(
    tmp_path: Path,
    tiny_model: Path,
    chunks: pa.Table,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None] | None,
    resumed_from: str,
) -> None:
    with monkeypatch.context() as killed:
        _stop_after(killed, 3)
        with pytest.raises(KeyboardInterrupt):
            _sft(tmp_path, tiny_model, chunks, checkpoint_steps=1)
    checkpoints = tmp_path / "work" / "m" / "checkpoints"
    assert {p.name for p in checkpoints.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-3"}
    assert not (tmp_path / "work" / "m" / "model").exists()
    if damage is not None:
        damage(checkpoints / "checkpoint-3")
    result = _sft(tmp_path, tiny_model, chunks, checkpoint_steps=1)
    assert _digests(_folder(result)) == _digests(trained)
    log = (tmp_path / "log.txt").read_text()
    assert f"resuming from {resumed_from}" in log
    assert ("checkpoint-3 is not whole: removed" in log) is (damage is not None)


def test_a_run_killed_between_its_last_checkpoint_and_its_end_resumes_there(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, trained: Path
) -> None:
    first = _sft(tmp_path, tiny_model, chunks, checkpoint_steps=2)
    shutil.rmtree(_folder(first))
    again = _sft(tmp_path, tiny_model, chunks, checkpoint_steps=2)
    assert "resuming from checkpoint-4" in (tmp_path / "log.txt").read_text()
    assert _digests(_folder(again)) == _digests(trained)
    assert again.counts["steps"] == 4


def test_without_a_whole_checkpoint_training_starts_again(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        _stop_after(killed, 1)
        with pytest.raises(KeyboardInterrupt):
            _sft(tmp_path, tiny_model, chunks, checkpoint_steps=1)
    _remove_rng(tmp_path / "work" / "m" / "checkpoints" / "checkpoint-1")
    assert _digests(_folder(_sft(tmp_path, tiny_model, chunks, checkpoint_steps=1))) == _digests(trained)


@pytest.mark.parametrize("rate", [1e9, 1e38])
def test_a_loss_that_is_not_finite_is_an_error_and_no_model(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, rate: float
) -> None:
    with pytest.raises(PrimumError, match=r"^m: .*(learning rate|finite)") as caught:
        _sft(tmp_path, tiny_model, chunks, learning_rate=rate, max_grad_norm=1e30, optimizer="rmsprop", steps=6)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work" / "m" / "model").exists()


def test_chunks_without_labels_are_an_error_and_no_model(tmp_path: Path, tiny_model: Path) -> None:
    ids = np.arange(5, 17, dtype=np.int32)
    chunks = pack([Sample(ids, np.full(12, IGNORED, dtype=np.int32))] * 8, 12, 0)
    with pytest.raises(PrimumError, match=r"^m: "):
        _sft(tmp_path, tiny_model, chunks)
    assert not (tmp_path / "work" / "m" / "model").exists()


def test_history_has_a_row_a_step(trained: Path) -> None:
    table = pq.read_table(trained / "history.parquet")
    assert table.column("step").to_pylist() == [1, 2, 3, 4]
    # warmup_ratio 0.03 of 4 steps is one step from 0 to the rate, then half a cosine over the other three:
    # (1 + cos(pi * k / 3)) / 2 = 1, 0.75, 0.25. The rate logged at a step is the one its update used.
    assert table.column("learning_rate").to_pylist() == pytest.approx([0.0, 1e-3, 0.75e-3, 0.25e-3])
    assert all(value > 0 for value in table.column("grad_norm").to_pylist())
    assert table.column("reward_margin").null_count == 4


def test_what_is_saved_names_no_place_and_no_time(trained: Path, tiny_model: Path) -> None:
    for path in trained.iterdir():
        data = path.read_bytes()
        for word in (str(trained.parents[2]), str(tiny_model), "/tmp", "/root", "/home", "20260", "2026-"):
            assert word.encode() not in data, (path.name, word)
    assert not (trained / "training_args.bin").exists()


def test_low_rank_adapters_are_merged(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    pytest.importorskip("peft")
    lora = {"r": 2, "alpha": 4, "dropout": 0.1, "modules": ["q_proj", "v_proj"]}
    start, merged = (
        _weights(tiny_model),
        _weights(_folder(_sft(tmp_path / "1", tiny_model, chunks, lora, learning_rate=0.01))),
    )
    assert set(start) == set(merged)
    changed = {name for name in start if not start[name].equal(merged[name])}
    assert changed == {f"model.layers.{i}.self_attn.{name}.weight" for i in range(2) for name in ("q_proj", "v_proj")}
    for name in changed:
        assert (merged[name] - start[name]).svd().S[2:].max() < 1e-4, "a change of rank 2"


def test_adapters_resume_to_the_same_bytes(
    tmp_path: Path, tiny_model: Path, chunks: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    lora = {"r": 2, "dropout": 0.1}
    asked = {"held_out": {"take": 3, "eval_steps": 3}}
    whole = _sft(tmp_path / "1", tiny_model, chunks, lora, **asked)
    with monkeypatch.context() as killed:
        _stop_after(killed, 2)
        with pytest.raises(KeyboardInterrupt):
            _sft(tmp_path / "2", tiny_model, chunks, lora, checkpoint_steps=1, **asked)
    resumed = _sft(tmp_path / "2", tiny_model, chunks, lora, checkpoint_steps=1, **asked)
    assert "resuming from checkpoint-2" in (tmp_path / "2" / "log.txt").read_text()
    assert _digests(_folder(resumed)) == _digests(_folder(whole))


def test_adapters_of_layers_that_are_not_there_are_an_error(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    pytest.importorskip("peft")
    with pytest.raises(PrimumError, match=r"lora.modules: .*query_key_value"):
        _sft(tmp_path, tiny_model, chunks, {"modules": ["query_key_value"]})


def test_epochs_and_warm_up_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 85,136 chunks of 8,192 tokens at a batch of 32, twice: the 5,321 steps of Med42-v2's 8B model.
    optimization = _optimization(batch=32, steps=None, epochs=2, warmup_ratio=0.03, micro_batch=1)

    def made_of(**changes: Any) -> dict[str, Any]:
        spec = {"optimization": {**optimization, **changes}, "held_out": None, "seed": 0}
        return arguments(spec, 85_136, tmp_path)

    made = made_of()
    assert made["max_steps"] == 2 * 2661
    assert made["warmup_steps"] == 160
    assert made["gradient_accumulation_steps"] == 32
    monkeypatch.setenv("WORLD_SIZE", "16")
    assert made_of(micro_batch=2)["gradient_accumulation_steps"] == 1
    with pytest.raises(PrimumError, match="batch=32 is no multiple of micro_batch=3 x 16"):
        made_of(micro_batch=3)
    for steps, epochs in ((None, None), (3, 1)):
        with pytest.raises(PrimumError, match="either 'steps' or 'epochs'"):
            made_of(steps=steps, epochs=epochs)
    assert PACKED.names == ["id", "input_ids", "labels", "seq_lengths"]


@pytest.mark.parametrize(
    ("rows", "steps"),
    # The authors' trainer takes ceil(rows / 4) micro-batches an epoch, a step after each 32 of them, one at least: 900 are 225.
    [(200, 3), (400, 9), (600, 12), (800, 18), (900, 21), (1000, 21), (1200, 27), (1400, 30), (1600, 36), (1800, 42)],
)
def test_steps_and_warm_up_of_safety_tuning_are_the_authors(tmp_path: Path, rows: int, steps: int) -> None:
    assert steps == 3 * max(1, -(-rows // 4) // 32)
    tuned = load_experiment("med-safety", ROOT).models["meditron-7b-medical-900"]
    assert isinstance(tuned, SFTModel)
    assert not tuned.packing, "so that a row is a chunk"
    spec = {"optimization": tuned.optimization.model_dump(mode="json"), "held_out": None, "seed": 0}
    made = arguments(spec, rows, tmp_path)
    assert (made["max_steps"], made["warmup_steps"], made["gradient_accumulation_steps"]) == (steps, 10, 32)
    assert (made["fp16"], made["bf16"]) == (True, False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_float16_needs_a_gpu(tmp_path: Path, tiny_model: Path, chunks: pa.Table) -> None:
    with pytest.raises(PrimumError, match=r"^m: optimization\.dtype: float16 needs a GPU, and there is none here"):
        _sft(tmp_path, tiny_model, chunks, dtype="float16")


def test_a_float16_step_without_a_finite_gradient_is_left_out_and_counted() -> None:
    watch = Watch("m", Progress("test"), 1.0)
    half, whole = SimpleNamespace(fp16=True), SimpleNamespace(fp16=False)
    state = TrainerState(global_step=1, max_steps=2)
    logs = {"loss": 1.0, "grad_norm": math.inf}
    watch.on_log(half, state, None, logs=logs)
    assert watch.skipped == 1
    with pytest.raises(PrimumError, match="m: grad_norm is inf at step 1"):
        watch.on_log(whole, state, None, logs=logs)
    with pytest.raises(PrimumError, match="m: loss is nan at step 1"):
        watch.on_log(half, state, None, logs={"loss": math.nan})
