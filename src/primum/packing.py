"""Packing token sequences into chunks of a fixed length, and the table they are kept in."""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

_IDS = pa.list_(pa.int32())
PACKED = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, _IDS, nullable=False) for name in ("input_ids", "labels", "seq_lengths")]
)
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sequence: token ids, and labels of the same length with -100 where there is no loss."""

    input_ids: list[int]
    labels: list[int]


def best_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Bins of indices whose lengths sum to at most ``capacity``: longest first, each into the fullest bin it fits.

    Every index is in exactly one bin. Lengths must lie in 1..capacity. O(n log n) in the number of open capacities.
    """
    bins: list[list[int]] = []
    rooms: list[int] = []  # the distinct free capacities of open bins, ascending
    open_bins: dict[int, list[int]] = {}  # free capacity -> bins with it
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if not 1 <= length <= capacity:
            raise ValueError(f"length {length} does not fit a chunk of {capacity}")
        place = bisect.bisect_left(rooms, length)
        if place == len(rooms):
            bins.append([])
            chosen, free = len(bins) - 1, capacity
        else:
            free = rooms[place]
            chosen = open_bins[free].pop()
            if not open_bins[free]:
                del open_bins[free], rooms[place]
        bins[chosen].append(index)
        left = free - length
        if left:
            if left not in open_bins:
                bisect.insort(rooms, left)
                open_bins[left] = []
            open_bins[left].append(chosen)
    return bins


def pack(samples: Sequence[Sample], chunk_tokens: int, seed: int) -> pa.Table:
    """Samples as chunks of at most ``chunk_tokens`` tokens (schema ``PACKED``), chunks in an order drawn with ``seed``.

    ``seq_lengths`` are the lengths of a chunk's samples, so that attention and positions can start anew at each.
    """
    bins = best_fit_decreasing([len(sample.input_ids) for sample in samples], chunk_tokens)
    random.Random(seed).shuffle(bins)
    records = [
        {
            "id": f"{number:08d}",
            "input_ids": [token for index in members for token in samples[index].input_ids],
            "labels": [label for index in members for label in samples[index].labels],
            "seq_lengths": [len(samples[index].input_ids) for index in members],
        }
        for number, members in enumerate(bins)
    ]
    return pa.Table.from_pylist(records, schema=PACKED)
