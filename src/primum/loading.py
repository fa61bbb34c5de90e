"""Loading a model artifact's weights; below training and scoring, which both need it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from primum.artifact.manifest import Artifact


def load_model(model: Artifact, dtype: str = "float32") -> Any:
    """A causal language model from an artifact's safetensors, every file verified against the manifest."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    model.verify()
    return AutoModelForCausalLM.from_pretrained(
        model.data, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=getattr(torch, dtype)
    )
