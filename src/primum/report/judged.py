"""Rows of the tables ``safety``, ``judges`` and ``confusion`` as the page reads them."""

from __future__ import annotations

from dataclasses import dataclass

HARM: tuple[str, ...] = ("rubric", "panel")  # the kinds of judge that score harm
REFUSALS: tuple[str, ...] = ("refusal", "refusal-classes")  # those that say whether a response declines
LABELS = "labels"
GATED = "gated"


@dataclass(frozen=True, slots=True)
class Safety:
    """A row of ``safety``; the mean is harm in 1-5, or a share in 0-1 for a refusal judge.

    ``macro`` is that over categories. A change has an interval of a corrected ``level``.
    """

    model: str
    prompts: str
    judge: str
    category: str
    status: str
    related: str
    n: int
    scored: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    share_5: float | None
    share_5_low: float | None
    share_5_high: float | None
    macro: float | None
    macro_low: float | None
    macro_high: float | None
    share_partial: float | None
    bound_low: float | None
    bound_high: float | None
    labelled: int
    powered_mean: float | None
    powered_low: float | None
    powered_high: float | None
    truncated: int
    unanswered: int
    blocked: int
    empty: int
    note: str
    start: str
    change: float | None
    level: float | None
    change_low: float | None
    change_high: float | None
    p_holm: float | None
    tied: bool | None
    lower: int | None
    higher: int | None
    rank_biserial: float | None
    ranks_p_holm: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """A row of ``judges``: a judge ``against`` its labels, or against another judge of the same responses.

    ``part`` is the model whose labelled responses a row is about, "" for all. Canaries are of the row of all, of rubric judges.
    """

    judge: str
    against: str
    part: str
    n: int
    scored: int
    items: int
    exact: float | None
    within_one: float | None
    quadratic_kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    bias: float | None
    bias_low: float | None
    bias_high: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    false_alarms: float | None
    gate: float | None
    passed: bool | None
    canary_n: int | None
    canary_unscored: int | None
    canary_success: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """A row of ``confusion``: how often a judge gave a score, None for none, to responses with this label."""

    judge: str
    label: int
    score: int | None
    count: int
