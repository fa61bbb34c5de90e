"""Stage score: a model's log-likelihood of every choice of every benchmark item."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import torch

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.loading import load_model
from primum.rows import ChoiceRow, PreferenceRow, from_table
from primum.score.contaminated import mark
from primum.score.items import SCORES
from primum.score.loglikelihood import loglikelihoods
from primum.score.requests import Question, questions
from primum.tokenizer import load_tokenizer


def run(job: Job) -> Iterator[Result]:
    """One table (``SCORES``) a benchmark; the model is loaded once. Counts: items, correct, truncated, contaminated."""
    engine = job.common["engine"]
    source = job.items[0].one("model")
    tokenizer = load_tokenizer(source)
    model = _load(source, engine)
    # Positions that the model was not made for would give numbers without meaning.
    limit = min(engine["max_length"], getattr(model.config, "max_position_embeddings", None) or engine["max_length"])
    for item in job.items:
        asked = questions(_rows(item), item.spec, tokenizer, limit)

        def report(done: int, tokens: int, item: Item = item, total: int = len(asked)) -> None:
            job.progress.update(item.name, done, total, tokens, "tokens")

        packed = [(question.context, question.continuations) for question in asked]
        sums = loglikelihoods(model, packed, tokenizer.pad_token_id, engine["batch_tokens"], report)
        records = [_record(*pair, item.spec["normalize"]) for pair in zip(asked, sums, strict=True)]
        mark(records, item, job.common["from_scratch"])
        flags = ("correct", "truncated", "contaminated")
        counts = {"items": len(records), **{flag: sum(record[flag] is True for record in records) for flag in flags}}
        yield Result(item, table=pa.Table.from_pylist(records, schema=SCORES), counts=counts)


def _load(source: Any, engine: dict[str, Any]) -> Any:
    model = load_model(source, engine["dtype"]).eval()
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _rows(item: Item) -> list[Any]:
    table = item.one("benchmarks").table()
    return from_table(table, PreferenceRow if item.spec["group"] == "preference" else ChoiceRow)


def _record(question: Question, sums: list[float], normalize: str) -> dict[str, Any]:
    """One row: the prediction is the choice of the highest log-likelihood, divided by its length where asked.

    ``normalize: characters`` is lm-eval-harness' acc_norm; ties go to the first choice, as with argmax.
    """
    if not all(map(math.isfinite, sums)):
        raise PrimumError(
            f"{question.id}: a log-likelihood is not finite: check the model's weights or raise engine.dtype"
        )
    tokens = [len(continuation) for continuation in question.continuations]
    lengths = {"none": [1] * len(sums), "tokens": tokens, "characters": question.characters}[normalize]
    scores = [value / max(length, 1) for value, length in zip(sums, lengths, strict=True)]
    prediction = scores.index(max(scores))
    return {
        "id": question.id,
        "item": question.id,
        "subject": question.subject,
        "seed": 0,
        "method": "loglikelihood",
        "status": "scored",
        "choices": len(sums),
        "loglikelihoods": sums,
        "tokens": tokens,
        "characters": question.characters,
        "context_tokens": len(question.context),
        "prediction": prediction,
        "target": question.target,
        "correct": prediction == question.target,
        "truncated": question.truncated,
        "lost_left": question.lost_left,
        "lost_right": 0,
        "contaminated": None,
    }
