"""Tensor parallelism: processes that hold a part of each layer score all of a job's items together, the model loaded once.

One process a GPU, on one node; without GPUs they are CPU processes that talk over gloo. How many there are is the engine's
``tensor_parallel``, which is in the spec. Layers that are put on GPUs in turn, as a model without a plan has to be, work one
after another: of four GPUs three wait.
"""

from __future__ import annotations

import importlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.artifact.job import Devices, Job, Result
from primum.artifact.manifest import Artifact
from primum.cluster.launch import COUNTS, Launch

_POLL = 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Together:
    """``module.run`` in as many processes as the job's engine says; ``log`` gets their progress lines."""

    module: str
    log: Path | None = None

    def run(self, job: Job) -> Iterator[Result]:
        """As the module's own ``run``. PrimumError with the processes' own error, or saying that they died."""
        number = job.common["engine"]["tensor_parallel"]
        if number > 1 and not is_divisible(job.items[0].one("model"), number):
            job.progress.say(f"transformers cannot divide this model's layers by {number}: one process has it whole")
            number = 1
        if number == 1:
            yield from importlib.import_module(self.module).run(job)
            return
        launch = Launch(self.module, Devices(1, number), self.log)
        request = launch.prepare(job, job.items)
        with subprocess.Popen(launch.command(request)) as processes:  # noqa: S603 - our own command
            try:
                for item in job.items:
                    while not (item.work / COUNTS).exists() and processes.poll() is None:
                        time.sleep(_POLL)
                    yield launch.result(item, request, 0 if (item.work / COUNTS).exists() else processes.wait() or 1)
            except BaseException:
                processes.terminate()  # torchrun ends those that it started
                raise


def is_divisible(model: Artifact, number: int) -> bool:
    """Whether transformers has a plan for the architecture, and ``number`` divides its heads and its vocabulary."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(model.data, local_files_only=True, trust_remote_code=False)
    config = config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    sizes = (heads, getattr(config, "num_key_value_heads", None) or heads, config.vocab_size)
    return bool(getattr(config, "base_model_tp_plan", None)) and all(size % number == 0 for size in sizes)
