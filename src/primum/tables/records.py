"""The tables ``training``, ``curation``, ``audits`` and ``pairs``: what these steps wrote down, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.statistics import thin

HISTORY = "history.parquet"
POINTS = 200


def training_rows(index: int, model: str, artifact: Artifact) -> Iterator[dict[str, Any]]:
    """A trained model's history, thinned to at most 200 points; reward columns are null where the model has none.

    Loss is in nats a token; a reward is beta times the log-ratio to the reference. Raises PrimumError for a damaged or
    incomplete history.
    """
    path = artifact.file(HISTORY)
    try:
        history = pq.read_table(path, page_checksum_verification=True)
        points = history.select(["step", "loss", "learning_rate"]).to_pylist()
        rewards = [c for c in ("reward_accuracy", "reward_margin") if c in history.column_names]
        extra = history.select(rewards).to_pylist() if rewards else [{}] * len(points)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise PrimumError(f"{path}: not a training history ({type(error).__name__}): train {model} again") from None
    for position in thin(len(points), POINTS):
        yield {
            "id": f"{index:03d}.{position:08d}",
            "model": model,
            "reward_accuracy": None,
            "reward_margin": None,
            **points[position],
            **extra[position],
        }


def curation_rows(index: int, ledger: Artifact) -> Iterator[dict[str, Any]]:
    """A mixture's ledger, with ids that stay unique beside the other ledgers."""
    for row in ledger.table().to_pylist():
        yield {**row, "id": f"{index:03d}/{row['id']}"}


def audit_rows(index: int, model: str, audit: Artifact) -> Iterator[dict[str, Any]]:
    """What ``model`` learned from, check by check, with ids that stay unique beside the other audits; shares in 0-1."""
    for row in audit.table().to_pylist():
        yield {**row, "id": f"{index:03d}.{row['id']}", "model": model}


def pair_rows(
    index: int, name: str, pairs: Artifact, draw: Artifact | None, ranked: Artifact | None
) -> Iterator[dict[str, Any]]:
    """What became of a preference set: its prompts and the responses to them, where a model gave these, and its pairs.

    Of one ``draw`` the prompts tell for all draws. A step's outcomes add up: to the prompts that datasets have, to the responses
    that were asked for, to the prompts, or pairs, that could have been learned from.
    """
    steps: list[tuple[str, Mapping[str, int]]] = []
    if draw is not None and ranked is not None:
        left_out = ("duplicate-prompts", "no-prompt")
        counts = draw.manifest.counts
        steps.append(("prompts", {"asked": counts["rows"], **{key: counts[key] for key in left_out}}))
        steps.append(("responses", Counter(ranked.table().column("status").to_pylist())))
    steps.append(("pairs", pairs.manifest.counts))
    for number, (step, outcomes) in enumerate(steps):
        for place, (outcome, count) in enumerate(sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))):
            yield {
                "id": f"{index:03d}.{number}.{place:02d}",
                "preferences": name,
                "step": step,
                "outcome": outcome,
                "count": count,
            }
