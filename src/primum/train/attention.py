"""Attention within packed samples: ``varlen`` is flash attention over samples of various lengths, beside what transformers has.

transformers gives ``sdpa`` a mask of tokens x tokens and ``flex_attention`` one of blocks, from the positions that start anew at
each sample. ``varlen`` (``torch.nn.attention.varlen``, in PyTorch itself) is told where samples begin and needs no mask::

    positions  0 1 2 0 1        bounds  0 3 5        the first sample's tokens, the second's

On a CPU the same is computed sample by sample.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

# Where the samples of the micro-batch at hand begin and end (int32), and the tokens of the longest.
_bounds: tuple[torch.Tensor, int] | None = None


def use(model: Any, kernel: str) -> None:
    """Let a transformers model attend by ``kernel``: ``sdpa``, ``flex_attention`` or ``varlen``."""
    AttentionInterface.register("varlen", _varlen)
    AttentionMaskInterface.register("varlen", _no_mask)
    if model.config._attn_implementation != kernel:
        model.set_attn_implementation(kernel)


def set_bounds(position_ids: torch.Tensor) -> None:
    """Tell ``varlen`` of the next micro-batch: positions, int64 (rows, tokens), that start at 0 in each sample and row."""
    global _bounds  # noqa: PLW0603 - read off once a micro-batch, not once a layer
    flat = position_ids.flatten()
    starts = (flat == 0).nonzero().flatten()
    ends = torch.cat([starts, starts.new_tensor([flat.numel()])]).to(torch.int32)
    _bounds = (ends, int(ends.diff().max()))


def _no_mask(*_: Any, **__: Any) -> None:
    return None


def _varlen(
    module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float | None = None, **_: Any
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: (rows, heads, tokens, width) in, (rows, tokens, heads, width) out."""
    assert _bounds is not None, "set_bounds comes first"  # noqa: S101
    bounds, longest = _bounds
    rows, heads, tokens, width = query.shape
    scale = scaling or width**-0.5
    # Rows one after the other: every row begins with a sample.
    q, k, v = (each.transpose(1, 2).reshape(rows * tokens, -1, width) for each in (query, key, value))
    made = _on_gpu(q, k, v, bounds, longest, scale) if q.is_cuda else _by_sample(q, k, v, bounds, scale)
    return made.to(query.dtype).reshape(rows, tokens, heads, width), None


def _on_gpu(q: Any, k: Any, v: Any, bounds: torch.Tensor, longest: int, scale: float) -> Any:
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (each.to(torch.bfloat16).contiguous() for each in (q, k, v))
    causal = (-1, 0)
    return varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=causal, enable_gqa=True)


def _by_sample(q: Any, k: Any, v: Any, bounds: torch.Tensor, scale: float) -> torch.Tensor:
    parts = [each.transpose(0, 1)[None].split(bounds.diff().tolist(), 2) for each in (q, k, v)]
    done = [
        functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)
        for query, key, value in zip(*parts, strict=True)
    ]
    return torch.cat(done, 2)[0].transpose(0, 1)
