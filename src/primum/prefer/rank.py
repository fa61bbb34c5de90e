"""Stage ``rank``: the rewards of a prompt's responses, by the ranker that an experiment names."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.parallel.processes import join
from primum.prefer.candidates import Ranker, put_before, rows_of_draws
from primum.text.rows import RankedRow, to_table


def run(job: Job) -> Iterator[Result]:
    """One table of RankedRow, all draws of all prompts, in id order.

    Reads ``samples`` (``SAMPLES``, a draw each, in order), ``ranker`` (a model's folder) and, for the implicit reward,
    ``reference``; ``common`` says the ``kind``. Counts are of responses by status. Raises PrimumError where a ranker gives
    rewards that are not finite, or fails.
    """
    for item in job.items:
        join()
        started = time.monotonic()
        rows = rows_of_draws([artifact.table() for artifact in item.inputs["samples"]])
        groups, places = put_before(rows)
        if not groups:
            statuses = dict(Counter(row.status for row in rows))
            raise PrimumError(
                f"{item.name}: no prompt has two different responses ({statuses}): raise n or temperature"
            )
        ranker = open_ranker(job, item)
        rewards = [reward for group in ranker.rewards(groups) for reward in group]
        for place, reward in zip(places, rewards, strict=True):
            if isinstance(reward, str):
                rows[place] = replace(rows[place], status=reward)
            elif math.isfinite(reward):
                rows[place] = replace(rows[place], status="ranked", reward=reward)
            else:
                raise PrimumError(f"{item.name}: {rows[place].id}: its reward is not finite: check the ranker's model")
        counts = Counter(row.status for row in rows)
        prompts = {"prompts": len({row.prompt_id for row in rows}), "responses": len(rows)}
        job.progress.say(f"{item.name}: {dict(counts)}")
        yield Result(
            item,
            table=to_table(rows, RankedRow),
            counts={**prompts, **dict(sorted(counts.items())), **ranker.counts},
            cost={"seconds": round(time.monotonic() - started, 3)},
        )


def open_ranker(job: Job, item: Item) -> Ranker:
    """The ranker of the job's kind, its model loaded."""
    match job.common["kind"]:
        case "pairrm":
            from primum.prefer.pairrm import PairRanker

            return PairRanker(job, item)
        case "reward":
            from primum.prefer.reward import RewardModel

            return RewardModel(job, item)
        case "implicit":
            from primum.prefer.implicit import ImplicitReward

            return ImplicitReward(job, item)
        case _:
            from primum.prefer.judged import Judged

            return Judged(job, item)
