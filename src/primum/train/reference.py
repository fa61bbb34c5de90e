"""Stage reference: preference pairs as tokens, with the reference model's log-probability of each response.

Computed once and kept, so that DPO never holds two models and a second run of it never asks the reference again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import torch

from primum.artifact.job import Job, Result
from primum.artifact.weights import load_model
from primum.errors import PrimumError
from primum.progress import Progress
from primum.text.chat import render
from primum.text.rows import Message, PreferenceRow, from_table
from primum.text.tokenizer import load_tokenizer
from primum.train.common import start

_IDS = pa.list_(pa.int32())
REFERENCE = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, _IDS, nullable=False) for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    + [pa.field(name, pa.float32(), nullable=False) for name in ("ref_chosen_logps", "ref_rejected_logps")]
)
# Padding included: the logits of a batch are this many times the vocabulary.
_BATCH_TOKENS = 8192


def run(job: Job) -> Iterator[Result]:
    """One table (``REFERENCE``), in the pairs' order. Counts: pairs kept, truncated, dropped as too long or as equal."""
    for item in job.items:
        start(1, 0)
        source = item.one("model")
        tokenizer = load_tokenizer(source)
        counts: Counter[str] = Counter()
        records = []
        for row in from_table(item.one("pairs").table(), PreferenceRow):
            try:
                record, outcome = _tokenize(tokenizer, row, item.spec["max_length"])
            except PrimumError as error:
                raise PrimumError(f"{item.name}: {row.id}: {error}") from None
            counts.update(outcome)
            if record is not None:
                records.append(record)
        if not records:
            raise PrimumError(f"{item.name}: no pair is left ({dict(counts)}): raise max_length or check the pairs")
        model = load_model(source, item.spec["dtype"]).eval()
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        _add_logprobs(model, records, tokenizer.pad_token_id, item.name, job.progress)
        yield Result(item, table=pa.Table.from_pylist(records, schema=REFERENCE), counts=dict(counts))


def _tokenize(tokenizer: Any, row: PreferenceRow, limit: int) -> tuple[dict[str, Any] | None, list[str]]:
    """The pair as tokens, at most ``limit`` a sequence (responses lose their end), and its outcome.

    Each conversation is rendered and tokenised as a whole, as a model reads it, and split where its response begins: a
    tokenizer that marks the start of a text (SentencePiece's) would mark that of a response by itself. The prompt is what the
    two have in common before that; a token that reaches over the place belongs to the response.
    """
    text = render(tokenizer, row.prompt, generation_prompt=True)
    sides, starts = [], []
    for response in (row.chosen, row.rejected):
        full = render(tokenizer, (*row.prompt, Message("assistant", response)), generation_prompt=False)
        if not full.startswith(text):
            raise PrimumError(
                f"{tokenizer.name_or_path}: its chat template rewrites earlier turns: responses are unclear"
            )
        encoded = tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
        sides.append(encoded["input_ids"])
        starts.append(sum(end <= len(text) for _, end in encoded["offset_mapping"]))
    shared = next((i for i, (a, b) in enumerate(zip(*sides, strict=False)) if a != b), min(map(len, sides)))
    start = min(shared, *starts)
    prompt = sides[0][:start]
    if len(prompt) >= limit:
        return None, ["prompt-too-long"]
    responses = [side[start:] for side in sides]
    chosen, rejected = (response[: limit - start] for response in responses)
    if chosen == rejected:
        return None, ["equal-texts"]
    outcome = ["kept", "truncated"] if [chosen, rejected] != responses else ["kept"]
    return {"id": row.id, "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}, outcome


def _add_logprobs(model: Any, records: list[dict[str, Any]], pad: int, name: str, progress: Progress) -> None:
    """Give every record its ``ref_chosen_logps`` and ``ref_rejected_logps``. PrimumError when one is not finite."""
    asked = [(record, side) for record in records for side in ("chosen", "rejected")]
    lengths = [len(record["prompt_ids"]) + len(record[f"{side}_ids"]) for record, side in asked]
    # Longest first: what does not fit the memory fails at once, and a batch is padded little.
    order = sorted(range(len(asked)), key=lambda i: (-lengths[i], i))
    done = tokens = 0
    while done < len(order):
        chosen = order[done : done + max(1, _BATCH_TOKENS // lengths[order[done]])]
        batch = [asked[i] for i in chosen]
        sums = response_logprobs(model, [(record["prompt_ids"], record[f"{side}_ids"]) for record, side in batch], pad)
        for (record, side), value in zip(batch, sums, strict=True):
            if not math.isfinite(value):
                raise PrimumError(
                    f"{name}: {record['id']}: its log-probability is not finite: check the reference model"
                )
            record[f"ref_{side}_logps"] = value
        done += len(chosen)
        tokens += sum(lengths[i] for i in chosen)
        progress.update(name, done, len(order), tokens, "tokens")


@torch.inference_mode()
def response_logprobs(model: torch.nn.Module, pairs: Sequence[tuple[list[int], list[int]]], pad: int) -> list[float]:
    """For each (prompt ids, response ids) the summed log-probability of the response's tokens, in nats."""
    width = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.full((len(pairs), width), pad)
    mask = torch.zeros((len(pairs), width), dtype=torch.bool)
    attention = torch.zeros((len(pairs), width), dtype=torch.int64)
    for row, (prompt, response) in enumerate(pairs):
        length = len(prompt) + len(response)
        ids[row, :length] = torch.tensor(prompt + response)
        mask[row, len(prompt) : length] = True
        attention[row, :length] = 1
    device = next(model.parameters()).device
    logits = model(input_ids=ids.to(device), attention_mask=attention.to(device), use_cache=False).logits
    sums: list[float] = []
    # A row at a time in float32, since a batch of logits is the largest thing here.
    for row, scores in enumerate(logits):
        where = mask[row, 1:].to(device)
        picked = scores[:-1][where].float().log_softmax(-1).gather(1, ids[row, 1:, None].to(device)[where])
        sums.append(float(picked.double().sum()))
    return sums
