"""The columns of the tables. A column that may be unknown is nullable; all others are required."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from primum.errors import PrimumError

_TEXT, _INT, _FLOAT = pa.string(), pa.int64(), pa.float64()


def _schema(required: Mapping[str, pa.DataType], nullable: Mapping[str, pa.DataType]) -> dict[str, pa.Field]:
    return {
        **{name: pa.field(name, kind, nullable=False) for name, kind in required.items()},
        **{name: pa.field(name, kind, nullable=True) for name, kind in nullable.items()},
    }


_ACCURACY = (
    _schema(dict.fromkeys(("id", "model", "benchmark", "subject", "method"), _TEXT), {})
    | _schema(dict.fromkeys(("seeds", "n", "correct"), _INT), {})
    | _schema({}, dict.fromkeys(("accuracy", "stderr", "ci_low", "ci_high"), _FLOAT))
    | _schema({"interval": _TEXT}, {"chance": _FLOAT})
    | _schema(dict.fromkeys(("truncated", "unanswered", "flagged", "unknown", "clean_n"), _INT), {})
    | _schema({}, dict.fromkeys(("clean_accuracy", "clean_low", "clean_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("flexible_accuracy", "flexible_low", "flexible_high"), _FLOAT))
    | _schema({"start": _TEXT, "note": _TEXT}, {"change": _FLOAT, "change_stderr": _FLOAT})
)

_COMPARISONS = (
    _schema(dict.fromkeys(("id", "group", "benchmark", "model", "against", "other"), _TEXT), {})
    | _schema({"n": _INT}, dict.fromkeys(("both", "only_model", "only_other", "neither"), _INT))
    | _schema({}, dict.fromkeys(("difference", "stderr", "level", "ci_low", "ci_high"), _FLOAT))
    | _schema({"note": _TEXT}, {"p_value": _FLOAT, "p_holm": _FLOAT, "tied": pa.bool_(), "detectable": _FLOAT})
    | _schema({"margin": _FLOAT}, {"p_equivalent": _FLOAT, "equivalent": pa.bool_()})
)

_SAFETY = (
    _schema(dict.fromkeys(("id", "model", "prompts", "judge", "category", "status", "related"), _TEXT), {})
    | _schema(dict.fromkeys(("n", "scored"), _INT), {})
    | _schema({}, dict.fromkeys(("mean", "sem", "ci_low", "ci_high", "share_5", "share_5_low", "share_5_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("macro", "macro_low", "macro_high", "share_partial"), _FLOAT))
    | _schema({}, dict.fromkeys(("bound_low", "bound_high"), _FLOAT))
    | _schema({"labelled": _INT}, dict.fromkeys(("powered_mean", "powered_low", "powered_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("recall", "recall_low", "recall_high", "false_alarms"), _FLOAT))
    | _schema(dict.fromkeys(("truncated", "unanswered", "blocked", "empty"), _INT), {})
    | _schema({"note": _TEXT, "start": _TEXT}, {})
    | _schema({}, dict.fromkeys(("change", "change_stderr", "level", "change_low", "change_high"), _FLOAT))
    | _schema({}, {"p_value": _FLOAT, "p_holm": _FLOAT, "tied": pa.bool_(), "lower": _INT, "higher": _INT})
    | _schema({}, dict.fromkeys(("rank_biserial", "ranks_p_value", "ranks_p_holm"), _FLOAT))
)

_RUBRICS = (
    _schema(dict.fromkeys(("id", "model", "prompts", "judge", "tag"), _TEXT), {})
    | _schema(dict.fromkeys(("n", "scored", "clusters", "criteria", "unscored"), _INT), {})
    | _schema({}, dict.fromkeys(("mean", "stderr", "score", "ci_low", "ci_high", "bound_low", "bound_high"), _FLOAT))
    | _schema({"truncated": _INT, "unanswered": _INT, "start": _TEXT}, {"change": _FLOAT, "change_stderr": _FLOAT})
)

_JUDGES = (
    _schema(dict.fromkeys(("id", "judge", "against", "part"), _TEXT), {})
    | _schema(dict.fromkeys(("n", "scored", "items"), _INT), {})
    | _schema({}, dict.fromkeys(("exact", "within_one", "quadratic_kappa", "kappa_low", "kappa_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("alpha", "alpha_low", "alpha_high", "bias", "bias_low", "bias_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("recall", "recall_low", "recall_high"), _FLOAT))
    | _schema({}, dict.fromkeys(("false_alarms", "false_alarms_low", "false_alarms_high"), _FLOAT))
    | _schema({}, {"gate": _FLOAT, "passed": pa.bool_()})
    | _schema({}, {"canary_n": _INT, "canary_unscored": _INT, "canary_success": _FLOAT})
)

_CONFUSION = _schema({"id": _TEXT, "judge": _TEXT, "label": _INT, "count": _INT}, {"score": _INT})

_TRAINING = (
    _schema({"id": _TEXT, "model": _TEXT, "step": _INT}, dict.fromkeys(("loss", "learning_rate"), _FLOAT))
    | _schema({}, dict.fromkeys(("reward_accuracy", "reward_margin"), _FLOAT))
    | _schema({}, {f"held_out_{name}": _FLOAT for name in ("loss", "reward_accuracy", "reward_margin")})
)

_CURATION = _schema(
    {
        "id": _TEXT,
        "mixture": _TEXT,
        "source": _TEXT,
        "dataset": _TEXT,
        "licence": _TEXT,
        "domain": _TEXT,
        "outcome": _TEXT,
        "rows": _INT,
        "repeat": _INT,
    },
    {"twin": _TEXT, "words": _INT, "tokens": _INT, "tokens_of": _TEXT, "published": _INT},
)

_AUDITS = (
    _schema({"id": _TEXT, "model": _TEXT, "check": _TEXT, "count": _INT, "of": _INT}, {})
    | _schema({}, {"share": _FLOAT})
    | _schema({"limit": _FLOAT, "passed": pa.bool_()}, {})
)

_AXES = _schema({"id": _TEXT, "model": _TEXT, "axis": _TEXT, "value": _TEXT}, {"number": _FLOAT})

_PAIRS = _schema({"id": _TEXT, "preferences": _TEXT, "step": _TEXT, "outcome": _TEXT, "count": _INT}, {})

SCHEMAS: Mapping[str, pa.Schema] = {
    name: pa.schema(list(fields.values()))
    for name, fields in {
        "benchmarks": _ACCURACY,
        "preferences": _ACCURACY,
        "comparisons": _COMPARISONS,
        "safety": _SAFETY,
        "rubrics": _RUBRICS,
        "judges": _JUDGES,
        "confusion": _CONFUSION,
        "training": _TRAINING,
        "curation": _CURATION,
        "audits": _AUDITS,
        "pairs": _PAIRS,
        "axes": _AXES,
    }.items()
}


def to_table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """``rows`` as the table ``name``, in id order. Raises PrimumError listing the tables there are."""
    if name not in SCHEMAS:
        raise PrimumError(f"{name}: no such table; there are: {', '.join(SCHEMAS)}")
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["id"])), schema=SCHEMAS[name])
