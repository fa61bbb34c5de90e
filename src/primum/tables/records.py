"""The tables ``training``, ``curation``, ``audits``, ``pairs`` and ``axes``: what was written down, put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.tables.statistics import thin

HISTORY = "history.parquet"
POINTS = 200
_AUDITED = ["id", "check", "count", "of", "share", "limit", "passed"]
_HELD_OUT = "held_out_loss"
_OPTIONAL = ("reward_accuracy", "reward_margin", _HELD_OUT, "held_out_reward_accuracy", "held_out_reward_margin")


def training_rows(index: int, model: str, artifact: Artifact) -> Iterator[dict[str, Any]]:
    """A trained model's history, thinned to at most 200 steps, and 200 at which what it held out was looked at.

    Columns are null where a step, or the model, has no such value. Loss is in nats a token; a reward is beta times the
    log-ratio to the reference. Raises PrimumError for a damaged or incomplete history.
    """
    path = artifact.file(HISTORY)
    try:
        history = pq.read_table(path, page_checksum_verification=True)
        there = [name for name in _OPTIONAL if name in history.column_names]
        points = history.select(["step", "loss", "learning_rate", *there]).to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise PrimumError(f"{path}: not a training history ({type(error).__name__}): train {model} again") from None
    trained = [place for place, point in enumerate(points) if point["loss"] is not None]
    asked = [place for place, point in enumerate(points) if point.get(_HELD_OUT) is not None]
    drawn = {places[at] for places in (trained, asked) for at in thin(len(places), POINTS)}
    for place in sorted(drawn):
        yield {"id": f"{index:03d}.{place:08d}", "model": model, **dict.fromkeys(_OPTIONAL), **points[place]}


def curation_rows(
    index: int, ledger: Artifact, model: str | None = None, packed: Artifact | None = None
) -> Iterator[dict[str, Any]]:
    """A mixture's ledger, with ids that stay unique beside the other ledgers.

    ``packed`` says how many tokens each source has for ``model``, with its tokenizer and chat template: those of the rows that
    are kept, once, as the ledger has them, without what is cut or has nothing to learn.
    """
    found = {} if packed is None else {row["id"]: row["tokens"] for row in packed.table().to_pylist()}
    for row in ledger.table().to_pylist():
        kept = packed is not None and row["outcome"] == "kept" and row["dataset"]
        # Copies of a row are packed alike.
        tokens = found.get(row["source"], 0) // row["repeat"] if kept else None
        yield {**row, "id": f"{index:03d}/{row['id']}", "tokens": tokens, "tokens_of": model if kept else None}


def audit_rows(index: int, model: str, audit: Artifact) -> Iterator[dict[str, Any]]:
    """What ``model`` learned from, check by check, with ids that stay unique beside the other audits; shares in 0-1."""
    for row in audit.table(_AUDITED).to_pylist():
        yield {**row, "id": f"{index:03d}.{row['id']}", "model": model}


def pair_rows(
    index: int, name: str, pairs: Artifact, draw: Artifact | None, ranked: Artifact | None
) -> Iterator[dict[str, Any]]:
    """What became of a preference set: its prompts and the responses to them, where a model gave these, and its pairs.

    Of one ``draw`` the prompts tell for all draws; pairs of safety demonstrations tell of their steps themselves. A step's
    outcomes add up: to the prompts that datasets have, to the responses that were asked for, to the prompts, or pairs, that could
    have been learned from.
    """
    steps: list[tuple[str, Mapping[str, int]]] = []
    if draw is not None and ranked is not None:
        left_out = ("duplicate-prompts", "no-prompt")
        counts = draw.manifest.counts
        steps.append(("prompts", {"asked": counts["rows"], **{key: counts[key] for key in left_out}}))
        steps.append(("responses", Counter(ranked.table().column("status").to_pylist())))
    made = pairs.manifest.counts
    steps += [(step, made[step]) for step in ("prompts", "responses", "benign") if step in made]
    steps.append(("pairs", {key: count for key, count in made.items() if not isinstance(count, Mapping)}))
    for number, (step, outcomes) in enumerate(steps):
        for place, (outcome, count) in enumerate(sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))):
            yield {
                "id": f"{index:03d}.{number}.{place:02d}",
                "preferences": name,
                "step": step,
                "outcome": outcome,
                "count": count,
            }


def axis_rows(models: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The values of the grid that made each model, by axis. ``number`` is null where the value is a text, true or false."""
    for index, model in enumerate(models):
        for place, (axis, value) in enumerate(model["axes"].items()):
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            spelled = str(value).lower() if isinstance(value, bool) else str(value)
            row = {"id": f"{index:03d}.{place:02d}", "model": model["name"], "axis": axis}
            yield {**row, "value": spelled, "number": number}
