"""Whether each attention kernel resets between the samples of a packed chunk."""

from __future__ import annotations

from typing import Any

import torch
from shapes import DEVICE, FIRST, Shape, llama, packed, tokenizer
from torch.nn import functional

from primum.text.packing import IGNORED
from primum.train import attention
from primum.train.chunks import ChunkCollator


@torch.no_grad()
def _losses(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss at each position of a chunk, float32 (tokens,); 0 where there is no label."""
    batch = {name: each.to(DEVICE) for name, each in batch.items()}
    attention.set_bounds(batch["position_ids"])
    with torch.autocast(DEVICE, torch.bfloat16):
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits
    labels = functional.pad(batch["labels"][0, 1:], (0, 1), value=IGNORED)
    return functional.cross_entropy(logits[0].float(), labels, reduction="none", ignore_index=IGNORED)


def resets(shape: Shape, kernel: str) -> dict[str, Any]:
    """Change the tokens of one sample of a chunk: how far the losses of the others move, with the mask and without it.

    ``moved`` must be 0 and ``moved_without_mask`` must not; ``against_sdpa`` is how far the kernel's losses are from sdpa's.
    """
    model = llama(shape).eval()
    attention.use(model, kernel)
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
    attention.use(model, "sdpa")
    return row | {
        "against_sdpa": float((own - _losses(model, ChunkCollator(pad, True)([chunk]))).abs().max()),
    }
