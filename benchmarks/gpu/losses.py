"""Experiments: the loss of packed chunks by full logits, by pieces of them, and by Liger's fused kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attention
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from trl import SFTTrainer

from primum.text.packing import IGNORED

# Labelled positions whose logits exist at a time.
PIECE = 1024


def _summed(states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(functional.linear(states, head).float(), labels, reduction="sum")


def full(states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits of every position at once."""
    scores = functional.linear(states, head).float()
    return functional.cross_entropy(scores, labels, reduction="sum", ignore_index=IGNORED)


def labelled(states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits of the labelled positions at once."""
    return _summed(states[labels != IGNORED], head, labels[labels != IGNORED])


def pieces(states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits of ``PIECE`` labelled positions at a time, computed again for the gradient."""
    states, labels = states[labels != IGNORED], labels[labels != IGNORED]
    parts = zip(states.split(PIECE), labels.split(PIECE), strict=True)
    sums = [checkpoint(_summed, part, head, wanted, use_reentrant=False) for part, wanted in parts]
    return torch.stack(sums).sum()


def liger(states: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Liger's kernel, which computes the gradients while it goes forward."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    states, labels = states[labels != IGNORED], labels[labels != IGNORED]
    loss = LigerFusedLinearCrossEntropyLoss(reduction="sum")
    return loss(head.to(torch.bfloat16), states.to(torch.bfloat16), labels)


WAYS = {"full": full, "labelled": labelled, "pieces": pieces, "liger": liger}


def computed(way: str | None) -> Callable[..., Any]:
    """A ``compute_loss`` of SFTTrainer that computes the loss in this way (None: as TRL does), under autocast if asked."""

    def compute_loss(
        self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        attention.set_bounds(inputs["position_ids"])
        if way is None:
            return SFTTrainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)
        core = self.accelerator.unwrap_model(model)
        with torch.autocast(inputs["input_ids"].device.type, torch.bfloat16, enabled=self.args.bf16):
            states = core.model(
                input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False
            ).last_hidden_state
            labels = inputs["labels"][:, 1:].flatten()
            total = WAYS[way](states[:, :-1].flatten(0, 1), core.lm_head.weight, labels)
        return total / num_items_in_batch

    return compute_loss
