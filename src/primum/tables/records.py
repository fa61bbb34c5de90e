"""The tables ``training``, ``curation`` and ``audits``: what training, curation and audits wrote down, put together."""

from __future__ import annotations

from collections.abc import Iterator
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
