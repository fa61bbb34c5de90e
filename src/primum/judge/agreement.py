"""Stage ``agreement``: how well a rubric judge agrees with the scores that graded pairs were given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.job import Job, Result
from primum.engine import with_engines
from primum.engine.protocol import identified
from primum.judge.verdicts import Case, ask, count
from primum.text.rows import GradedRow, from_table
from primum.text.rubric import DEFAULT

SCORES = (1, 2, 3, 4, 5)
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("score", pa.int32(), nullable=False),
        pa.field("judged", pa.int32(), nullable=True),
        pa.field("status", pa.string(), nullable=False),
    ]
)


def run(job: Job) -> Iterator[Result]:
    """A table of :data:`SCHEMA` for each item: the given score beside the judged one, null where there is none.

    Reads ``judge`` (the judge model's folder) and ``graded`` (GradedRow); ``common`` is the judge stage's.
    """
    if not job.items:
        return
    for item, engine in with_engines(job.common["engine"], job.items[0].one("judge"), job.items, job.progress):
        rows: list[GradedRow] = from_table(item.one("graded").table(), GradedRow)
        cases = [Case(row.id, DEFAULT, row.request, row.response) for row in rows]
        started = time.monotonic()

        def report(done: int, tokens: int, name: str = item.name, total: int = len(cases)) -> None:
            job.progress.update(name, done, total, tokens, "tokens")

        judgements = ask(cases, engine, job.common, report)
        records = [
            {"id": row.id, "score": row.score, "judged": judgement.score, "status": judgement.status}
            for row, judgement in zip(rows, judgements, strict=True)
        ]
        pairs = [(row.score, j.score) for row, j in zip(rows, judgements, strict=True) if j.score is not None]
        yield Result(
            item,
            table=pa.Table.from_pylist(records, schema=SCHEMA),
            counts={**count(judgements), **agreement(pairs, len(rows))},
            cost={"seconds": round(time.monotonic() - started, 3), **identified(engine)},
        )


def agreement(pairs: Sequence[tuple[int, int]], n: int) -> dict[str, Any]:
    """Statistics of the scored ``pairs`` (given, judged) out of ``n`` rows; None where there is no such statistic.

    ``exact`` and ``within_one`` are shares of the scored pairs.
    """
    scored = len(pairs)
    return {
        "n": n,
        "scored": scored,
        "exact": sum(a == b for a, b in pairs) / scored if scored else None,
        "within_one": sum(abs(a - b) <= 1 for a, b in pairs) / scored if scored else None,
        "quadratic_kappa": quadratic_kappa(pairs),
        "spearman": spearman(pairs),
    }


def quadratic_kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 - sum(w observed) / sum(w expected), w = (i - j)^2.

    None without pairs, or when chance alone leaves nothing to disagree about (both always give one same score).
    """
    if not pairs:
        return None
    observed = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    given = [sum(a == score for a, _ in pairs) for score in SCORES]
    judged = [sum(b == score for _, b in pairs) for score in SCORES]
    weighted = [(a - b) ** 2 * given[i] * judged[j] for i, a in enumerate(SCORES) for j, b in enumerate(SCORES)]
    expected = sum(weighted) / len(pairs) ** 2
    return None if expected == 0 else 1 - observed / expected


def spearman(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank. None when one side never varies."""
    given, judged = [a for a, _ in pairs], [b for _, b in pairs]
    if len(set(given)) < 2 or len(set(judged)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(given, judged).statistic)
