"""What every training stage shares: the optimizer's settings, exact history, guards, checkpoints and the saved model."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import PrinterCallback, TrainerCallback, set_seed

from primum.artifact.folder import file_sha256
from primum.errors import PrimumError
from primum.progress import Progress, hush_transformers

HISTORY = pa.schema(
    [pa.field("step", pa.int32(), nullable=False)]
    + [
        pa.field(name, pa.float64())
        for name in ("loss", "learning_rate", "grad_norm", "reward_accuracy", "reward_margin")
    ]
)
_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
}
_COMPLETE = "complete.json"


def start(threads: int, seed: int) -> None:
    """Fix what changes the bits of a CPU run: threads, seeds, and deterministic kernels where there are any."""
    hush_transformers()
    # cuBLAS reads it when it is first used; without it its results differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    set_seed(seed)


def arguments(optimization: Mapping[str, Any], examples: int, seed: int, work: Path) -> dict[str, Any]:
    """The keyword arguments of transformers' TrainingArguments for ``optimization`` over ``examples`` examples.

    The batch is over all devices: the accumulation steps follow from ``WORLD_SIZE`` and ``micro_batch``. Raises
    PrimumError when they do not divide it.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    batch = optimization["batch"]
    micro = optimization["micro_batch"] or max(1, batch // world)
    if batch % (micro * world):
        raise PrimumError(f"optimization.batch={batch} is no multiple of micro_batch={micro} x {world} devices")
    if (optimization["steps"] is None) == (optimization["epochs"] is None):
        raise PrimumError("optimization: give either 'steps' or 'epochs'")
    per_epoch = max(1, math.ceil(examples / batch))
    steps = optimization["steps"] or max(1, round(per_epoch * optimization["epochs"]))
    checkpoints = optimization["checkpoint_steps"]
    return {
        "output_dir": str(work / "checkpoints"),
        "max_steps": steps,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // (micro * world),
        "learning_rate": optimization["learning_rate"],
        "lr_scheduler_type": optimization["schedule"],
        "warmup_steps": math.ceil(optimization["warmup_ratio"] * steps),
        "optim": {"adamw": "adamw_torch", "rmsprop": "rmsprop"}[optimization["optimizer"]],
        "adam_beta1": optimization["betas"][0],
        "adam_beta2": optimization["betas"][1],
        "weight_decay": optimization["weight_decay"],
        "max_grad_norm": optimization["max_grad_norm"],
        "bf16": optimization["dtype"] == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "seed": seed,
        "data_seed": seed,
        # Every step is logged, so that a resumed run's history is the uninterrupted one's.
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if checkpoints else "no",
        "save_steps": checkpoints or 500,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_num_workers": 0,
        "remove_unused_columns": False,
        "gradient_checkpointing": False,
    }


class Watch(TrainerCallback):  # type: ignore[misc]
    """Prints progress, stops at a loss that is not finite, and marks checkpoints that are whole."""

    def __init__(self, name: str, progress: Progress, tokens_per_step: float) -> None:
        self._name = name
        self._progress = progress
        self._tokens = tokens_per_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        for key in ("loss", "grad_norm"):
            value = (logs or {}).get(key)
            if value is not None and not math.isfinite(float(value)):
                raise PrimumError(
                    f"{self._name}: {key} is {value} at step {state.global_step}: lower the learning rate or check the data"
                )
        if logs and "loss" in logs:
            note = f"loss {float(logs['loss']):.3f}"
            done = state.global_step
            self._progress.update(self._name, done, state.max_steps, done * self._tokens, "tokens", note)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if folder.is_dir() and state.is_world_process_zero:
            files = {p.relative_to(folder).as_posix(): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
            files.pop(_COMPLETE, None)
            (folder / _COMPLETE).write_text(json.dumps(files), encoding="utf-8")


class Interruption(TrainerCallback):  # type: ignore[misc]
    """Makes a SIGTERM (a time limit, a preemption, scancel) a checkpoint after the step that is under way."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_: Any) -> None:
        """The signal's handler."""
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.distributed.is_initialized():
            # All processes must stop after the same step, or those that go on wait for the others for ever.
            asked = torch.tensor(int(self.asked), device=args.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            self.asked = bool(asked)
        if self.asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def whole_checkpoint(work: Path, progress: Progress) -> str | None:
    """The newest checkpoint under ``work`` that is whole; damaged ones are removed, and that is said.

    Of several processes all come to the same answer, whichever of them removed a damaged one.
    """
    found = sorted((work / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True)
    for folder in found:
        try:
            files: dict[str, str] = json.loads((folder / _COMPLETE).read_text(encoding="utf-8"))
            if all(file_sha256(folder / name) == sha256 for name, sha256 in files.items()):
                progress.say(f"resuming from {folder.name}")
                return str(folder)
        except (OSError, ValueError):
            pass
        progress.say(f"{folder.name} is not whole: removed")
        shutil.rmtree(folder, ignore_errors=True)
    return None


def fit(trainer: Any, name: str, work: Path, progress: Progress, tokens_per_step: float) -> None:
    """Train from the newest whole checkpoint or from the start. PrimumError when it ends before its last step."""
    interruption = Interruption()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Watch(name, progress, tokens_per_step))
    trainer.add_callback(interruption)
    before = signal.signal(signal.SIGTERM, interruption.ask)
    try:
        trainer.train(resume_from_checkpoint=whole_checkpoint(work, progress))
    finally:
        signal.signal(signal.SIGTERM, before)
    step, steps = trainer.state.global_step, trainer.args.max_steps
    if step < steps and interruption.asked:
        raise PrimumError(
            f"{name}: stopped by SIGTERM after step {step} of {steps}: its checkpoint is saved, run again"
        )
    if step < steps:
        raise PrimumError(f"{name}: stopped at step {step} of {steps}: run again")
    if not all(torch.isfinite(parameter).all() for parameter in trainer.model.parameters()):
        raise PrimumError(f"{name}: the trained weights are not finite: lower the learning rate")


def history(log: list[dict[str, Any]]) -> pa.Table:
    """A trainer's log as one row a step (schema ``HISTORY``)."""
    records = []
    for entry in log:
        if "loss" in entry:
            values = {column: float(entry[key]) for key, column in _LOGGED.items() if key in entry}
            records.append({"step": entry["step"], **values})
    return pa.Table.from_pylist(records, schema=HISTORY)


def save(model: Any, tokenizer: Any, log: list[dict[str, Any]], folder: Path, dtype: str) -> Path:
    """Write safetensors, tokenizer and history.parquet; nothing in them names a path or a time.

    Of several processes the first writes.
    """
    if torch.distributed.is_initialized() and torch.distributed.get_rank():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    model.to(getattr(torch, dtype)).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8"))
        content = {key: value for key, value in content.items() if key not in ("_name_or_path", "name_or_path")}
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    pq.write_table(history(log), folder / "history.parquet", write_page_checksum=True)
    return folder
