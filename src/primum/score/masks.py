"""What each place of a row of several choices attends to, as a mask for the model's attention."""

from __future__ import annotations

from typing import Any

import torch

FULL, SLIDING = "full_attention", "sliding_attention"


def layer_kinds(model: Any) -> set[str]:
    """The kinds of attention that the model's layers have, by transformers' names."""
    config = model.config.get_text_config(decoder=True)
    named = getattr(config, "layer_types", None)
    return set(named) if named else {SLIDING if window(model) else FULL}


def window(model: Any) -> int | None:
    """The tokens, its own included, that a place of a sliding layer attends to; None where no layer slides.

    A key that the architecture does not know is none: it stays behind in files when weights become another architecture's.
    """
    config = model.config.get_text_config(decoder=True)
    found: int | None = config.sliding_window if hasattr(type(config), "sliding_window") else None
    return found or None


def masks(model: Any, ends: torch.Tensor, positions: torch.Tensor, width: int, dtype: torch.dtype) -> Any:
    """What the model takes as ``attention_mask``: a mask, or where its layers are of both kinds one by kind.

    Place q of the last ``width`` sees key k where k <= q < end of k, and the prefix before them; in a sliding layer only
    where k's position is less than a window behind its own, which is how far a choice that stands alone would see.
    ``ends`` and ``positions`` are int64 (rows, prefix + width).
    """
    near = window(model)
    # No key is further away than there are keys.
    cut = near if near is not None and near < ends.shape[1] else None
    by_kind = {kind: cut if kind == SLIDING else None for kind in layer_kinds(model)}
    made = {near: _mask(model, ends, positions, width, dtype, near) for near in set(by_kind.values())}
    return {kind: made[near] for kind, near in by_kind.items()} if len(by_kind) > 1 else next(iter(made.values()))


def _mask(
    model: Any, ends: torch.Tensor, positions: torch.Tensor, width: int, dtype: torch.dtype, near: int | None
) -> Any:
    """Additive of shape (rows, 1, width, prefix + width), or for flex_attention a BlockMask of that meaning.

    Padding, at position 0, sees the context, since a row of the mask with nothing in it has no softmax.
    """
    rows, keys = ends.shape
    if model.config._attn_implementation == "flex_attention":
        from torch.nn.attention.flex_attention import create_block_mask

        def seen(row: Any, _head: Any, place: Any, key: Any) -> Any:
            inside = (key - (keys - width) <= place) & (place < ends[row, key])
            if near is not None:
                inside &= positions[row, place + (keys - width)] - positions[row, key] < near
            return inside

        # Compiled, it is made block by block; else it would be materialised first.
        compiled = ends.device.type == "cuda"
        return create_block_mask(seen, rows, None, width, keys, device=ends.device, _compile=compiled)
    place = torch.arange(width, device=ends.device)[None, :, None]
    key = torch.arange(keys, device=ends.device)[None, None, :] - (keys - width)
    hidden = (key > place) | (place >= ends[:, None, :])
    if near is not None:
        hidden |= positions[:, keys - width :, None] - positions[:, None, :] >= near
    return torch.zeros(hidden.shape, dtype=dtype, device=ends.device).masked_fill_(hidden, torch.finfo(dtype).min)[
        :, None
    ]
