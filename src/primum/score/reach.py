"""Up to which length a model computes several choices in one row as it computes each alone: by its configuration, and tried."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from primum.score.loglikelihood import Group, Likelihood, fill, score_rows
from primum.score.masks import FULL, SLIDING, layer_kinds, window
from primum.score.rows import Packed, chains, tree

# The trial's lengths in tokens. Its window is short, so that a question of any length tries what lies beyond one.
CONTEXT, PREFIX, WINDOW = 24, 10, 8
# Keys of attention that is neither full nor in a window by ``sliding_window``, or that layers share.
_OTHERWISE = ("attention_chunk_size", "local_attention", "num_kv_shared_layers", "window_size")
# How far log-likelihoods may be apart, as a share of the plain row's: rounding, and far less than a token that is seen wrongly.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def reach(model: Any, pad: int, say: Callable[[str], None]) -> float:
    """The longest sequence (tokens) that a row of several choices, or one after a prefix, computes as a plain row would.

    0 where the configuration rules it out, and where one question that is tried differs by more than ``TOLERANCE``: then
    every choice is a plain row of its own, and ``say`` is told why. Four small passes of the model.
    """
    within = configured(model)
    if not within:
        reason = "its layers cannot compute several choices in one row"
    elif not (apart := difference(model, pad)) <= TOLERANCE[next(model.parameters()).dtype]:
        within = 0
        failed = "fail" if math.isinf(apart) else f"are {apart:.2g} of a log-likelihood off"
        reason = f"several choices in one row {failed} when tried"
    else:
        return within
    say(f"{type(model).__name__}: {reason}: every choice is a row of its own, which is slower")
    return within


def configured(model: Any) -> float:
    """What the model's configuration says of its :func:`reach`.

    0 for architectures that do not pass a mask and positions through as given, for layers that are not attention, for
    attention in chunks, and for windows by another name; the trained length where the rotary frequencies change beyond it.
    """
    config, kinds = model.config.get_text_config(decoder=True), layer_kinds(model)
    exact = (
        getattr(model, "_supports_attention_backend", False)
        and {"position_ids", "past_key_values"} <= inspect.signature(model.forward).parameters.keys()
        and config._attn_implementation in ("eager", "sdpa", "flex_attention")
        and (kinds <= {FULL, SLIDING} if window(model) else kinds == {FULL})
        and not any(getattr(config, key, None) for key in _OTHERWISE)
    )
    if not exact:
        return 0
    rotary = getattr(config, "rope_parameters", None) or {}
    lengths = []
    for each in (rotary, *(value for value in rotary.values() if isinstance(value, dict))):
        if each.get("rope_type") in ("dynamic", "longrope"):
            lengths.append(each.get("original_max_position_embeddings") or config.max_position_embeddings)
    return min(lengths, default=math.inf)


@torch.inference_mode()
def difference(model: Any, pad: int) -> float:
    """How far a random question's log-likelihoods in one row, also behind a prefix, are from those of plain rows, at most.

    As a share of the plain row's log-likelihood. Of three choices, two start alike, and all end alike: whoever sees another
    choice has the end before its eyes. Infinite where the model fails on such a row.
    """
    draw = random.Random(0)
    context, (a, b, c, d), end = (
        [draw.randrange(model.config.get_text_config(decoder=True).vocab_size) for _ in range(number)]
        for number in (CONTEXT, 4, 2)
    )
    question = (context, [[a, c, *end], [a, d, *end], [b, c, *end]])
    plain = list(chains(0, question))
    with _short_window(model):
        alone = {n: v.logprob for _, n, v in score_rows(model, plain, Group([], plain, plain=True), None, pad)}
        try:
            together = [(n, v.logprob) for length in (0, PREFIX) for n, v in _in_one_row(model, question, length, pad)]
        except torch.OutOfMemoryError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            return math.inf
    return max(abs(value - alone[n]) / max(1.0, abs(alone[n])) for n, value in together)


def _in_one_row(model: Any, question: Packed, prefix: int, pad: int) -> Iterator[tuple[int, Likelihood]]:
    start = question[0][:prefix]
    row = tree(0, question, prefix)
    cache = fill(model, start, prefix) if start else None
    for _, choice, value in score_rows(model, [row], Group(start, [row], plain=False), cache, pad):
        yield choice, value


@contextmanager
def _short_window(model: Any) -> Iterator[None]:
    config, before = model.config.get_text_config(decoder=True), window(model)
    if before is None:
        yield
        return
    config.sliding_window = min(before, WINDOW)
    try:
        yield
    finally:
        config.sliding_window = before
