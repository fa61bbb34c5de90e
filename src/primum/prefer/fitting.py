"""Rewards by rankers that run here: of the responses that fit them. Others have a status instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from primum.artifact.job import Item, Job
from primum.engine.protocol import MOST_ERRORS
from primum.errors import PrimumError
from primum.prefer.candidates import Candidates

Row = TypeVar("Row")


def reward_fitting(
    job: Job,
    item: Item,
    candidates: Sequence[Candidates],
    encoded: Sequence[Row | None],
    length: Callable[[Row], int],
    limit: int,
    score: Callable[[list[Row], list[str]], Sequence[float]],
) -> list[list[float | str]]:
    """Rewards by prompt: ``score`` gives those of the rows of ``encoded``, one a response, of at most ``limit`` tokens.

    It is told the rows and the ids of their prompts. A longer one is ``too-long``; None, ``refused`` by the ranker's chat
    template. PrimumError where these are more than 20%, as of an engine's requests.
    """
    ids = [each.id for each in candidates for _ in each.responses]
    rows = {index: row for index, row in enumerate(encoded) if row is not None}
    _note_refused(job, item, len(encoded) - len(rows), len(encoded))
    fitting = [index for index, row in rows.items() if length(row) <= limit]
    given: dict[int, float | str] = dict.fromkeys(rows, "too-long")
    given |= zip(fitting, score([rows[i] for i in fitting], [ids[i] for i in fitting]), strict=True)
    left = (given.get(index, "refused") for index in range(len(encoded)))
    return [[next(left) for _ in each.responses] for each in candidates]


def _note_refused(job: Job, item: Item, refused: int, of: int) -> None:
    if refused:
        said = f"{item.name}: {refused:,} of {of:,} responses are refused by the ranker's chat template"
        if refused > MOST_ERRORS * of:
            raise PrimumError(f"{said}: set 'fold_system: true' for its model, or name another 'template'")
        job.progress.say(said)
