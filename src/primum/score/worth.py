"""What an answer is worth where a task has a function of its own for that, as TruthfulQA's mc2 and AGIEval have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from primum.errors import PrimumError
from primum.score.functions import call

_METRICS = {"none": "acc", "characters": "acc_norm", "bytes": "acc_bytes"}


def worth(row: str, fields: Mapping[str, Any], found: Sequence[tuple[float, bool]], task: Mapping[str, Any]) -> float:
    """The accuracy of one document, from 0 to 1, that ``process_results`` gives for what was ``found`` of its choices.

    As lm-eval it is handed pairs: a choice's log-likelihood (nats), and whether it is greedy. PrimumError naming the row when the
    function fails, or gives no number from 0 to 1 under the accuracy's name.
    """
    name = _METRICS[task["normalize"]]
    results = [(logprob, greedy) for logprob, greedy in found]
    answer = call("process_results", task["process_results"], dict(fields), results, row=row)
    value = answer.get(name) if isinstance(answer, Mapping) else None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise PrimumError(f"{row}: process_results: gives no {name}: choose another metric, or correct it") from None
    # A mass of probability may come out a rounding error above 1.
    if math.isnan(number) or not -1e-6 <= number <= 1 + 1e-6:
        raise PrimumError(f"{row}: process_results: its {name} is no number from 0 to 1: correct it")
    return min(1.0, max(0.0, number))
