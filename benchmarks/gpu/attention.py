"""Experiment: attention of packed chunks by flash attention over variable lengths, and whether each kernel resets.

PyTorch carries that kernel (``torch.nn.attention.varlen``), so that nothing has to be installed. Where there is no GPU the same
is computed segment by segment.
"""

from __future__ import annotations

from typing import Any

import torch
from shapes import DEVICE, FIRST, Shape, llama, packed, tokenizer
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from primum.text.packing import IGNORED
from primum.train.chunks import ChunkCollator

# Where the samples of the chunk begin and end, and the longest: (int32 tensor, tokens).
_bounds: tuple[torch.Tensor, int] | None = None
# Does the kernel take fewer key heads than query heads, forward and backward?
_grouped: bool | None = None


def set_bounds(position_ids: torch.Tensor) -> None:
    """Read the samples' bounds off ``position_ids`` (1, tokens), once a step rather than once a layer."""
    global _bounds, _grouped  # noqa: PLW0603
    if _grouped is None and position_ids.is_cuda:
        _grouped = _takes_groups(position_ids.device)
    starts = (position_ids.flatten() == 0).nonzero().flatten()
    ends = torch.cat([starts, starts.new_tensor([position_ids.numel()])]).to(torch.int32)
    _bounds = (ends, int(ends.diff().max()))


def _kernel(query: Any, key: Any, value: Any, bounds: torch.Tensor, longest: int, scale: float) -> Any:
    from torch.nn.attention.varlen import varlen_attn

    half = [each.to(torch.bfloat16) for each in (query, key, value)]
    return varlen_attn(*half, bounds, bounds, longest, longest, scale=scale, window_size=(-1, 0)).to(query.dtype)


def _takes_groups(device: torch.device) -> bool:
    """Tried once on a few tokens, since some builds have the kernel for equal numbers of heads alone."""
    try:
        q, k = (
            torch.randn(128, heads, 64, dtype=torch.bfloat16, device=device, requires_grad=True) for heads in (8, 2)
        )
        bounds = torch.tensor([0, 50, 128], dtype=torch.int32, device=device)
        with torch.enable_grad():
            _kernel(q, k, k * 1, bounds, 78, 1.0).sum().backward()
        torch.cuda.synchronize()
        return k.grad is not None and k.grad.shape == k.shape
    except RuntimeError:
        return False


@torch.compiler.disable
def varlen(
    module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float | None = None, **_: Any
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: (1, heads, tokens, width) in, (1, tokens, heads, width) out."""
    assert _bounds is not None and query.shape[0] == 1, "one chunk at a time, its bounds set"  # noqa: S101, PT018
    bounds, longest = _bounds
    scale = scaling or query.shape[-1] ** -0.5
    if query.is_cuda:
        q, k, v = (each[0].transpose(0, 1).contiguous() for each in (query, key, value))
        if not _grouped:
            k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], 1) for each in (k, v))
        return _kernel(q, k, v, bounds, longest, scale)[None], None
    parts = [each.split(bounds.diff().tolist(), 2) for each in (query, key, value)]
    done = [
        functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True)
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(done, 2).transpose(1, 2), None


def register() -> None:
    """Make ``varlen`` an attention implementation of transformers; it takes no mask."""
    AttentionInterface.register("varlen", varlen)
    AttentionMaskInterface.register("varlen", lambda *_, **__: None)


@torch.no_grad()
def _losses(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss at each position of a chunk, float32 (tokens,); 0 where there is no label."""
    batch = {name: each.to(DEVICE) for name, each in batch.items()}
    set_bounds(batch["position_ids"])
    with torch.autocast(DEVICE, torch.bfloat16):
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
    labels = functional.pad(batch["labels"][0, 1:], (0, 1), value=IGNORED)
    return functional.cross_entropy(logits[0].float(), labels, reduction="none", ignore_index=IGNORED)


def resets(shape: Shape, kernel: str) -> dict[str, Any]:
    """Change the tokens of one sample of a chunk: how far the losses of the others move, with the mask and without it.

    ``moved`` must be 0 and ``moved_without_mask`` must not; ``against_sdpa`` is how far the kernel's losses are from sdpa's.
    """
    register()
    model = llama(shape, attention=kernel).eval()
    chunk = packed(shape, 2).to_pylist()[0]
    lengths = chunk["seq_lengths"]
    start = sum(lengths[: len(lengths) // 2])
    end = start + lengths[len(lengths) // 2]
    changed = dict(chunk)
    changed["input_ids"] = [
        FIRST + (token - FIRST + 7) % (shape.vocabulary - FIRST) if start <= place < end else token
        for place, token in enumerate(chunk["input_ids"])
    ]
    pad = tokenizer().pad_token_id

    def moved(reset: bool) -> float:
        collate = ChunkCollator(pad, reset)
        before, after = (_losses(model, collate([each])) for each in (chunk, changed))
        others = torch.ones_like(before, dtype=torch.bool)
        # The token before a sample predicts its first one, which has no label.
        others[start:end] = False
        return float((before - after).abs()[others].max())

    row = {"samples": len(lengths), "moved": moved(True), "moved_without_mask": moved(False)}
    own = _losses(model, ChunkCollator(pad, True)([chunk]))
    model.set_attn_implementation("sdpa")
    return row | {
        "against_sdpa": float((own - _losses(model, ChunkCollator(pad, True)([chunk]))).abs().max()),
        "grouped_heads": _grouped,
    }
