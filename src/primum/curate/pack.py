"""Stage pack: a mixture rendered with a model's chat template, tokenised, and packed into chunks, with an audit of them."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.curate.tokenise import BY_SOURCE, Samples, Tokenisation, Tokenised
from primum.curate.workers import in_order, processes, to_ipc
from primum.errors import PrimumError
from primum.text.audit import NAMED, Check, LabelsAcross, audit_table, refused_check, rows_check
from primum.text.chat import assistant_spans, check_spans
from primum.text.packing import alone, arrange, chunks
from primum.text.rows import ChatRow
from primum.text.tokenizer import load_tokenizer

# ``id`` is the source.
TOKENS = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, pa.int64(), nullable=False) for name in ("samples", "tokens", "loss_tokens")]
)
_ROWS = 1_000
# A process takes some seconds to begin: fewer rows are done by then.
_ROWS_WORTH_PROCESSES = 10_000
_AGAIN = "pack again with --config refresh=curate"
_TEMPLATE = "name another chat template with the key 'template'"


def run(job: Job) -> Iterator[Result]:
    """Of each model its items with ``output`` ``chunks`` (``primum.text.packing.PACKED``), ``audit`` (``primum.text.audit``) and
    ``tokens`` (``TOKENS``: of each source in the mixture how many samples are packed, of how many tokens, learned and in all).

    Counts of the chunks: samples packed, truncated, and without a token to learn; conversations that the template refused.
    PrimumError where a check is above its limit.
    """
    for model, items in groupby(job.items, lambda item: item.name.partition("/")[0]):
        yield from _model(job, model, list(items))


def _model(job: Job, model: str, items: Sequence[Item]) -> Iterator[Result]:
    spec, work = items[0].spec, items[0].work
    work.mkdir(parents=True, exist_ok=True)
    by_output = {item.spec["output"]: item for item in items}
    with TemporaryDirectory(dir=work) as folder:
        samples, every, found, sources = _samples(job, model, items[0], Path(folder))
        counts = _counts(found, sources)
        lengths = samples.lengths.tolist()
        packing = spec.get("packing", True)
        bins = arrange(lengths, spec["chunk_tokens"], spec["seed"]) if packing else alone(len(lengths), spec["seed"])
        counts["chunks"] = len(bins)
        # A chunk of one sample has no place for another: it is padded to the longest of its batch alone.
        places = len(bins) * spec["chunk_tokens"] if packing else sum(lengths)
        across = LabelsAcross(samples.fingerprints)

        def audit(lost: int) -> pa.Table | None:
            """The audit, if it is asked for, with ``lost`` samples that no chunk holds as they are."""
            if "audit" not in by_output:
                return None
            return audit_table(model, _checks(counts, every, found, lost, places), by_output["audit"].spec["limits"])

        def packed() -> Iterator[pa.Table]:
            """The chunks, each looked at on its way. An error at their end is in time: they are not published before it."""
            done = 0
            for part in chunks(bins, samples.read):
                across.look(part)
                yield part
                done += part.num_rows
                job.progress.update(f"{model}: chunks", done, len(bins), done, "chunks")
            audit(across.count())

        audit(0)  # what is known before there are chunks
        if not bins:
            raise PrimumError(f"{model}: no sample has a token to learn from: raise chunk_tokens or check the mixture")
        filled = counts["tokens"] / places
        job.progress.say(f"{model}: {len(samples.lengths):,} samples in {len(bins):,} chunks, {filled:.1%} filled")
        if "chunks" in by_output:
            yield Result(by_output["chunks"], parts=packed(), counts=dict(counts))
        else:
            deque(packed(), maxlen=0)
        if "audit" in by_output:
            yield Result(by_output["audit"], table=audit(across.count()), counts={"samples": every})
        if "tokens" in by_output:
            yield Result(by_output["tokens"], table=_by_source(sources), counts={"tokens": counts["tokens"]})


def _samples(
    job: Job, model: str, item: Item, folder: Path
) -> tuple[Samples, int, dict[str, list[str]], Counter[tuple[str, str]]]:
    """The samples with a token to learn, how many there are in all, the ids that the checks found, and counts by source."""
    tokenizer = load_tokenizer(item.one("model"), item.spec["template"], item.spec["fold_system"])
    mixture = item.one("mixture")
    try:
        check_spans(tokenizer)
    except PrimumError as error:
        raise PrimumError(f"{model}: {error}") from None
    total = mixture.row_count()
    every = tokens = 0
    found: defaultdict[str, list[str]] = defaultdict(list)
    sources: Counter[tuple[str, str]] = Counter()
    parts: list[Tokenised] = []

    def batches() -> Iterator[bytes]:
        for part in mixture.slices():
            if not part.schema.equals(ChatRow.SCHEMA):
                raise PrimumError(f"{model}: its mixture holds plain text: use it with 'train: pretrain'")
            for first in range(0, part.num_rows, _ROWS):
                yield to_ipc(part.slice(first, _ROWS))

    tokenise = Tokenisation(tokenizer, item.spec["train_on_inputs"], item.spec["chunk_tokens"], folder)
    for done in in_order(tokenise, batches(), processes() if total >= _ROWS_WORTH_PROCESSES else 1, folder):
        for row in done.refused[: max(NAMED - len(found["refused"]), 0)]:
            _say_why(job, model, tokenizer, row)
        parts.append(done)
        every += done.samples
        found["refused"] += [row.id for row in done.refused]
        for check, ids in done.found.items():
            found[check] += ids
        sources.update(done.sources)
        tokens += sum(number for (what, _), number in done.sources.items() if what == "tokens")
        job.progress.update(model, every + len(found["refused"]), total, tokens, "tokens")
    if refused := len(found["refused"]):
        job.progress.say(f"{model}: {refused:,} of {total:,} conversations are refused by its chat template")
    return Samples(parts), every, dict(found), sources


def _counts(found: Mapping[str, Sequence[str]], sources: Mapping[tuple[str, str], int]) -> Counter[str]:
    """The counts of the chunks."""
    counts = Counter({what: len(found[what]) for what in ("refused", "truncated", "no-loss-tokens") if found.get(what)})
    for (what, _), number in sources.items():
        counts[what] += number
    return counts


def _by_source(counts: Mapping[tuple[str, str], int]) -> pa.Table:
    names = sorted({source for _, source in counts})
    columns = [names, *([counts[what, name] for name in names] for what in BY_SOURCE)]
    return pa.Table.from_arrays(
        [pa.array(each, kind) for each, kind in zip(columns, TOKENS.types, strict=True)], schema=TOKENS
    )


def _say_why(job: Job, model: str, tokenizer: Any, row: ChatRow) -> None:
    """Why a row is left out, found again: its error was in another process."""
    try:
        assistant_spans(tokenizer, row.messages)
    except PrimumError as error:
        job.progress.say(f"{model}: {row.id} is left out: {error}")


def _checks(
    counts: Counter[str], every: int, found: Mapping[str, Sequence[str]], across: int, places: int
) -> list[Check]:
    """The checks in the order in which people read them; ``places`` is how many tokens the chunks could hold."""
    longer, whole = "raise chunk_tokens", every - counts["truncated"]
    return [
        refused_check(found, every + counts["refused"], "conversations"),
        rows_check("no-loss-tokens", found, every, "samples", f"{longer} or check the mixture"),
        rows_check("end-unlearned", found, whole, "samples that are not cut", _TEMPLATE),
        rows_check("two-bos", found, every, "samples", _TEMPLATE),
        Check("labels-across-samples", across, counts["packed"], "samples", _AGAIN),
        rows_check("truncated", found, every, "samples", longer),
        Check("unfilled", places - counts["tokens"], places, "token places", "lower chunk_tokens"),
    ]
