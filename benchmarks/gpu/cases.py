"""The cases of the GPU benchmark, the most important first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """A case: which function of the worker, with what, and the seconds that it may take; ``tiny`` is what a CPU gets."""

    name: str
    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    limit: float = 60
    tiny: dict[str, Any] | None = None


def _train(name: str, kind: str, steps: int = 10, limit: float = 60, **change: Any) -> Case:
    return Case(name, kind, {"steps": steps, "change": change}, limit, {"steps": 1, "change": change})


def _score(name: str, items: int, context: int, shots: int) -> Case:
    asked = {"items": items, "context": context, "shots": shots}
    return Case(name, "score", asked, 90, asked | {"items": 6, "context": 40, "budget": 1024})


_LARGE = 128_256

CASES = [
    # The first to use the device and each of its kernels may wait for a cold disk.
    Case("about", "about", limit=90),
    _train("SFT, primum", "primum_sft", limit=90),
    _train("SFT, TRL packed, 1 chunk", "trl_sft", limit=90,
           settings={"packing": True, "per_device_train_batch_size": 1}),
    _train("SFT, TRL padded, 8 rows", "trl_sft", 16),
    _score("zero-shot, 120 tokens", 1024, 120, 0),
    _score("five-shot, 120 tokens", 256, 120, 5),
    _train("DPO, primum", "primum_dpo"),
    _train("DPO, TRL live reference", "trl_dpo"),
    Case("attention resets, sdpa", "resets", {"kernel": "sdpa"}),
    Case("attention resets, varlen", "resets", {"kernel": "varlen"}),
    Case("attention resets, flex", "resets", {"kernel": "flex_attention"}, 75),
    _train("SFT, primum, checkpointing", "primum_sft", checkpointing=True),
    _train("SFT, primum, sdpa", "primum_sft", attention="sdpa"),
    _train("SFT experiment: kernels need not be deterministic", "primum_sft", deterministic=False),
    _train("SFT experiment: not deterministic, compiled layers", "primum_sft", limit=90, deterministic=False, compile=True),
    _train("SFT experiment: not deterministic, flex attention", "primum_sft", limit=75, deterministic=False,
           attention="flex_attention"),
    _train("SFT experiment: not deterministic, Liger's layers", "primum_sft", deterministic=False, liger=True),
    _train("SFT, primum, vocabulary 128,256", "primum_sft", vocabulary=_LARGE),
    _train("SFT, primum, a chunk is one sample", "primum_sft", whole=True),
    _score("zero-shot, 200 tokens", 1024, 200, 0),
    _score("five-shot, 200 tokens", 128, 200, 5),
    _train("SFT, TRL packed, 8 chunks", "trl_sft", 1, 75, settings={"packing": True}),
]  # fmt: skip
