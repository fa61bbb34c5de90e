"""lm-evaluation-harness' metrics, from the log-likelihoods of a score artifact and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

NOT_AVAILABLE = "N/A"


def metrics(row: Mapping[str, Any], normalize: str = "none") -> dict[str, float]:
    """One answer's ``acc`` and ``acc_norm`` (1.0 or 0.0), as ``ConfigurableTask.process_results`` has them.

    ``acc`` is right where the highest log-likelihood is the target's, ``acc_norm`` where the highest one divided by the
    choice's characters is; of equals the first is taken. A choice without characters has minus infinity there. An answer
    that was generated has ``exact_match`` instead, and one with a ``value`` (by ``process_results``) has that alone. A
    benchmark that is normalized by ``tokens`` or ``bytes`` has its own right answers as well, under ``acc_tokens`` or
    ``acc_bytes`` (lm-eval's name).
    """
    sums: Sequence[float] = row["loglikelihoods"]
    if not sums:
        return {"exact_match": float(row["correct"])}
    if row.get("value") is not None:  # by process_results, under the accuracy's own name
        return {{"characters": "acc_norm", "bytes": "acc_bytes"}.get(normalize, "acc"): float(row["value"])}
    divided = [value / length if length else -math.inf for value, length in zip(sums, row["characters"], strict=True)]
    own = {f"acc_{normalize}": float(row["correct"])} if normalize in ("tokens", "bytes") else {}
    return {"acc": _right(sums, row["target"]), "acc_norm": _right(divided, row["target"]), **own}


def _right(values: Sequence[float], target: int) -> float:
    return float(values.index(max(values)) == target)


def aggregate(rows: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Means and standard errors of (item, metrics) under lm-eval's keys, ``acc,none`` and ``acc_stderr,none``.

    The standard error is the sample's sd over the root of n (``lm_eval.api.metrics.mean_stderr``). An item that was asked
    with several seeds counts once, with the mean over them. ``N/A`` where there is one item alone.
    """
    result: dict[str, Any] = {}
    for name in dict.fromkeys(name for _, values in rows for name in values):
        by_item: dict[str, list[float]] = {}
        for item, values in rows:
            by_item.setdefault(item, []).append(values[name])
        means = [sum(values) / len(values) for values in by_item.values()]
        centre = sum(means) / len(means)
        result[f"{name},none"] = centre
        result[f"{name}_stderr,none"] = NOT_AVAILABLE
        if len(means) > 1:
            spread = math.sqrt(sum((value - centre) ** 2 for value in means) / (len(means) - 1))
            result[f"{name}_stderr,none"] = spread / math.sqrt(len(means))
    return result


def unweighted(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The unweighted mean of subtasks, with ``lm_eval.api.metrics.unweighted_mean_stderr``: sqrt(sum of se^2) / k."""
    return _over(
        parts, [1] * len(parts), lambda errors: math.sqrt(sum(error * error for error in errors)) / len(errors)
    )


def pooled(parts: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> dict[str, Any]:
    """The mean over all items of subtasks, with ``lm_eval.api.metrics.pooled_sample_stderr``: one variance for all of them."""
    n = sum(sizes)

    def spread(errors: Sequence[float]) -> float:
        squares = sum((size - 1) * error * error * size for size, error in zip(sizes, errors, strict=True))
        return math.sqrt(squares / (n - len(sizes)) / n)

    return _over(parts, sizes, spread)


def _over(
    parts: Sequence[Mapping[str, Any]], weights: Sequence[int], spread: Callable[[Sequence[float]], float]
) -> dict[str, Any]:
    """Weighted means of what all parts have, and ``spread`` of their standard errors where each has one."""
    result: dict[str, Any] = {}
    for key in (key for key in parts[0] if "_stderr," not in key and all(key in part for part in parts)):
        name, _, kind = key.partition(",")
        errors = [part[f"{name}_stderr,{kind}"] for part in parts]
        result[key] = sum(part[key] * weight for part, weight in zip(parts, weights, strict=True)) / sum(weights)
        result[f"{name}_stderr,{kind}"] = NOT_AVAILABLE if NOT_AVAILABLE in errors else spread(errors)
    return result
