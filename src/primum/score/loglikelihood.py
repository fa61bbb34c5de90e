"""Log-likelihoods of choices given their context, each token computed once for all that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from transformers import Cache, DynamicCache

from primum.errors import PrimumError
from primum.score.masks import masks
from primum.score.prefix import shared_cache, shared_prefixes
from primum.score.rows import Packed, Row, chains, longest, tree

# A batch's logits have at most so many elements (256 MB in float32), and are taken to float32 by slices of the other.
LOGITS, SLICE = 2**26, 2**23
# A batch of so many tokens keeps a machine busy; above it, padding a row to more than 10/9 of its length costs more.
ENOUGH, FULL = 1024, 0.9


class Likelihood(NamedTuple):
    """Of a choice: the summed log-probability of its tokens (nats), and whether each is the likeliest where it stands."""

    logprob: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that attend to one prefix, longest first; ``plain`` rows need no mask of their own, and have no prefix."""

    prefix: list[int]
    rows: list[Row]
    plain: bool


@torch.inference_mode()
def loglikelihoods(
    model: torch.nn.Module,
    questions: Sequence[Packed],
    pad: int,
    batch_tokens: int,
    report: Callable[[int, int], None],
    within: float,
) -> list[list[Likelihood]]:
    """For each question the summed log-probability of each choice's tokens given the context, in nats (float64 sums).

    What the contexts start with alike is computed once (:func:`shared_prefixes`) and kept as keys and values; a
    question's context is computed once for all its choices, as one row (:func:`tree`). Where a question is longer than
    the tokens ``within`` which the model does that exactly (:func:`primum.score.reach.reach`), a choice is a plain row of
    its own.

    Memory beyond the weights: a batch has rows x (prefix + own width) <= ``batch_tokens``, padding included, unless one
    row alone is larger. That bounds the activations, one layer's keys and values, and the mask to ``batch_tokens`` x
    width elements of the model's dtype; with flex_attention there is no mask. A prefix is read ``batch_tokens`` at a time
    and its keys and values are held once for all rows. Logits are computed where a choice reads them, for at most
    ``LOGITS`` elements a batch, again unless one row alone needs more.

    Longest rows come first, so that what does not fit the memory fails at once. ``report(questions done, tokens read)``.
    PrimumError for a model without a head of its own.
    """
    results: list[list[Any]] = [[None] * len(choices) for _, choices in questions]
    left = [len(choices) for _, choices in questions]
    done = tokens = 0
    for group in _groups(questions, within):
        cache = fill(model, group.prefix, batch_tokens) if group.prefix else None
        tokens += len(group.prefix)
        for rows in _batches(group, batch_tokens, model):
            for question, choice, value in score_rows(model, rows, group, cache, pad):
                results[question][choice] = value
                left[question] -= 1
                done += left[question] == 0
            tokens += sum(len(row.tokens) for row in rows)
            report(done, tokens)
    return results


def _groups(questions: Sequence[Packed], within: float) -> list[Group]:
    plain = [i for i, question in enumerate(questions) if longest(question) > within]
    packed = sorted(set(range(len(questions))) - set(plain))
    alone = [row for i in plain for row in chains(i, questions[i])]
    # Not in one batch, whose longest row decides the rotary frequencies of all its rows.
    parts = [[row for row in alone if (len(row.tokens) > within) is beyond] for beyond in (True, False)]
    groups = [Group([], part, plain=True) for part in parts if part]
    contexts = [context for context, _ in questions]
    for length, members in shared_prefixes(contexts, packed) if packed else []:
        rows = [tree(i, questions[i], length) for i in members]
        groups.append(Group(contexts[members[0]][:length], rows, plain=False))
    for group in groups:
        group.rows.sort(key=lambda row: -len(row.tokens))
    return sorted(groups, key=lambda group: -len(group.prefix) - len(group.rows[0].tokens))


def _batches(group: Group, batch_tokens: int, model: Any) -> Iterator[list[Row]]:
    places = LOGITS // model.config.get_text_config(decoder=True).vocab_size
    batch: list[Row] = []
    needed = 0
    for row in group.rows:
        own = len((batch or [row])[0].tokens)
        full = (len(batch) + 1) * (len(group.prefix) + own) > batch_tokens or needed + len(row.needed) > places
        padded = len(batch) * own >= ENOUGH and len(row.tokens) < FULL * own
        if batch and (full or padded):
            yield batch
            batch, needed = [], 0
        batch.append(row)
        needed += len(row.needed)
    yield batch


