"""Packed samples do not see one another, whatever the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from primum.train import attention
from primum.train.chunks import ChunkCollator

KERNELS = ["sdpa", "flex_attention", "varlen"]
LENGTHS = [9, 20, 5]


def losses(model: torch.nn.Module, ids: list[int], reset: bool) -> list[torch.Tensor]:
    """The loss of every token but the first of each sample, sample by sample."""
    batch = ChunkCollator(pad=1, attention_reset=reset)([{"input_ids": ids, "labels": ids, "seq_lengths": LENGTHS}])
    attention.set_bounds(batch["position_ids"])
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
    found = cross_entropy(logits[:-1], batch["input_ids"][0, 1:], reduction="none")
    ends = torch.tensor(LENGTHS).cumsum(0).tolist()
    return [found[end - length : end - 1] for end, length in zip(ends, LENGTHS, strict=True)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_changed_sample_moves_the_losses_of_no_other(tiny_model: Path, kernel: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    attention.use(model, kernel)
    assert model.config._attn_implementation == kernel
    ids = [5 + 7 * i % 290 for i in range(sum(LENGTHS))]
    changed = ids[:9] + [5 + 11 * i % 290 for i in range(20)] + ids[29:]
    for reset in (True, False):
        before, after = (losses(model, tokens, reset) for tokens in (ids, changed))
        assert torch.equal(before[0], after[0]), "it comes first"
        assert not torch.equal(before[1], after[1])
        assert torch.equal(before[2], after[2]) is reset


@pytest.mark.parametrize("kernel", KERNELS[1:])
def test_each_kernel_computes_what_sdpa_does(tiny_model: Path, kernel: str) -> None:
    """Several rows, padded; with gradients."""
    rows = [
        {"input_ids": list(range(5, 39)), "labels": list(range(5, 39)), "seq_lengths": LENGTHS},
        {"input_ids": list(range(50, 61)), "labels": list(range(50, 61)), "seq_lengths": [4, 7]},
    ]
    batch = ChunkCollator(pad=1, attention_reset=True)(rows)
    used = torch.tensor([[True] * 34, [True] * 11 + [False] * 23])
    found = {}
    for name in ("sdpa", kernel):
        model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
        attention.use(model, name)
        attention.set_bounds(batch["position_ids"])
        with torch.set_grad_enabled(name != "flex_attention" and kernel != "flex_attention"):
            logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
        if logits.requires_grad:
            logits[used].logsumexp(-1).sum().backward()
        found[name] = (logits[used].detach(), [each.grad for each in model.parameters() if each.grad is not None])
    for ours, theirs in zip(found[kernel][1], found["sdpa"][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[kernel][0], found["sdpa"][0], rtol=1e-4, atol=1e-4)
