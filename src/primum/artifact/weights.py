"""Loading a model artifact's weights; below training and scoring, which both need it."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import get_max_memory
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.progress import hush_transformers


def load_model(
    model: Artifact, dtype: str = "float32", spread: bool = False, verify: bool = True, tensor_parallel: int = 1
) -> Any:
    """A causal language model from an artifact's safetensors, every file verified against the manifest.

    ``spread`` puts its layers on all GPUs that there are, in order, for a model that one of them cannot hold.
    ``tensor_parallel`` is the number of processes that were started together, each of which gets a part of every layer.
    Without ``verify`` another process has verified the files. PrimumError where the GPUs have no room for all layers: the
    rest would be computed from the CPU's memory or the disk, a hundred times slower and without a word.
    """
    hush_transformers()
    if verify:
        model.verify()
    loaded = AutoModelForCausalLM.from_pretrained(
        model.data,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        device_map="auto" if spread else None,
        # What the GPUs cannot hold is "disk" then, which is not read in before it is refused.
        max_memory={**get_max_memory(), "cpu": 0} if spread else None,
        distributed_config=DistributedConfig(tp_size=tensor_parallel) if tensor_parallel > 1 else None,
    )
    if spread and {str(device) for device in loaded.hf_device_map.values()} & {"cpu", "disk", "meta"}:
        raise PrimumError(
            f"{model.name}: the {torch.cuda.device_count()} GPUs have no room for all of its layers: ask for more of them "
            "(resources: score: gpus), or set engine.dtype to bfloat16"
        )
    return loaded
