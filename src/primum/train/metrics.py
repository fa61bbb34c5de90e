"""What a training says of itself while it runs: a line a step in a file, and, where asked, TensorBoard, trackio or W&B."""

from __future__ import annotations

import os
import resource
import time
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.integrations import get_reporting_integration_callbacks

from primum.progress import Progress


class Metrics(TrainerCallback):  # type: ignore[misc]
    """Records each step: what the trainer logs, under its names (``loss``, ``learning_rate``, ``grad_norm``, for DPO
    ``rewards/...``), ``tokens_per_second`` of the last step, ``seconds`` since this process began to train, and ``memory_gb``
    (10^9 bytes), the most that it held so far, of its GPU where it has one. None of it is part of a result.
    """

    def __init__(self, progress: Progress, tokens_per_step: float) -> None:
        self._progress = progress
        self._tokens = tokens_per_step
        self._began = self._before = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._before = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        now = time.monotonic()
        values = {key: value for key, value in logs.items() if key != "epoch"} | {
            "tokens_per_second": round(self._tokens / max(now - self._before, 1e-9), 1),
            "seconds": round(now - self._began, 3),
            "memory_gb": round(_most_bytes() / 1e9, 3),
        }
        self._before = now
        self._progress.record(state.global_step, values)


def services() -> list[TrainerCallback]:
    """Transformers' callbacks for the services that ``--config report_to`` names; none by default."""
    asked = [each for each in os.environ.get("PRIMUM_REPORT_TO", "").split(",") if each]
    return [callback() for callback in get_reporting_integration_callbacks(asked)]


def _most_bytes() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
