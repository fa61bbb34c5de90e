"""What a training logged at every step, as a table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

HISTORY = pa.schema(
    [pa.field("step", pa.int32(), nullable=False)]
    + [
        pa.field(name, pa.float64())
        for name in ("loss", "learning_rate", "grad_norm", "reward_accuracy", "reward_margin")
    ]
)
_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
}


def history(log: list[dict[str, Any]]) -> pa.Table:
    """A trainer's log as one row a step (schema ``HISTORY``)."""
    records = []
    for entry in log:
        if "loss" in entry:
            values = {column: float(entry[key]) for key, column in _LOGGED.items() if key in entry}
            records.append({"step": entry["step"], **values})
    return pa.Table.from_pylist(records, schema=HISTORY)
