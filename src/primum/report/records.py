"""The rows of ``training``, ``curation``, ``audits`` and ``pairs`` as the page reads them."""

from __future__ import annotations

from dataclasses import dataclass

KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Step:
    """A row of ``training``."""

    model: str
    step: int
    loss: float | None
    reward_accuracy: float | None
    reward_margin: float | None
    held_out_loss: float | None
    held_out_reward_accuracy: float | None
    held_out_reward_margin: float | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """A row of ``curation``; ``twin`` is the source of the earlier rows that duplicates repeat."""

    mixture: str
    source: str
    dataset: str
    licence: str
    domain: str
    outcome: str
    twin: str | None
    rows: int
    repeat: int
    words: int | None
    tokens: int | None
    tokens_of: str | None
    published: int | None


@dataclass(frozen=True, slots=True)
class Audited:
    """A row of ``audits``: ``count`` of the ``of`` places that a check looked at; share and limit in 0-1."""

    model: str
    check: str
    count: int
    of: int
    share: float | None
    limit: float


@dataclass(frozen=True, slots=True)
class Paired:
    """A row of ``pairs``: so many prompts, responses or pairs of a preference set had this outcome."""

    preferences: str
    step: str
    outcome: str
    count: int
