"""Log-likelihoods the plain way: each choice alone in a row of its own, every logit computed, as lm-eval does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def naive(model: Any, questions: Sequence[tuple[list[int], list[list[int]]]]) -> list[list[float]]:
    import torch

    result = []
    for context, choices in questions:
        sums = []
        for choice in choices:
            with torch.inference_mode():
                logprobs = model(torch.tensor([context + choice[:-1]])).logits[0].float().log_softmax(-1)
            sums.append(sum(logprobs[len(context) - 1 + i, token].item() for i, token in enumerate(choice)))
        result.append(sums)
    return result
