"""What a training holds out: chunks or pairs that it never learns from, and is asked about at chosen steps."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from transformers import TrainerCallback

from primum.errors import PrimumError

# What a DPO trainer's prediction_step has of each pair, by the names under which TRL logs their means.
REWARDS = ("loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins")


def hold_out(table: pa.Table, asked: Mapping[str, Any] | None, seed: int, name: str) -> tuple[pa.Table, pa.Table]:
    """The rows to learn from and those held out, ``take`` of them drawn with the seed, both in the table's order.

    PrimumError where nothing would be left to learn from.
    """
    if asked is None:
        return table, table.slice(0, 0)
    take, rows = asked["take"], table.num_rows
    if take >= rows:
        raise PrimumError(
            f"{name}: held_out.take is {take:,} of {rows:,} chunks or pairs: nothing is left to learn from"
        )
    chosen = np.zeros(rows, dtype=bool)
    chosen[random.Random(f"{seed}/held-out").sample(range(rows), take)] = True
    return table.filter(pa.array(~chosen)), table.filter(pa.array(chosen))


def settings(asked: Mapping[str, Any] | None, micro_batch: int) -> dict[str, Any]:
    """Keyword arguments of transformers' TrainingArguments that have the held-out rows asked about."""
    if asked is None:
        return {}
    return {"eval_strategy": "steps", "eval_steps": asked["eval_steps"], "per_device_eval_batch_size": micro_batch}


def data(table: pa.Table) -> Dataset | None:
    """Rows as a trainer takes them; none where there are none.

    With a fingerprint of their own, since the data set's would pickle and hash all of the table.
    """
    return Dataset(table, fingerprint="rows") if table.num_rows else None


def mean_loss(found: Any) -> dict[str, float]:
    """A trainer's ``compute_metrics``: ``predictions`` are chunks' summed losses, ``label_ids`` how many tokens they are of."""
    tokens = found.label_ids.astype(np.float64).sum()
    return {"loss": float(found.predictions.astype(np.float64).sum() / max(tokens, 1))}


def mean_rewards(found: Any) -> dict[str, float]:
    """A trainer's ``compute_metrics``, of a row of ``REWARDS`` a pair."""
    means = found.predictions.astype(np.float64).mean(axis=0)
    return dict(zip(REWARDS, map(float, means), strict=True))


class AskAtLast(TrainerCallback):  # type: ignore[misc]
    """Has the held-out rows asked about after the last step, too, whether or not it is a multiple of ``eval_steps``."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.eval_strategy != "no" and state.global_step >= state.max_steps:
            control.should_evaluate = True
