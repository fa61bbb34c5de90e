"""A row of the table ``rubrics`` as the page reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RubricScore:
    """How far a model's responses meet their criteria, or those of one ``tag``; scores in 0-1, ``mean`` may be below 0."""

    model: str
    prompts: str
    judge: str
    tag: str
    n: int
    scored: int
    criteria: int
    unscored: int
    mean: float | None
    score: float | None
    ci_low: float | None
    ci_high: float | None
    bound_low: float | None
    bound_high: float | None
    truncated: int
    unanswered: int
    start: str
    change: float | None
    change_stderr: float | None
