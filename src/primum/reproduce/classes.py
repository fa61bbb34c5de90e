"""How far an artifact can be made again: that follows from its stage, its spec, and whether a GPU had a part in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from primum.artifact.manifest import Manifest
from primum.dag.dag import TRAINING
from primum.errors import PrimumError

Kind = Literal["exact", "conditional", "recorded", "pinned"]

# Curation, reading and aggregation: no model, hence the same bits wherever the versions are the same.
EXACT = frozenset(
    {"read", "mix", "pairs", "pair", "contrast", "overlap", "pair-overlap", "pack", "questions", "verdicts", "parse"}
    | {"rewards", "tables", "report"}
)
# A model is asked. The number of threads is in no spec here, and the order of sums hangs on it.
ASKED = frozenset(
    {
        "generate",
        "judge",
        "grade",
        "agreement",
        "score",
        "answer",
        "sample",
        "rank",
        "rate",
        "respond",
        "assess",
        "reference",
    }
)
# Files that somebody else published, at a revision or a checksum.
PINNED = frozenset({"fetch", "snapshot"})
# Of a model behind an endpoint nobody can tell what it is tomorrow.
_ENDPOINT = "openai"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a conditional artifact may differ by.

    ``value`` is the most that one number may, in nats of a log-likelihood, ``mean`` the most that all numbers of a column may on
    average; both beside 0.00001 of the number itself, for a perplexity is large. ``rows`` is the share of rows in which anything
    else may differ: a prediction, a text, a status. ``weight`` is the most that a weight may, as a share of the largest in its
    tensor.
    """

    value: float
    mean: float
    rows: float
    weight: float


# What is measured, and what is a choice, is in docs/provenance.md.
FULL = Tolerance(value=1e-3, mean=1e-4, rows=0.01, weight=1e-3)
HALF = Tolerance(value=1.0, mean=0.1, rows=0.05, weight=0.02)
RELATIVE = 1e-5


def class_of(manifest: Manifest, made: Manifest | None = None) -> Kind:
    """The class of an artifact; ``made`` is the same one made again, which tells whether a GPU was there this time.

    Training on CPUs is exact, since its threads are in its spec. Where a manifest does not say whether there was a GPU, it may
    have been one. Raises PrimumError for a stage of another version of primum.
    """
    stage = manifest.stage
    if stage in PINNED:
        return "pinned"
    if stage in EXACT:
        return "exact"
    if stage in TRAINING:
        used = [each.run.get("gpus") for each in (manifest, made) if each is not None]
        return "exact" if used and all(gpus is not None and not gpus for gpus in used) else "conditional"
    if stage not in ASKED:
        raise PrimumError(f"{stage}: no such stage in this version of primum")
    if _engine(manifest).get("kind") == _ENDPOINT:
        return "recorded"
    # The audit of pairs counts tokens, and asks no model.
    return "exact" if _item(manifest).get("output") == "audit" else "conditional"


def tolerance_of(manifest: Manifest) -> Tolerance:
    """The tolerance of a conditional artifact, by the precision that its model computes in."""
    training = _item(manifest).get("optimization") or {}
    found = (_engine(manifest), training, _item(manifest), manifest.spec.get("common") or {})
    dtype = next((entry["dtype"] for entry in found if entry.get("dtype")), "")
    return FULL if dtype == "float32" else HALF


def may_differ(claimed: float, made: float, tolerance: Tolerance) -> bool:
    """Whether two numbers are near enough. NaN is near NaN."""
    return beyond(claimed, made) <= tolerance.value


def beyond(claimed: float, made: float) -> float:
    """How far two numbers are apart, less the share of the first that any two may differ by; infinite if only one is NaN."""
    if claimed == made or (math.isnan(claimed) and math.isnan(made)):
        return 0.0
    apart = abs(claimed - made) - RELATIVE * abs(claimed)
    return max(0.0, apart) if math.isfinite(apart) else math.inf


def _engine(manifest: Manifest) -> Mapping[str, Any]:
    common: Mapping[str, Any] = manifest.spec.get("common") or {}
    return common.get("engine") or {}


def _item(manifest: Manifest) -> Mapping[str, Any]:
    return manifest.spec.get("item") or {}
