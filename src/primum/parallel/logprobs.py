"""The log-probability of a response to a prompt under a causal language model."""

from __future__ import annotations

from collections.abc import Sequence

import torch


@torch.no_grad()
def response_logprobs(model: torch.nn.Module, pairs: Sequence[tuple[list[int], list[int]]], pad: int) -> list[float]:
    """For each (prompt ids, response ids) the summed log-probability of the response's tokens, in nats."""
    width = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.full((len(pairs), width), pad)
    mask = torch.zeros((len(pairs), width), dtype=torch.bool)
    attention = torch.zeros((len(pairs), width), dtype=torch.int64)
    for row, (prompt, response) in enumerate(pairs):
        length = len(prompt) + len(response)
        ids[row, :length] = torch.tensor(prompt + response)
        mask[row, len(prompt) : length] = True
        attention[row, :length] = 1
    device = next(model.parameters()).device
    logits = model(input_ids=ids.to(device), attention_mask=attention.to(device), use_cache=False).logits
    sums: list[float] = []
    # A row at a time in float32, since a batch of logits is the largest thing here.
    for row, scores in enumerate(logits):
        where = mask[row, 1:].to(device)
        picked = scores[:-1][where].float().log_softmax(-1).gather(1, ids[row, 1:, None].to(device)[where])
        sums.append(float(picked.double().sum()))
    return sums
