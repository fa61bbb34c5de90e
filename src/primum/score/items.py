"""The columns of a score artifact: one row an item of a benchmark, and for few-shot scoring with several seeds one a seed."""

from __future__ import annotations

import pyarrow as pa

_DOUBLES, _INTS = pa.list_(pa.float64()), pa.list_(pa.int32())
# ``item`` is the dataset's row, ``seed`` that of its few-shot examples; ``loglikelihoods`` (nats), ``greedy``, ``tokens`` and
# ``characters`` have an entry a choice, and none for a model that answers by generation. ``greedy`` says whether each of the
# choice's tokens is the likeliest where it stands (lm-eval's is_greedy); ``perplexity`` is the right choice's by token, null
# where there are no log-likelihoods. ``prediction`` is -1 where there is no answer, and ``status`` says why. ``lost_left`` and
# ``lost_right`` count tokens cut from the context and from a choice. ``contaminated`` is null where nobody knows what the model
# was trained on (see ``primum.score.contaminated``). ``answer`` is what a model that answers by generation said, and null for
# others. ``cluster`` is the same for items that were drawn together, a hash of what they have in common, and null where a task
# says nothing of it.
SCORES = pa.schema(
    [
        pa.field(name, kind, nullable=name in ("contaminated", "answer", "perplexity", "cluster"))
        for name, kind in {
            "id": pa.string(),
            "item": pa.string(),
            "subject": pa.string(),
            "seed": pa.int32(),
            "method": pa.string(),
            "status": pa.string(),
            "choices": pa.int32(),
            "loglikelihoods": _DOUBLES,
            "greedy": pa.list_(pa.bool_()),
            "perplexity": pa.float64(),
            "tokens": _INTS,
            "characters": _INTS,
            "context_tokens": pa.int32(),
            "prediction": pa.int32(),
            "target": pa.int32(),
            "correct": pa.bool_(),
            "truncated": pa.bool_(),
            "lost_left": pa.int32(),
            "lost_right": pa.int32(),
            "contaminated": pa.bool_(),
            "answer": pa.string(),
            "cluster": pa.string(),
        }.items()
    ]
)
# Of a task with ``process_results``: what the answer is worth by that, from 0 to 1.
VALUED = SCORES.append(pa.field("value", pa.float64(), nullable=False))
