"""Stage pack: a mixture rendered with a model's chat template, tokenised, and packed into chunks, with an audit of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.text.audit import (
    NAMED,
    Check,
    audit_table,
    has_end_unlearned,
    has_two_bos,
    labels_across_samples,
    refused_check,
)
from primum.text.chat import check_spans, tokenize_conversation
from primum.text.packing import IGNORED, Sample, pack
from primum.text.rows import ChatRow, from_table
from primum.text.tokenizer import load_tokenizer

_ROWS = 10_000
_AGAIN = "pack again with --config refresh=curate"
_TEMPLATE = "name another chat template with the key 'template'"


def run(job: Job) -> Iterator[Result]:
    """Of each model its items with ``output`` ``chunks`` (``primum.text.packing.PACKED``) and ``audit`` (``primum.text.audit``).

    Counts of the chunks: samples packed, truncated, and without a token to learn; conversations that the template refused.
    PrimumError where a check is above its limit.
    """
    for model, items in groupby(job.items, lambda item: item.name.partition("/")[0]):
        yield from _model(job, model, list(items))


def _model(job: Job, model: str, items: Sequence[Item]) -> Iterator[Result]:
    spec = items[0].spec
    samples, counts, found = _samples(job, model, items[0])
    packed = pack(samples, spec["chunk_tokens"], spec["seed"])
    counts["chunks"] = packed.num_rows
    places = packed.num_rows * spec["chunk_tokens"]
    checks = _checks(counts, found, labels_across_samples(packed, samples), places)
    # All of them before the first is given: chunks beside an audit that fails are not published.
    results = [
        Result(item, table=packed, counts=dict(counts))
        if item.spec["output"] == "chunks"
        else Result(item, table=audit_table(model, checks, item.spec["limits"]), counts={"samples": found["samples"]})
        for item in items
    ]
    if not samples:
        raise PrimumError(f"{model}: no sample has a token to learn from: raise chunk_tokens or check the mixture")
    filled = counts["tokens"] / places
    job.progress.say(f"{model}: {len(samples):,} samples in {packed.num_rows:,} chunks, {filled:.1%} filled")
    yield from results


def _samples(job: Job, model: str, item: Item) -> tuple[list[Sample], Counter[str], Counter[str]]:
    """The samples with a token to learn, the counts of the chunks, and what the checks found."""
    chunk_tokens = item.spec["chunk_tokens"]
    tokenizer = load_tokenizer(item.one("model"), item.spec["template"], item.spec["fold_system"])
    table = item.one("mixture").table()
    if not table.schema.equals(ChatRow.SCHEMA):
        raise PrimumError(f"{model}: its mixture holds plain text: use it with 'train: pretrain'")
    try:
        check_spans(tokenizer)
    except PrimumError as error:
        raise PrimumError(f"{model}: {error}") from None
    samples: list[Sample] = []
    counts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for done, row in enumerate(_rows(table), 1):
        job.progress.update(model, done, table.num_rows, counts["tokens"], "tokens")
        try:
            sample = tokenize_conversation(tokenizer, row.messages, item.spec["train_on_inputs"])
        except PrimumError as error:
            counts["refused"] += 1
            if counts["refused"] <= NAMED:
                job.progress.say(f"{model}: {row.id} is left out: {error}")
            continue
        found["samples"] += 1
        found["two-bos"] += has_two_bos(tokenizer, sample.input_ids)
        if len(sample.input_ids) > chunk_tokens:
            counts["truncated"] += 1
            sample = Sample(sample.input_ids[:chunk_tokens], sample.labels[:chunk_tokens])
        else:
            found["end-unlearned"] += has_end_unlearned(tokenizer, sample)
        # A chunk's collator gives a sample's first token no label: nothing comes before it.
        learned = int((sample.labels[1:] != IGNORED).sum())
        if not learned:
            counts["no-loss-tokens"] += 1
            continue
        counts["packed"] += 1
        counts["tokens"] += len(sample.input_ids)
        counts["loss-tokens"] += learned
        samples.append(sample)
    if counts["refused"]:
        job.progress.say(
            f"{model}: {counts['refused']:,} of {table.num_rows:,} conversations are refused by its chat template"
        )
    return samples, counts, found


def _checks(counts: Counter[str], found: Counter[str], across: int, places: int) -> list[Check]:
    """The checks in the order in which people read them; ``places`` is how many tokens the chunks could hold."""
    every, truncated = found["samples"], counts["truncated"]
    longer = "raise chunk_tokens"
    return [
        refused_check(counts["refused"], every + counts["refused"], "conversations"),
        Check("no-loss-tokens", counts["no-loss-tokens"], every, "samples", f"{longer} or check the mixture"),
        Check("end-unlearned", found["end-unlearned"], every - truncated, "samples that are not cut", _TEMPLATE),
        Check("two-bos", found["two-bos"], every, "samples", _TEMPLATE),
        Check("labels-across-samples", across, counts["packed"], "samples", _AGAIN),
        Check("truncated", truncated, every, "samples", longer),
        Check("unfilled", places - counts["tokens"], places, "token places", "lower chunk_tokens"),
    ]


def _rows(table: pa.Table) -> Iterator[ChatRow]:
    """A few rows at a time: as objects, the rows of a large mixture take several times the memory of their table."""
    for first in range(0, table.num_rows, _ROWS):
        yield from from_table(table.slice(first, _ROWS), ChatRow)
