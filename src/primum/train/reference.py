"""Stage reference: preference pairs as tokens, with the reference model's log-probability of each response.

Computed once and kept, so that DPO never holds two models and a second run of it never asks the reference again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import torch

from primum.artifact.job import Job, Result
from primum.chat import render
from primum.rows import Message, PreferenceRow, from_table
from primum.loading import load_model
from primum.tokenizer import load_tokenizer
from primum.train.common import start

_IDS = pa.list_(pa.int32())
REFERENCE = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, _IDS, nullable=False) for name in ("prompt_ids", "chosen_ids", "rejected_ids")]
    + [pa.field(name, pa.float32(), nullable=False) for name in ("ref_chosen_logps", "ref_rejected_logps")]
)
_BATCH = 32


def run(job: Job) -> Iterator[Result]:
    """One table (``REFERENCE``). A prompt renders once, with its generation prompt, so each sequence has one BOS."""
    for item in job.items:
        start(1, 0)
        source = item.one("model")
        tokenizer = load_tokenizer(source)
        limit = item.spec["max_length"]
        rows = from_table(item.one("pairs").table(), PreferenceRow)
        records = []
        counts = {"kept": 0, "prompt-too-long": 0, "truncated": 0}
        for row in rows:
            text = render(tokenizer, row.prompt, generation_prompt=True)
            prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
            sides = []
            for response in (row.chosen, row.rejected):
                full = render(tokenizer, (*row.prompt, Message("assistant", response)), generation_prompt=False)
                sides.append(tokenizer(full.removeprefix(text), add_special_tokens=False)["input_ids"])
            if len(prompt) >= limit:
                counts["prompt-too-long"] += 1
                continue
            counts["truncated"] += any(len(prompt) + len(side) > limit for side in sides)
            counts["kept"] += 1
            chosen, rejected = (side[: limit - len(prompt)] for side in sides)
            records.append({"id": row.id, "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
        model = load_model(source, item.spec["dtype"]).eval()
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        for first in range(0, len(records), _BATCH):
            batch = records[first : first + _BATCH]
            for side in ("chosen", "rejected"):
                sums = response_logprobs(model, [(r["prompt_ids"], r[f"{side}_ids"]) for r in batch], tokenizer.pad_token_id)
                for record, value in zip(batch, sums, strict=True):
                    record[f"ref_{side}_logps"] = value
            done = first + len(batch)
            job.progress.update(item.name, done, len(records), done, "pairs")
        yield Result(item, table=pa.Table.from_pylist(records, schema=REFERENCE), counts=counts)


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
    logits = model(input_ids=ids.to(device), attention_mask=attention.to(device)).logits[:, :-1].float()
    picked = torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None].to(device)).squeeze(2)
    sums: list[float] = (picked * mask[:, 1:].to(device)).sum(1).tolist()
    return sums
