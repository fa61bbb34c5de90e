"""Loading a model artifact's weights; below training and scoring, which both need it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from primum.artifact.manifest import Artifact
from primum.progress import hush_transformers


def load_model(model: Artifact, dtype: str = "float32", spread: bool = False, verify: bool = True) -> Any:
    """A causal language model from an artifact's safetensors, every file verified against the manifest.

    ``spread`` puts its layers on all GPUs that there are, in order, for a model that one of them cannot hold. Without
    ``verify`` another process has verified the files.
    """
    hush_transformers()
    if verify:
        model.verify()
    return AutoModelForCausalLM.from_pretrained(
        model.data,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        device_map="auto" if spread else None,
    )
