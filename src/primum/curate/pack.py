"""Stage pack: a mixture rendered with a model's chat template, tokenised, and packed into chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from primum.artifact.job import Job, Result
from primum.errors import PrimumError
from primum.text.chat import tokenize_conversation
from primum.text.packing import IGNORED, Sample, pack
from primum.text.rows import ChatRow, from_table
from primum.text.tokenizer import load_tokenizer

_ROWS = 10_000


def run(job: Job) -> Iterator[Result]:
    """One table (``primum.text.packing.PACKED``) a model. Counts: samples packed, truncated, and without a token to learn."""
    for item in job.items:
        chunk_tokens = item.spec["chunk_tokens"]
        tokenizer = load_tokenizer(item.one("model"), item.spec["template"], item.spec["fold_system"])
        table = item.one("mixture").table()
        if not table.schema.equals(ChatRow.SCHEMA):
            raise PrimumError(f"{item.name}: its mixture holds plain text: use it with 'train: pretrain'")
        samples: list[Sample] = []
        counts: Counter[str] = Counter()
        for done, row in enumerate(_rows(table), 1):
            try:
                sample = tokenize_conversation(tokenizer, row.messages, item.spec["train_on_inputs"])
            except PrimumError as error:
                raise PrimumError(f"{item.name}: {row.id}: {error}") from None
            if len(sample.input_ids) > chunk_tokens:
                counts["truncated"] += 1
                sample = Sample(sample.input_ids[:chunk_tokens], sample.labels[:chunk_tokens])
            # A chunk's collator gives a sample's first token no label: nothing comes before it.
            learned = int((sample.labels[1:] != IGNORED).sum())
            if not learned:
                counts["no-loss-tokens"] += 1
                continue
            counts["packed"] += 1
            counts["tokens"] += len(sample.input_ids)
            counts["loss-tokens"] += learned
            samples.append(sample)
            job.progress.update(item.name, done, table.num_rows, counts["tokens"], "tokens")
        if not samples:
            raise PrimumError(
                f"{item.name}: no sample has a token to learn from: raise chunk_tokens or check the mixture"
            )
        packed = pack(samples, chunk_tokens, item.spec["seed"])
        counts["chunks"] = packed.num_rows
        filled = counts["tokens"] / (packed.num_rows * chunk_tokens)
        job.progress.say(f"{item.name}: {len(samples):,} samples in {packed.num_rows:,} chunks, {filled:.1%} filled")
        yield Result(item, table=packed, counts=dict(counts))


def _rows(table: pa.Table) -> Iterator[ChatRow]:
    """A few rows at a time: as objects, the rows of a large mixture take several times the memory of their table."""
    for first in range(0, table.num_rows, _ROWS):
        yield from from_table(table.slice(first, _ROWS), ChatRow)
