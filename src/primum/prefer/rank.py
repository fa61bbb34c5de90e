"""Stage ``rank``: the rewards of a prompt's responses, by the ranker that an experiment names."""

from __future__ import annotations

import time
from collections.abc import Iterator

from primum.artifact.job import Item, Job, Result
from primum.parallel.processes import join
from primum.prefer.candidates import Ranker, candidates_of, ranked


def run(job: Job) -> Iterator[Result]:
    """One table of RankedRow, all draws of all prompts, in id order.

    Reads ``samples`` (``SAMPLES``, a draw each, in order), ``ranker`` (a model's folder) and, for the implicit reward,
    ``reference``; ``common`` says the ``kind``. Counts are of responses by status. Raises PrimumError where a ranker gives
    rewards that are not finite, or fails. A judge is no ranker of this stage: it is asked by :mod:`primum.prefer.rate`.
    """
    for item in job.items:
        join()
        started = time.monotonic()
        rows, groups, places = candidates_of(item)
        ranker = open_ranker(job, item)
        table, counts = ranked(item, rows, places, [reward for group in ranker.rewards(groups) for reward in group])
        job.progress.say(f"{item.name}: {counts}")
        yield Result(
            item,
            table=table,
            counts={**counts, **ranker.counts},
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
        case _:
            from primum.prefer.implicit import ImplicitReward

            return ImplicitReward(job, item)
