"""Stage score: a model's log-likelihood of every choice of every benchmark item."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from primum.artifact.job import Item, Job, Result
from primum.artifact.weights import load_model
from primum.errors import PrimumError
from primum.parallel.processes import from_first, join, rank
from primum.score.contaminated import mark
from primum.score.items import SCORES, VALUED
from primum.score.kinds import typed_rows
from primum.score.loglikelihood import Likelihood, loglikelihoods
from primum.score.reach import reach
from primum.score.requests import Question, questions
from primum.score.rows import longest
from primum.score.tried import try_task
from primum.score.worth import worth
from primum.text.tokenizer import load_tokenizer


def run(job: Job) -> Iterator[Result]:
    """One table a benchmark (``SCORES``, or ``VALUED`` for a task with ``process_results``); the model is loaded once.

    Before that every task is tried on its first row.
    Counts: items, correct, truncated, contaminated, the tokens cut from contexts (``lost_left``) and choices
    (``lost_right``), and the items whose choices were rows of their own (``plain_rows``, see :func:`reach`).
    """
    engine = job.common["engine"]
    source = job.items[0].one("model")
    for item in job.items:
        _try(item)
    tokenizer = load_tokenizer(source)
    model = _load(source, engine, job.devices.processes)
    # Positions that the model was not made for would give numbers without meaning.
    limit = min(engine["max_length"], getattr(model.config, "max_position_embeddings", None) or engine["max_length"])
    # Processes that share a model must read the same rows.
    within = from_first(reach(model, tokenizer.pad_token_id, job.progress.say))
    for item in job.items:
        asked = questions(_rows(item, "benchmarks"), item.spec, tokenizer, limit, _examples(item))
        sums = _sums(model, asked, tokenizer.pad_token_id, engine["batch_tokens"], within, job, item.name)
        records = [_record(*pair, item.spec["normalize"]) for pair in zip(asked, sums, strict=True)]
        if item.spec.get("process_results"):
            records = [_valued(*each, item.spec) for each in zip(records, asked, sums, strict=True)]
        mark(records, item, job.common["from_scratch"])
        records.sort(key=lambda record: record["id"])
        counted = ("correct", "truncated", "contaminated", "lost_left", "lost_right")
        counts = {key: sum(record[key] or 0 for record in records) for key in counted}
        counts["plain_rows"] = sum(any(longest(packed) > within for _, packed in each.packed()) for each in asked)
        schema = VALUED if item.spec.get("process_results") else SCORES
        yield Result(item, table=pa.Table.from_pylist(records, schema=schema), counts={"items": len(records), **counts})


def _try(item: Item) -> None:
    if item.spec["group"] == "preference":
        return
    rows, examples = _rows(item, "benchmarks"), _examples(item)
    try:
        try_task(rows, item.spec, examples)
    except PrimumError as error:
        raise PrimumError(f"{item.name}: {error}") from None


def _sums(
    model: Any, asked: Sequence[Question], pad: int, batch_tokens: int, within: float, job: Job, name: str
) -> list[list[Likelihood]]:
    """Each question's log-likelihoods by choice, computed once for each context as it is cut."""
    parts = [(index, where, packed) for index, question in enumerate(asked) for where, packed in question.packed()]

    def report(done: int, tokens: int) -> None:
        job.progress.update(name, done, len(parts), tokens, "tokens")

    found = loglikelihoods(model, [packed for _, _, packed in parts], pad, batch_tokens, report, within)
    sums = [[Likelihood(math.nan, False)] * len(question.continuations) for question in asked]
    for (index, where, _), values in zip(parts, found, strict=True):
        for position, value in zip(where, values, strict=True):
            sums[index][position] = value
    return sums


def _load(source: Any, engine: dict[str, Any], processes: int) -> Any:
    if processes > 1:
        join()
        if torch.cuda.is_available() and torch.cuda.device_count() < processes:
            raise PrimumError(
                f"{source.name}: tensor_parallel is {processes}, and there are {torch.cuda.device_count()} GPUs: ask for as "
                "many (resources: score: gpus)"
            )
        return load_model(source, engine["dtype"], verify=rank() == 0, tensor_parallel=processes).eval()
    # As many GPUs as the job asked for, since a model may be too large for one.
    if torch.cuda.device_count() > 1:
        return load_model(source, engine["dtype"], spread=True).eval()
    return load_model(source, engine["dtype"]).eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _rows(item: Item, role: str) -> list[Any]:
    return typed_rows(item.one(role).table(), f"{item.name}: its {role}", item.spec["group"] == "preference")


def _examples(item: Item) -> list[Any]:
    fewshot = item.spec["fewshot"]
    return _rows(item, "fewshot") if fewshot and not fewshot.get("samples") else []


def _record(question: Question, found: list[Likelihood], normalize: str) -> dict[str, Any]:
    """One row: the prediction is the choice of the highest log-likelihood, divided by its length where asked.

    ``characters`` is lm-eval-harness' acc_norm, ``bytes`` its acc_bytes; ties go to the first choice, as with argmax.
    """
    sums = [each.logprob for each in found]
    if not all(map(math.isfinite, sums)):
        raise PrimumError(
            f"{question.id}: a log-likelihood is not finite: check the model's weights or raise engine.dtype"
        )
    tokens = [len(continuation) for continuation in question.continuations]
    lengths = {"none": [1] * len(sums), "tokens": tokens, "characters": question.characters, "bytes": question.bytes}[
        normalize
    ]
    scores = [value / max(length, 1) for value, length in zip(sums, lengths, strict=True)]
    prediction = scores.index(max(scores))
    return {
        "id": question.id,
        "item": question.item,
        "subject": question.subject,
        "seed": question.seed,
        "method": "loglikelihood",
        "status": "scored",
        "choices": len(sums),
        "loglikelihoods": sums,
        "greedy": [each.greedy for each in found],
        "perplexity": _perplexity(sums[question.target], tokens[question.target]),
        "tokens": tokens,
        "characters": question.characters,
        "context_tokens": len(question.context) - question.lost_left,
        "prediction": prediction,
        "target": question.target,
        "correct": prediction == question.target,
        "truncated": question.truncated,
        "lost_left": question.lost_left,
        "lost_right": question.lost_right,
        "contaminated": None,
        "cluster": question.cluster,
    }


def _perplexity(logprob: float, tokens: int) -> float:
    """e to the mean surprise of the right choice's tokens (nats); infinite where a float64 cannot hold it."""
    try:
        return math.exp(-logprob / tokens)
    except OverflowError:
        return math.inf


def _valued(
    record: dict[str, Any], question: Question, found: Sequence[Likelihood], task: Mapping[str, Any]
) -> dict[str, Any]:
    """The row with what ``process_results`` makes of it; the answer is correct where that is more than half."""
    value = worth(question.id, question.fields, found, task)
    return {**record, "correct": value > 0.5, "value": value}
