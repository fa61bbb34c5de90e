"""Log-likelihoods of continuations given contexts, batched by a token budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch


@torch.inference_mode()
def loglikelihoods(
    model: torch.nn.Module,
    pairs: Sequence[tuple[list[int], list[int]]],
    pad: int,
    batch_tokens: int,
    report: Callable[[int, int], None],
) -> list[float]:
    """For each (context ids, continuation ids) the summed log-probability of the continuation, in nats.

    Longest first, so that a batch that does not fit the memory fails at once; rows are padded on the left, so that the
    continuations lie at the end and only their logits are computed. ``report(done pairs, tokens so far)``.
    """
    order = sorted(range(len(pairs)), key=lambda i: (-sum(map(len, pairs[i])), i))
    device = next(model.parameters()).device
    result = [0.0] * len(pairs)
    done = tokens = 0
    while done < len(order):
        width = sum(map(len, pairs[order[done]]))
        batch = order[done : done + max(1, batch_tokens // width)]
        ids = torch.full((len(batch), width), pad)
        mask = torch.zeros((len(batch), width), dtype=torch.int64)
        for row, index in enumerate(batch):
            sequence = pairs[index][0] + pairs[index][1]
            ids[row, width - len(sequence) :] = torch.tensor(sequence)
            mask[row, width - len(sequence) :] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        longest = max(len(pairs[index][1]) for index in batch)
        logits = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            logits_to_keep=longest + 1,
            use_cache=False,
        ).logits[:, :-1]
        logprobs = torch.log_softmax(logits.float(), -1)
        picked = logprobs.gather(2, ids[:, -longest:, None].to(device)).squeeze(2).double().cpu()
        for row, index in enumerate(batch):
            result[index] = float(picked[row, longest - len(pairs[index][1]) :].sum())
        done += len(batch)
        tokens += int(mask.sum())
        report(done, tokens)
    return result
