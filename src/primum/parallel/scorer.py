"""A model that is asked, and not trained: whole in each process where its GPU holds it, else shared between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from accelerate import init_empty_weights
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoConfig, AutoModelForCausalLM

from primum.artifact.manifest import Artifact
from primum.artifact.weights import load_model
from primum.parallel.processes import local_rank, rank, world_size
from primum.progress import hush_transformers

_SHARE = 0.6  # of a GPU's memory, at most, for a whole model: the rest is for a batch


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model in evaluation mode on this process' device; where it is ``shared`` all processes must ask it together."""

    model: Any
    shared: bool


def load_scorer(source: Artifact, dtype: str) -> Scorer:
    """The model of ``source`` in ``dtype``."""
    if world_size() > 1 and not _holds_all(source):
        return Scorer(_shared(source, dtype), True)
    device = f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu"
    # One process a node looks at the files' checksums; what they all read is the same.
    model = load_model(source, dtype, verify=local_rank() == 0)
    return Scorer(model.eval().to(device), False)


def _holds_all(source: Artifact) -> bool:
    """Whether a GPU has room for the whole model, as large as its files; a CPU process is taken to."""
    if not torch.cuda.is_available():
        return True
    size = sum(path.stat().st_size for path in source.data.glob("*.safetensors"))
    return size <= _SHARE * torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory


def _shared(source: Artifact, dtype: str) -> Any:
    """The model, a part of each layer on every process (FSDP2); the first reads it and sends the others their parts."""
    model = on_meta(source, dtype)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (world_size(),))
    for layer in [each for each in model.modules() if type(each).__name__ in model._no_split_modules]:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    weights = load_model(source, dtype).state_dict() if rank() == 0 else {}
    set_model_state_dict(model, weights, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    dist.barrier()
    return model.eval()


def on_meta(model: Artifact, dtype: str) -> Any:
    """The model of an artifact without its weights, which are on the meta device; its buffers are there."""
    hush_transformers()
    config = AutoConfig.from_pretrained(model.data, local_files_only=True, trust_remote_code=False)
    with init_empty_weights(include_buffers=False):
        empty = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    empty.tie_weights()
    return empty
