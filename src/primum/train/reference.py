"""Stage reference: preference pairs as tokens, with the reference model's log-probability of each response, and their audit.

Computed once and kept, so that DPO never holds two models and a second run of it never asks the reference again. Several
processes share the batches between them, and the model too where a GPU cannot hold it. Each keeps a journal of the batches that
it has done: whoever comes after a kill, as many processes or not, goes on from there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.parallel.batches import in_batches
from primum.parallel.logprobs import response_logprobs
from primum.parallel.processes import from_first, rank
from primum.parallel.scorer import Scorer, load_scorer
from primum.progress import Progress
from primum.text.audit import NAMED, audit_table
from primum.text.chat import check_answers
from primum.text.rows import PreferenceRow, from_table
from primum.text.tokenizer import load_tokenizer
from primum.train.common import start
from primum.train.pairs import faults, pair_checks, tokenize_pair

_IDS = pa.list_(pa.int32())
_TOKENS = [pa.field("id", pa.string(), nullable=False)] + [
    pa.field(name, _IDS, nullable=False) for name in ("prompt_ids", "chosen_ids", "rejected_ids")
]
REFERENCE = pa.schema(
    _TOKENS + [pa.field(name, pa.float32(), nullable=False) for name in ("ref_chosen_logps", "ref_rejected_logps")]
)
# Padding included: the logits of a batch are this many times the vocabulary.
_BATCH_TOKENS = 8192


def run(job: Job) -> Iterator[Result]:
    """Items with ``output`` ``audit`` (``primum.text.audit``), and ``pairs`` (``REFERENCE``), in the pairs' order.

    Counts: pairs kept, truncated, dropped as too long, as equal or as refused by the chat template. PrimumError where a check is
    above its limit.
    """
    for item in job.items:
        source = item.one("model")
        tokenizer = load_tokenizer(source)
        if item.spec["output"] == "audit":
            yield _audit(item, tokenizer, job.progress)  # which names the refused pairs
            continue
        start(1, 0)
        item.work.mkdir(parents=True, exist_ok=True)
        records, counts = _tokens(item, tokenizer, job.progress)
        scorer = load_scorer(source, item.spec["dtype"])
        add_logprobs(scorer, records, tokenizer.pad_token_id, item.name, job.progress, item.work)
        yield Result(item, table=pa.Table.from_pylist(records, schema=REFERENCE), counts=counts)


def _audit(item: Item, tokenizer: Any, progress: Progress) -> Result:
    """From the tokens alone: no model is loaded, and one process is enough."""
    pairs = 0
    found: defaultdict[str, list[str]] = defaultdict(list)
    for id, record, outcome in _outcomes(item, tokenizer, progress, NAMED):
        pairs += 1
        wrong = [] if record is None else faults(tokenizer, record, "truncated" in outcome)
        for what in (*outcome, *wrong):
            found[what].append(id)
    table = audit_table(item.name.partition("/")[0], pair_checks(pairs, found), item.spec["limits"])
    return Result(item, table=table, counts={"pairs": pairs})


def _outcomes(
    item: Item, tokenizer: Any, progress: Progress, named: int
) -> Iterator[tuple[str, dict[str, Any] | None, list[str]]]:
    """Every pair's id, and it as :func:`primum.train.pairs.tokenize_pair` has it, or ``refused``.

    The first ``named`` of those go into the log.
    """
    try:
        check_answers(tokenizer)
    except PrimumError as error:
        raise PrimumError(f"{item.name}: {error}") from None
    refused = 0
    for row in from_table(item.one("pairs").table(), PreferenceRow):
        try:
            outcome = tokenize_pair(tokenizer, row, item.spec["max_length"])
        except PrimumError as error:
            refused += 1
            if refused <= named:
                progress.say(f"{item.name}: {row.id} is left out: {error}")
            outcome = None, ["refused"]
        yield row.id, *outcome


def _tokens(item: Item, tokenizer: Any, progress: Progress) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The pairs as tokens and what became of all; of several processes the first makes them, and the others read them."""
    file = item.work / "tokens.parquet"
    counts: Counter[str] = Counter()
    if rank() == 0:
        records = _tokenized(item, tokenizer, counts, progress)
        pq.write_table(pa.Table.from_pylist(records, schema=pa.schema(_TOKENS)), file)
    told = from_first(dict(counts))  # behind it the file is whole
    return pq.read_table(file).to_pylist(), told


def _tokenized(item: Item, tokenizer: Any, counts: Counter[str], progress: Progress) -> list[dict[str, Any]]:
    records = []
    for _, record, outcome in _outcomes(item, tokenizer, progress, 0):
        counts.update(outcome)
        if record is not None:
            records.append(record)
    if not records:
        raise PrimumError(f"{item.name}: no pair is left ({dict(counts)}): raise max_length or check the pairs")
    return records


def add_logprobs(
    scorer: Scorer, records: list[dict[str, Any]], pad: int, name: str, progress: Progress, work: Path
) -> None:
    """Give every record its ``ref_chosen_logps`` and ``ref_rejected_logps``. PrimumError when one is not finite.

    ``work`` has the journals.
    """
    asked = [(record, side) for record in records for side in ("chosen", "rejected")]

    def compute(indices: Sequence[int]) -> list[float]:
        batch = [asked[index] for index in indices]
        return response_logprobs(
            scorer.model, [(record["prompt_ids"], record[f"{side}_ids"]) for record, side in batch], pad
        )

    sums = in_batches(
        [len(record["prompt_ids"]) + len(record[f"{side}_ids"]) for record, side in asked],
        _BATCH_TOKENS,
        compute,
        work,
        "logprobs",
        name,
        progress,
        label=lambda index: asked[index][0]["id"],
        together=scorer.shared,
    )
    for (record, side), value in zip(asked, sums, strict=True):
        record[f"ref_{side}_logps"] = value
