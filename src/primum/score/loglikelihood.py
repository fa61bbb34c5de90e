"""Log-likelihoods of choices given their context, each context computed once for all its choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

# (context ids, continuation ids of every choice)
Packed = tuple[list[int], list[list[int]]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Questions as rows, padded on the left; see :func:`_batch`."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    keep: int


def _length(question: Packed) -> int:
    return len(question[0]) + sum(map(len, question[1]))


def _batch(questions: Sequence[Packed], pad: int, dtype: torch.dtype) -> _Batch:
    """One row a question: its context, then all its choices, which see the context and themselves but not each other.

    ::

        row         [pad pad c c c | a a | b b b]
        position     0   0   0 1 2   3 4   3 4 5

                     c c c a a b b b
        a attends    x x x x x . . .     (causally, within its own choice)
        b attends    x x x . . x x x

    ``ids`` and ``positions`` are int64 (rows, width); ``mask`` is additive, (rows, 1, width, width), of ``dtype``;
    ``keep`` is how many last positions hold every choice's logits, the context's last token among them.
    """
    width = max(map(_length, questions))
    ids = torch.full((len(questions), width), pad)
    positions = torch.zeros((len(questions), width), dtype=torch.int64)
    segments = torch.full((len(questions), width), -1)
    for row, (context, choices) in enumerate(questions):
        place = width - _length((context, choices))
        for segment, tokens in enumerate([context, *choices]):
            end = place + len(tokens)
            first = len(context) if segment else 0
            ids[row, place:end] = torch.tensor(tokens)
            positions[row, place:end] = torch.arange(first, first + len(tokens))
            segments[row, place:end] = segment
            place = end
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    query, key = segments[:, :, None], segments[:, None, :]
    seen = causal & ((query == key) | (key == 0) & (query > 0))
    # A padded position attends to itself, since a row of the mask with nothing in it has no softmax.
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    keep = max(sum(map(len, choices)) for _, choices in questions) + 1
    return _Batch(ids, positions, mask[:, None], keep)


@torch.inference_mode()
def loglikelihoods(
    model: torch.nn.Module,
    questions: Sequence[Packed],
    pad: int,
    batch_tokens: int,
    report: Callable[[int, int], None],
) -> list[list[float]]:
    """For each question the summed log-probability of each choice's tokens given the context, in nats.

    A batch holds at most ``batch_tokens`` tokens, padding included; longest questions come first, so that what does not
    fit the memory fails at once. ``report(done questions, tokens so far)``. Needs an attention implementation that takes
    a mask (eager or sdpa).
    """
    order = sorted(range(len(questions)), key=lambda i: (-_length(questions[i]), i))
    parameter = next(model.parameters())
    result: list[list[float]] = [[] for _ in questions]
    done = tokens = 0
    while done < len(order):
        chosen = order[done : done + max(1, batch_tokens // _length(questions[order[done]]))]
        batch = _batch([questions[i] for i in chosen], pad, parameter.dtype)
        logits = model(
            input_ids=batch.ids.to(parameter.device),
            attention_mask=batch.mask.to(parameter.device),
            position_ids=batch.positions.to(parameter.device),
            logits_to_keep=batch.keep,
            use_cache=False,
        ).logits
        logprobs = torch.log_softmax(logits.float(), -1)
        for row, index in enumerate(chosen):
            choices = questions[index][1]
            place = batch.keep - sum(map(len, choices))
            before = place - 1  # the context's last token predicts every choice's first
            for choice in choices:
                where = [before, *range(place, place + len(choice) - 1)]
                picked = logprobs[row, where, choice].double()
                result[index].append(float(picked.sum()))
                place += len(choice)
        done += len(chosen)
        tokens += sum(_length(questions[i]) for i in chosen)
        report(done, tokens)
    return result
