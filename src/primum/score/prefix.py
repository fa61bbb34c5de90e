"""What the contexts of a task start with alike (few-shot examples, a chat header), computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from primum.score.rows import common

# A prefix of its own costs a forward pass and ends a batch early: about as much as this many tokens.
WORTHWHILE = 512
# Prefixes that differ by less than this are not told apart.
STEP = 16


def shared_prefixes(contexts: Sequence[list[int]], indices: Sequence[int]) -> list[tuple[int, list[int]]]:
    """``indices`` parted into (length of the common prefix, indices of the contexts that share it).

    Contexts of one task often share all their examples; those of MMLU share them within a subject. So a part gets a
    longer prefix of its own where that saves tokens. At least one token of every context stays outside its prefix,
    and what is not worth a pass of its own is no prefix: its length is 0.
    """
    first, last = min(contexts[i] for i in indices), max(contexts[i] for i in indices)
    length = min(common(first, last), min(len(contexts[i]) for i in indices) - 1)
    parts: dict[tuple[int, ...], list[int]] = {}
    for i in indices:
        parts.setdefault(tuple(contexts[i][: length + STEP]), []).append(i)
    rest: list[int] = []
    result: list[tuple[int, list[int]]] = []
    for part in parts.values():
        deeper = shared_prefixes(contexts, part) if 1 < len(part) < len(indices) else [(0, part)]
        result.extend(each for each in deeper if _worthwhile(*each, above=length))
        rest.extend(i for own, members in deeper if not _worthwhile(own, members, above=length) for i in members)
    if rest:
        result.append((length if _worthwhile(length, rest, above=0) else 0, rest))
    return result


def _worthwhile(length: int, members: Sequence[int], above: int) -> bool:
    return len(members) * (length - above) > length + WORTHWHILE


class _Shared(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one sequence before those of every row, put together layer by layer and not kept."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        rows = key_states.shape[0]
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], -2)
        return keys, torch.cat([self.values.expand(rows, -1, -1, -1), value_states], -2)


def shared_cache(filled: DynamicCache) -> Cache:
    """The cache of one sequence as one that any number of rows attend to, and that they leave as it is."""
    layers = []
    for layer in filled.layers:
        shared = _Shared()
        shared.lazy_initialization(layer.keys, layer.values)
        shared.keys, shared.values = layer.keys, layer.values
        layers.append(shared)
    return Cache(layers=layers)
