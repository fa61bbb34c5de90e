"""What a training logged at every step, as a table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

# The trainer's names, and the columns'. A reward is beta times the log-ratio to the reference, so that the mean of those of
# chosen (or rejected) responses, over beta, tells how far the model has moved from the reference on them.
_LOGGED = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
    "eval_loss": "held_out_loss",
    "eval_rewards/chosen": "held_out_reward_chosen",
    "eval_rewards/rejected": "held_out_reward_rejected",
    "eval_rewards/accuracies": "held_out_reward_accuracy",
    "eval_rewards/margins": "held_out_reward_margin",
}
HISTORY = pa.schema(
    [pa.field("step", pa.int32(), nullable=False)] + [pa.field(name, pa.float64()) for name in _LOGGED.values()]
)


def history(log: list[dict[str, Any]]) -> pa.Table:
    """A trainer's log as one row a step (schema ``HISTORY``); before the first step there are held-out values alone, at 0."""
    records: dict[int, dict[str, Any]] = {}
    for entry in log:
        if "loss" in entry or "eval_loss" in entry:
            values = {column: float(entry[key]) for key, column in _LOGGED.items() if key in entry}
            records.setdefault(entry["step"], {"step": entry["step"]}).update(values)
    return pa.Table.from_pylist([records[step] for step in sorted(records)], schema=HISTORY)
