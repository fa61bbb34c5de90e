"""The processes that torchrun started for a job: how many there are, which this is, and what they tell one another.

All of it holds for a single process, too.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return dist.is_torchelastic_launched()


def join() -> None:
    """Find the other processes, if torchrun started this one, and take this one's GPU; again is no harm.

    On GPUs gloo is there as well, for what lies in the CPUs' memory.
    """
    if is_launched() and torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    if is_launched() and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def rank() -> int:
    """This process's number among those that work together; 0 where there is one."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """This process's number on its node, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """How many processes work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def all_agree(value: bool) -> bool:
    """Whether it is true in all processes."""
    if not dist.is_initialized():
        return value
    agreed = torch.tensor(int(value))
    dist.all_reduce(agreed, dist.ReduceOp.MIN)
    return bool(agreed)


def any_of(value: bool) -> bool:
    """Whether it is true in any process."""
    return not all_agree(not value)


def from_first(value: Any) -> Any:
    """What the first process has, in all of them."""
    if not dist.is_initialized():
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def gathered(value: Any) -> list[Any]:
    """What each process has, in order, in all of them."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values
