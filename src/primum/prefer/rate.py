"""Stage ``rate``: a judge is asked to rate a prompt's responses. Its answers are kept as they are.

They are paid for, so nothing here reads them: the stage ``rewards`` does, and another reading asks for nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from primum.artifact.job import Item, Job, Result
from primum.engine import Engine, with_engines
from primum.engine.protocol import identified, refuse_many_errors, tokens_spent
from primum.experiment.types import Sampling
from primum.prefer.candidates import candidates_of, prompt_text
from primum.text.answer_line import asked_code
from primum.text.rubric import question

# ``nonce`` is the code that the judge was asked to repeat in its last line, empty where its rubric asks for none.
SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("id", "nonce", "status", "raw", "reasoning", "error")]
)


def run(job: Job) -> Iterator[Result]:
    """One table of :data:`SCHEMA`: a row a candidate, by the id that the response has among the ranked ones.

    Reads ``samples`` (``SAMPLES``, a draw each, in order) and ``ranker`` (the judge model's folder). ``status`` is the engine's.
    Raises PrimumError when more than 20% of the questions failed, and where no prompt has two candidates.
    """
    if job.items:
        for item, engine in with_engines(job.common["engine"], job.items[0].one("ranker"), job.items, job.progress):
            yield _rate(job, item, engine)


def _rate(job: Job, item: Item, engine: Engine) -> Result:
    common, started = job.common, time.monotonic()
    rows, _, places = candidates_of(item)
    pairs = [(prompt_text(rows[place].prompt), rows[place].response) for place in places]
    questions = [question(common["template"], {}, "", *pair) for pair in pairs]

    def report(done: int, tokens: int) -> None:
        job.progress.update(item.name, done, len(questions), tokens, "tokens")

    answers = engine.chat(questions, Sampling(**common["sampling"]), common["seed"], report)
    refuse_many_errors(item.name, answers)
    records = [
        {
            "id": rows[place].id,
            "nonce": asked_code(common["template"], *pair),
            "status": answer.status,
            "raw": answer.text,
            "reasoning": answer.reasoning,
            "error": answer.error,
        }
        for place, pair, answer in zip(places, pairs, answers, strict=True)
    ]
    counts: dict[str, Any] = {
        "rows": len(records),
        **dict(sorted(Counter(answer.status for answer in answers).items())),
    }
    if errors := Counter(answer.error for answer in answers if answer.error):
        counts |= {"errors": dict(sorted(errors.items()))}
    return Result(
        item,
        table=pa.Table.from_pylist(records, schema=SCHEMA),
        counts=counts,
        cost={**tokens_spent(answers), **identified(engine), "seconds": round(time.monotonic() - started, 3)},
    )
