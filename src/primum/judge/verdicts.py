"""Asking a rubric judge: what both the judge stage and the agreement stage do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.engine import Engine, Report
from primum.experiment.types import Sampling
from primum.text.rubric import question
from primum.text.verdict import parse


@dataclass(frozen=True, slots=True)
class Case:
    """One response to be judged."""

    id: str
    category: str
    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """``score`` is None unless ``status`` is ``scored``. ``raw`` is the judge's answer, ``error`` an engine's class."""

    id: str
    category: str
    score: int | None
    status: str
    reason: str = ""
    raw: str = ""
    error: str = ""


def ask(cases: Sequence[Case], engine: Engine, common: Mapping[str, Any], report: Report) -> list[Judgement]:
    """One judgement a case, in order, by the rubric in ``common`` (``template``, ``policies``, ``sampling``, ``seed``).

    An answer that the judge's engine did not give (an error, a prompt too long) has status ``error``.
    """
    questions = [
        question(common["template"], common["policies"], case.category, case.request, case.response) for case in cases
    ]
    answers = engine.chat(questions, Sampling(**common["sampling"]), common["seed"], report)
    judgements = []
    for case, answer in zip(cases, answers, strict=True):
        if answer.status in ("error", "prompt-too-long"):
            error = answer.error or answer.status
            judgements.append(Judgement(case.id, case.category, None, "error", error=error))
        else:
            verdict = parse(answer.text)
            judgements.append(
                Judgement(case.id, case.category, verdict.score, verdict.status, verdict.reason, answer.text)
            )
    return judgements


def count(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Rows in all, by status, and the engine's errors by class."""
    counts: dict[str, Any] = {"rows": len(judgements), **dict(sorted(Counter(j.status for j in judgements).items()))}
    errors = Counter(j.error for j in judgements if j.error)
    return {**counts, "errors": dict(sorted(errors.items()))} if errors else counts
