"""The model that a training begins with: read by one process, without weights in those to which it sends them."""

from __future__ import annotations

from typing import Any

import torch

from primum.artifact.manifest import Artifact
from primum.artifact.weights import load_model
from primum.parallel.processes import rank
from primum.parallel.scorer import on_meta


def load_trainable(model: Artifact) -> Any:
    """The model in float32, its files verified: of several processes the first reads it, the others have it without weights.

    These get their shares when training begins. So a model is in the memory of a node at most once, on the first node.
    """
    if rank() == 0:
        return load_model(model)
    empty = on_meta(model, "float32")
    # Memory that nobody touches, which costs none. On the meta device all weights would have the address 0, by which
    # accelerate tells them apart when it gives the optimizer their shares.
    for module in empty.modules():
        for name, weight in module.named_parameters(recurse=False):
            module.register_parameter(name, torch.nn.Parameter(torch.empty_like(weight, device="cpu")))
    empty.tie_weights()
    return empty
