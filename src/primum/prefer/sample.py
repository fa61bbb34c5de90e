"""Stage ``sample``: a model answers every prompt several times, each time with seeds of its own, a draw an artifact."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa

from primum.artifact.canonical import digest
from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, Response, with_engines
from primum.engine.protocol import identified, refuse_many_errors, response_columns, tokens_spent
from primum.errors import PrimumError
from primum.experiment.types import CHOICE_PROMPT, Sampling
from primum.text.prompts import Prompt, prompts_of, take
from primum.text.rows import SAMPLES, Message


def run(job: Job) -> Iterator[Result]:
    """One table of ``SAMPLES`` a draw, in the order of the prompts' ids.

    Reads ``model`` (a folder) and ``prompts`` (rows that hold prompts); ``common`` has ``engine``, ``sampling``, ``take`` and
    ``seed``, an item ``draw``. A prompt that is there twice is asked once, and counted. Raises PrimumError when more than 20%
    of a draw's requests failed.
    """
    if not job.items:
        return
    prompts, left_out = _prompts(job)
    for item, engine in with_engines(job.common["engine"], job.items[0].one("model"), job.items, job.progress):
        yield _answer(job, item, engine, prompts, left_out)


def _prompts(job: Job) -> tuple[list[Prompt], dict[str, int]]:
    """The prompts to be asked, and how many rows had none, or the same as an earlier one."""
    found: dict[tuple[Message, ...], Prompt] = {}
    left_out = {"no-prompt": 0, "duplicate-prompts": 0}
    for artifact in job.items[0].inputs["prompts"]:
        try:
            for prompt in prompts_of(artifact.table(), CHOICE_PROMPT):
                if prompt is None:
                    left_out["no-prompt"] += 1
                elif prompt.messages in found:
                    left_out["duplicate-prompts"] += 1
                else:
                    found[prompt.messages] = prompt
        except PrimumError as error:
            raise PrimumError(f"{artifact.name}: {error}") from None
    if not found:
        raise PrimumError(f"{', '.join(each.name for each in job.items[0].inputs['prompts'])}: no prompt in them")
    return take(list(found.values()), job.common["take"], job.common["seed"]), left_out


def draw_seed(seed: int, draw: int) -> int:
    """The 31-bit seed of one draw: different for each, and the same whatever the number of draws."""
    return int(digest([seed, "draw", draw])[:8], 16) >> 1


def _answer(job: Job, item: Item, engine: Engine, prompts: Sequence[Prompt], left_out: dict[str, int]) -> Result:
    started, surrogates, draw = time.monotonic(), engine.surrogates, item.spec["draw"]

    def report(done: int, tokens: int) -> None:
        job.progress.update(f"draw {draw + 1}", done, len(prompts), tokens, "tokens")

    conversations = [prompt.messages for prompt in prompts]
    seed = draw_seed(job.common["seed"], draw)
    responses = engine.chat(conversations, Sampling(**job.common["sampling"]), seed, report)
    refuse_many_errors(f"draw {draw + 1}", responses)
    statuses = Counter(response.status for response in responses)
    return Result(
        item,
        table=to_table(prompts, responses),
        counts={
            "rows": len(prompts),
            **left_out,
            **dict(sorted(statuses.items())),
            "surrogates": engine.surrogates - surrogates,
        },
        cost={
            **tokens_spent(responses),
            **identified(engine),
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def to_table(prompts: Sequence[Prompt], responses: Sequence[Response]) -> pa.Table:
    """Prompts and their responses as a table of ``SAMPLES``; both in the same order, by id."""
    records = [
        {
            "id": prompt.id,
            "source": prompt.source,
            "prompt": [{"role": message.role, "content": message.content} for message in prompt.messages],
            **response_columns(response),
        }
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    return pa.Table.from_pylist(records, schema=SAMPLES)