def fill(model: Any, prefix: Sequence[int], batch_tokens: int) -> Cache:
    """The prefix's keys and values, read ``batch_tokens`` at a time."""
    device = next(model.parameters()).device
    cache = DynamicCache()
    for start in range(0, len(prefix), batch_tokens):
        ids = torch.tensor([prefix[start : start + batch_tokens]], device=device)
        _logits(model, torch.zeros(1, dtype=torch.int64), input_ids=ids, past_key_values=cache, use_cache=True)
    return shared_cache(cache)


def score_rows(
    model: Any, rows: Sequence[Row], group: Group, cache: Cache | None, pad: int
) -> Iterator[tuple[int, int, Likelihood]]:
    """(question, choice, likelihood) of every choice that the rows ask for; ``cache`` is the group's filled prefix."""
    parameter = next(model.parameters())
    width = max(len(row.tokens) for row in rows)
    ids = torch.full((len(rows), width), pad)
    for number, row in enumerate(rows):
        ids[number, : len(row.tokens)] = torch.tensor(row.tokens)
    inputs: dict[str, Any] = {"input_ids": ids.to(parameter.device), "use_cache": False}
    if not group.plain:
        prefix = len(group.prefix)
        positions, ends = (torch.full((len(rows), prefix + width), value) for value in (0, width))
        positions[:, :prefix] = torch.arange(prefix)
        for number, row in enumerate(rows):
            positions[number, prefix:][: len(row.tokens)] = torch.tensor(row.positions)
            ends[number, prefix:][: len(row.tokens)] = torch.tensor(row.ends)
        positions, ends = positions.to(parameter.device), ends.to(parameter.device)
        inputs["position_ids"] = positions[:, prefix:].contiguous()
        inputs["attention_mask"] = masks(model, ends, positions, width, parameter.dtype)
    if cache is not None:
        inputs |= {"past_key_values": cache, "use_cache": True}
    # The rest of a padded row is behind it, where nothing that is read attends to it.
    needed = torch.tensor([number * width + place for number, row in enumerate(rows) for place in row.needed])
    logits = _logits(model, needed, **inputs)
    at: list[int] = []
    tokens: list[int] = []
    before = 0
    for row in rows:
        where = {place: before + number for number, place in enumerate(row.needed)}
        at.extend(where[place] for asked in row.asked for place in asked.places)
        tokens.extend(token for asked in row.asked for token in asked.tokens)
        before += len(row.needed)
    logprobs, likeliest = _logprobs(logits, torch.tensor(at), torch.tensor(tokens))
    values = zip(logprobs.tolist(), likeliest.tolist(), strict=True)
    for row in rows:
        for asked in row.asked:
            own = [next(values) for _ in asked.tokens]
            yield asked.question, asked.choice, Likelihood(sum(v for v, _ in own), all(top for _, top in own))


def _logits(model: Any, needed: torch.Tensor, **inputs: Any) -> torch.Tensor:
    """The model's logits, (places, vocabulary), at ``needed`` of the flattened (rows x width).

    The hidden states are gathered just before the output head, so that whatever a model does to its logits afterwards
    (Gemma's soft cap, Cohere's scale) is done.
    """
    head = model.get_output_embeddings()
    if head is None:
        raise PrimumError(f"{type(model).__name__} has no output head: score a causal language model")

    def gather(_module: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = arguments[0].flatten(0, -2)
        return (hidden[needed.to(hidden.device)][None], *arguments[1:])

    hook = head.register_forward_pre_hook(gather)
    try:
        logits: torch.Tensor = model(**inputs).logits
    finally:
        hook.remove()
    return logits.flatten(0, -2)


def _logprobs(logits: torch.Tensor, at: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log softmax(logits[at])[tokens] as float64, and whether each is the first of the likeliest; both on the CPU.

    float32 inside, for ``SLICE`` elements at a time.
    """
    step = max(1, SLICE // logits.shape[-1])
    parts = torch.split(logits, step)
    norms = torch.cat([part.float().logsumexp(-1) for part in parts])
    top = torch.cat([part.argmax(-1) for part in parts])
    at, tokens = at.to(logits.device), tokens.to(logits.device)
    return (logits[at, tokens].float() - norms[at]).double().cpu(), (top[at] == tokens).cpu()
