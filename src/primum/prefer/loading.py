"""Loading a ranker's own model: what a PairRM and a sequence classifier have in common."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.parallel.processes import local_rank
from primum.progress import hush_transformers


def load_ranker(source: Artifact, family: Any, dtype: str, about: str) -> tuple[Any, Any, int]:
    """The model of ``source`` by ``family.from_pretrained``, on a GPU if there is one, its tokenizer, and the weights it lacks.

    Those are random numbers: how many there are is for the caller to refuse. PrimumError where nothing can be loaded; ``about``
    says what was expected, and what to do.
    """
    hush_transformers()
    if local_rank() == 0:  # one process a node looks at the files' checksums
        source.verify()
    try:
        model, loading = family.from_pretrained(
            source.data,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(source.data, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise PrimumError(f"{source.data}: no {about} ({type(error).__name__})") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().to(device), tokenizer, len(loading["missing_keys"])
