"""A model shared between processes by FSDP2 (Zhao et al. 2023; PyTorch's ``fully_shard``), through accelerate's plugin.

Each process keeps its share of every weight, gradient and moment in float32. A layer is gathered when it is its turn, in the
dtype that is computed in, and given up afterwards; gradients are summed in float32. All of it holds for a single process, too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from primum.artifact.job import Devices
from primum.errors import PrimumError
from primum.parallel import processes
from primum.parallel.processes import is_launched, world_size


def join() -> None:
    """Find the other processes, if torchrun started this one; a model is then shared between them."""
    if is_launched() and not dist.is_initialized():
        _shard_on_cpus()
    processes.join()


def _shard_on_cpus() -> None:
    """accelerate 1.15 knows FSDP on GPU-like devices alone: on CPUs it takes the plugin and goes on without, silently."""
    original = AcceleratorState.__init__

    def init(self: Any, *args: Any, fsdp_plugin: Any = None, **more: Any) -> None:
        original(self, *args, fsdp_plugin=fsdp_plugin, **more)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = init


def settings(devices: Devices) -> dict[str, Any]:
    """Keyword arguments of transformers' TrainingArguments that share the model."""
    if not is_launched():
        options = {"use_reentrant": False} if devices.activation_checkpointing else None
        return {"gradient_checkpointing": devices.activation_checkpointing, "gradient_checkpointing_kwargs": options}
    config = {
        "version": 2,
        "reshard_after_forward": True,
        "state_dict_type": "SHARDED_STATE_DICT",
        "cpu_ram_efficient_loading": True,
        "activation_checkpointing": devices.activation_checkpointing,
        "cpu_offload": devices.cpu_offload and torch.cuda.is_available(),  # CPUs have it in their memory already
    }
    return {"fsdp": True, "fsdp_config": config, "gradient_checkpointing": False}


def set_precision(arguments: Any, dtype: str) -> None:
    """Compute in ``dtype``: weights are gathered in it, and gradients summed in float32. On TrainingArguments that share.

    Not by autocast, which keeps the residual stream in float32 and casts every weight anew for every micro-batch.
    """
    if arguments.fsdp_plugin_args is not None:
        policy = MixedPrecisionPolicy(param_dtype=getattr(torch, dtype), reduce_dtype=torch.float32)
        arguments.fsdp_plugin_args["mixed_precision_policy"] = policy


class CheckSharded(TrainerCallback):  # type: ignore[misc]
    """Fails a training whose model was to be shared and is not, or whose optimizer has not each weight once.

    Either was seen to go on without a word: whole in every process, or with one weight stepped in place of all others.
    """

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any
    ) -> None:
        if not is_launched():
            return
        for name, parameter in model.named_parameters():
            if not isinstance(parameter, DTensor) or parameter.device_mesh.size() != world_size():
                raise PrimumError(f"{name} is not shared between {world_size()} processes: accelerate did not shard it")
        stepped = sorted(id(each) for group in optimizer.param_groups for each in group["params"])
        if stepped != sorted(id(each) for each in model.parameters() if each.requires_grad):
            raise PrimumError("the optimizer does not hold the shared weights: accelerate mixed them up")


def full(value: torch.Tensor) -> torch.Tensor:
    """A tensor of which each process may have a share, whole. All processes ask for it together."""
    if not isinstance(value, DTensor):
        return value
    device = "cuda" if torch.cuda.is_available() else "cpu"  # what was offloaded is gathered on the GPUs
    whole: torch.Tensor = value.to(device).full_tensor()  # type: ignore[attr-defined]
    return whole


def local(value: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor."""
    return value.to_local() if isinstance(value, DTensor) else value
