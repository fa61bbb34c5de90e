"""What every training stage shares: the optimizer's settings, guards, and the run from the newest checkpoint to the last step."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, set_seed

from primum.artifact.job import ALONE, Devices
from primum.errors import PrimumError
from primum.parallel.processes import all_agree, any_of, is_launched
from primum.progress import Progress, hush_transformers
from primum.train import held_out, sharding
from primum.train.checkpoints import Vouch, whole_checkpoint
from primum.train.metrics import Metrics, services
from primum.train.sharding import CheckSharded, local


def start(threads: int, seed: int) -> None:
    """Fix what changes the bits of a CPU run: threads, seeds, and deterministic kernels where there are any.

    A process that torchrun started finds the others.
    """
    hush_transformers()
    sharding.join()
    # cuBLAS reads it when it is first used; without it its results differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else every tensor that is about to be written is filled with NaN first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    set_seed(seed)


def arguments(item: Mapping[str, Any], examples: int, work: Path, devices: Devices = ALONE) -> dict[str, Any]:
    """The keyword arguments of transformers' TrainingArguments for the spec ``item`` over ``examples`` examples.

    The batch is over all devices: the accumulation steps follow from ``WORLD_SIZE`` and ``micro_batch``. Raises
    PrimumError when they do not divide it.
    """
    optimization, seed = item["optimization"], item["seed"]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    batch = optimization["batch"]
    micro = optimization["micro_batch"] or max(1, batch // world)
    if batch % (micro * world):
        raise PrimumError(f"optimization.batch={batch} is no multiple of micro_batch={micro} x {world} devices")
    if (optimization["steps"] is None) == (optimization["epochs"] is None):
        raise PrimumError("optimization: give either 'steps' or 'epochs'")
    drop_last = optimization.get("drop_last", False)
    per_epoch = max(1, examples // batch if drop_last else math.ceil(examples / batch))
    steps = optimization["steps"] or max(1, round(per_epoch * optimization["epochs"]))
    checkpoints = optimization["checkpoint_steps"]
    fused = "_fused" if torch.cuda.is_available() else ""
    return {
        "output_dir": str(work / "checkpoints"),
        "max_steps": steps,
        "dataloader_drop_last": drop_last,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": batch // (micro * world),
        "learning_rate": optimization["learning_rate"],
        "lr_scheduler_type": optimization["schedule"],
        "warmup_steps": _warm_up(optimization, steps),
        "optim": {"adamw": f"adamw_torch{fused}", "rmsprop": "rmsprop"}[optimization["optimizer"]],
        "adam_beta1": optimization["betas"][0],
        "adam_beta2": optimization["betas"][1],
        "weight_decay": optimization["weight_decay"],
        "max_grad_norm": optimization["max_grad_norm"],
        # Said even where it is false: TRL's own default is true. A shared model has a policy of its own (set_precision).
        "bf16": optimization["dtype"] == "bfloat16" and not is_launched(),
        "fp16": optimization["dtype"] == "float16",
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
        **held_out.settings(item["held_out"], micro),
        **sharding.settings(devices),
    }


def _warm_up(optimization: Mapping[str, Any], steps: int) -> int:
    given: int | None = optimization.get("warmup_steps")
    return math.ceil(optimization["warmup_ratio"] * steps) if given is None else given


def check_dtype(name: str, dtype: str) -> None:
    """PrimumError where a training cannot compute in ``dtype``: float16 needs its loss scaled, on one GPU."""
    if dtype != "float16":
        return
    if not torch.cuda.is_available():
        raise PrimumError(
            f"{name}: optimization.dtype: float16 needs a GPU, and there is none here: use bfloat16 or float32"
        )
    if is_launched():
        raise PrimumError(f"{name}: optimization.dtype: float16 is for one GPU: ask for one, or use bfloat16")


class Watch(TrainerCallback):  # type: ignore[misc]
    """Prints progress, and stops at a loss that is not finite.

    In float16 a gradient that is not is no error: the step is left out, and the loss scaled less for the next one. ``skipped``
    counts these.
    """

    def __init__(self, name: str, progress: Progress, tokens_per_step: float) -> None:
        self._name = name
        self._progress = progress
        self._tokens = tokens_per_step
        self.skipped = 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        for key in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(key)
            if value is None or math.isfinite(float(value)):
                continue
            if key == "grad_norm" and args.fp16:
                self.skipped += 1
            else:
                raise PrimumError(
                    f"{self._name}: {key} is {value} at step {state.global_step}: lower the learning rate or check the data"
                )
        if logs and "loss" in logs:
            note = f"loss {float(logs['loss']):.3f}"
            done = state.global_step
            self._progress.update(self._name, done, state.max_steps, done * self._tokens, "tokens", note)
        if logs and "eval_loss" in logs:
            self._progress.say(f"{self._name}: held-out loss {logs['eval_loss']:.4f} after step {state.global_step}")


class Interruption(TrainerCallback):  # type: ignore[misc]
    """Makes a SIGTERM (a time limit, a preemption, scancel) a checkpoint after the step that is under way."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, *_: Any) -> None:
        """The signal's handler."""
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # All processes must stop after the same step, or those that go on wait for the others for ever.
        self.asked = any_of(self.asked)
        if self.asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def fit(trainer: Any, name: str, work: Path, progress: Progress, tokens_per_step: float) -> None:
    """Train from the newest whole checkpoint or from the start. PrimumError when it ends before its last step."""
    interruption = Interruption()
    trainer.args.run_name = name
    for service in services():
        trainer.add_callback(service)
    trainer.add_callback(Metrics(progress, tokens_per_step))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(CheckSharded())
    trainer.add_callback(held_out.AskAtLast())
    watch = Watch(name, progress, tokens_per_step)
    trainer.add_callback(watch)
    trainer.add_callback(Vouch(progress))
    trainer.add_callback(interruption)
    checkpoint = whole_checkpoint(work, progress)
    trainer.args.eval_on_start = trainer.args.eval_strategy != "no" and checkpoint is None
    before = signal.signal(signal.SIGTERM, interruption.ask)
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    finally:
        signal.signal(signal.SIGTERM, before)
    step, steps = trainer.state.global_step, trainer.args.max_steps
    if step < steps and interruption.asked:
        raise PrimumError(
            f"{name}: stopped by SIGTERM after step {step} of {steps}: its checkpoint is saved, run again"
        )
    if step < steps:
        raise PrimumError(f"{name}: stopped at step {step} of {steps}: run again")
    if watch.skipped:
        progress.say(f"{name}: {watch.skipped} of {steps} steps were left out, since a float16 gradient was too large")
    if watch.skipped * 2 > steps:
        raise PrimumError(f"{name}: more than half of its steps had no finite float16 gradient: use bfloat16")
    if not all_agree(all(bool(local(each).isfinite().all()) for each in trainer.model.parameters())):
        raise PrimumError(f"{name}: the trained weights are not finite: lower the learning rate")
