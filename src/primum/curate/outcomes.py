"""What became of each row of a mixture's sources: kept, or the one filter that dropped it, and what a duplicate repeats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# ``id`` is the row's own behind the number of its source, since two sources may be of one dataset: ``003/medqa/17``. As in the
# ledger, ``twin`` is the source of the earlier row that a duplicate repeats; ``twin_id`` is that row's ``id``.
OUTCOMES = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("id", "source", "outcome")),
        *(pa.field(name, pa.string()) for name in ("twin", "twin_id")),
    ]
)
_WRITTEN = 10_000


def outcome_tables(
    spans: Mapping[str, tuple[int, int]], ids: Sequence[str], outcomes: Sequence[str], twins: npt.NDArray[np.int32]
) -> Iterator[pa.Table]:
    """Tables of :data:`OUTCOMES` of some thousand rows, one at least: a row a source row, in the sources' order.

    ``spans`` are each source's first row and the one after its last; ``ids``, ``outcomes`` and ``twins`` (int32, the row that a
    duplicate repeats, or -1) are of all rows.
    """
    names = list(spans)
    starts = np.array([first for first, _ in spans.values()])
    width = max(3, len(str(len(names) - 1)))  # so that ids ascend

    def named(at: int, owner: int) -> str:
        return f"{owner:0{width}d}/{ids[at]}"

    yield OUTCOMES.empty_table()
    for owner, (name, (first, end)) in enumerate(spans.items()):
        for begin in range(first, end, _WRITTEN):
            rows = range(begin, min(begin + _WRITTEN, end))
            repeated = twins[rows.start : rows.stop]
            # Of sources that begin at the same row all but the last are empty.
            owners = np.searchsorted(starts, repeated, side="right") - 1
            pairs = [(at, of) if at >= 0 else None for at, of in zip(repeated.tolist(), owners.tolist(), strict=True)]
            columns = {
                "id": [named(at, owner) for at in rows],
                "source": [name] * len(rows),
                "outcome": outcomes[rows.start : rows.stop],
                "twin": [names[pair[1]] if pair else None for pair in pairs],
                "twin_id": [named(*pair) if pair else None for pair in pairs],
            }
            yield pa.table(columns, schema=OUTCOMES)
