"""Log-likelihoods the plain way: each choice alone in a row of its own, every logit computed, as lm-eval does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any


def together(
    model: Any,
    questions: Sequence[tuple[list[int], list[list[int]]]],
    pad: int = 0,
    batch_tokens: int = 1000,
    report: Callable[[int, int], None] = lambda done, tokens: None,
    within: float = math.inf,
) -> list[list[float]]:
    """The log-likelihoods as the package computes them, many choices in a row up to ``within`` tokens."""
    from primum.score.loglikelihood import loglikelihoods

    found = loglikelihoods(model, questions, pad, batch_tokens, report, within)
    return [[value.logprob for value in choices] for choices in found]


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


def naive_greedy(model: Any, context: list[int], choice: list[int]) -> bool:
    """Whether the model would write the choice itself, a token at a time."""
    import torch

    ids = list(context)
    for token in choice:
        with torch.inference_mode():
            if model(torch.tensor([ids])).logits[0, -1].argmax().item() != token:
                return False
        ids.append(token)
    return True
