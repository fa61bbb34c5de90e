"""Scoring on a GPU: primum's log-likelihoods with sdpa and flex attention, and lm-eval's ``hf`` backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import shapes
import torch

from primum.score.loglikelihood import loglikelihoods
from primum.score.reach import configured
from primum.score.rows import Packed

# primum's default (``Engine.batch_tokens``), and lm-eval's batch sizes, of which the best on a part counts.
BATCH_TOKENS, BATCH_SIZES, PART, EXACT, ROUNDS = 16384, (16, 64), 64, 32, 2

Sums = list[list[float]]


def _best(call: Callable[[], Sums]) -> tuple[Sums, list[float]]:
    """The result and the seconds of each of ``ROUNDS`` calls; both backends end on the CPU, so nothing is left to wait for."""
    found: Sums = []
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - began)
    return found, seconds


def _difference(one: Sums, other: Sums) -> float:
    return max(abs(a - b) for left, right in zip(one, other, strict=False) for a, b in zip(left, right, strict=True))


def _agree(one: Sums, other: Sums) -> float:
    same = [max(range(len(a)), key=a.__getitem__) == max(range(len(b)), key=b.__getitem__) for a, b in zip(one, other)]  # noqa: B905
    return sum(same) / len(same)


def _primum(model: Any, asked: list[Packed], pad: int, budget: int) -> Sums:
    found = loglikelihoods(model, asked, pad, budget, lambda done, tokens: None, configured(model))
    return [[each.logprob for each in choices] for choices in found]


def _lm_eval(model: Any, tokenizer: Any, asked: list[Packed], size: int) -> Sums:
    from lm_eval.models.huggingface import HFLM

    backend = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size, device=shapes.DEVICE, max_length=8192)
    flat = [(("", ""), context, choice) for context, choices in asked for choice in choices]
    values = iter(value for value, _ in backend._loglikelihood_tokens(flat, disable_tqdm=True))
    return [[next(values) for _ in choices] for _, choices in asked]


def compare(
    shape: shapes.Shape, items: int, context: int, shots: int, budget: int = BATCH_TOKENS
) -> Iterator[dict[str, Any]]:
    """A row for each backend, on one model in bfloat16; ``error`` is the furthest from float32 on the first items.

    A backend that fails loses its own row alone.
    """
    asked = shapes.questions(shape, items, context, shots)
    tokenizer = shapes.tokenizer()
    pad = tokenizer.pad_token_id
    precise = shapes.llama(shape).eval()
    exact = _primum(precise, asked[:EXACT], pad, budget)
    del precise
    model = shapes.llama(shape, torch.bfloat16).eval()

    def sdpa() -> tuple[Callable[[], Sums], dict[str, Any]]:
        _primum(model, asked, pad, budget)
        return lambda: _primum(model, asked, pad, budget), {}

    def lm_eval() -> tuple[Callable[[], Sums], dict[str, Any]]:
        took = {}
        for size in BATCH_SIZES:
            _lm_eval(model, tokenizer, asked[:8], size)
            began = time.perf_counter()
            _lm_eval(model, tokenizer, asked[:PART], size)
            took[size] = time.perf_counter() - began
        best = min(took, key=took.__getitem__)
        return lambda: _lm_eval(model, tokenizer, asked, best), {"batch_size": best}

    def flex() -> tuple[Callable[[], Sums], dict[str, Any]]:
        model.set_attn_implementation("flex_attention")
        began = time.perf_counter()
        _primum(model, asked, pad, budget)
        return lambda: _primum(model, asked, pad, budget), {"first_s": time.perf_counter() - began}

    results: dict[str, tuple[Sums, float]] = {}
    for name, prepare in {"primum sdpa": sdpa, "lm-eval": lm_eval, "primum flex": flex}.items():
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        row: dict[str, Any] = {"part": name, "items": items, "context": sum(len(each) for each, _ in asked) / items}
        try:
            call, more = prepare()
            found, seconds = _best(call)
        except Exception as error:  # the next backend's row is worth having
            yield row | {"status": "failed", "error": f"{type(error).__name__}: {error}"[:500]}
            continue
        results[name] = (found, min(seconds))
        row |= more | {
            "items_per_s": items / min(seconds),
            "seconds": seconds,
            "error_float32": _difference(found, exact),
        }
        if name != "primum sdpa" and "primum sdpa" in results:
            ours, fastest = results["primum sdpa"]
            row |= {"difference": _difference(found, ours), "agree": _agree(found, ours)}
            row["primum_sdpa_is_faster"] = min(seconds) / fastest
        yield row
