"""Packing token sequences into chunks of a fixed length, and the table they are kept in."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_IDS = pa.list_(pa.int32())
PACKED = pa.schema(
    [pa.field("id", pa.string(), nullable=False)]
    + [pa.field(name, _IDS, nullable=False) for name in ("input_ids", "labels", "seq_lengths")]
)
IGNORED = -100
_AT_ONCE = 256

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One training sequence: token ids, int32 (length,), and labels of the same shape with -100 where there is no loss.

    Arrays, since a mixture of a billion tokens as Python integers would take tens of gigabytes.
    """

    input_ids: Ids
    labels: Ids


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


def arrange(lengths: Sequence[int], chunk_tokens: int, seed: int) -> list[list[int]]:
    """Which samples each chunk holds, by their numbers, chunks in an order drawn with ``seed``."""
    bins = best_fit_decreasing(lengths, chunk_tokens)
    random.Random(seed).shuffle(bins)
    return bins


def alone(samples: int, seed: int) -> list[list[int]]:
    """As :func:`arrange`, with each sample in a chunk of its own."""
    bins = [[number] for number in range(samples)]
    random.Random(seed).shuffle(bins)
    return bins


def pack(samples: Sequence[Sample], chunk_tokens: int, seed: int) -> pa.Table:
    """Samples as chunks of at most ``chunk_tokens`` tokens (schema ``PACKED``), in the order of :func:`arrange`."""
    bins = arrange([len(sample.input_ids) for sample in samples], chunk_tokens, seed)
    return pa.concat_tables(chunks(bins, lambda numbers: [samples[number] for number in numbers]))


def chunks(bins: Sequence[Sequence[int]], samples: Callable[[Sequence[int]], Sequence[Sample]]) -> Iterator[pa.Table]:
    """The chunks that ``bins`` arrange, in tables of a few hundred (schema ``PACKED``), one at least.

    ``samples`` gives those of some numbers, in their order. ``seq_lengths`` are the lengths of a chunk's samples, so that
    attention and positions can start anew at each.
    """
    for first in range(0, max(len(bins), 1), _AT_ONCE):
        some = bins[first : first + _AT_ONCE]
        read = samples([number for members in some for number in members])
        lengths = np.array([len(sample.input_ids) for sample in read], dtype=np.int64)
        bounds = np.cumsum([0, *map(len, some)])  # of chunks, in samples
        tokens = np.concatenate([[0], np.cumsum(lengths)])[bounds]  # of chunks, in tokens
        nothing = [np.zeros(0, dtype=np.int32)]
        columns = [
            pa.array([f"{first + number:08d}" for number in range(len(some))], type=pa.string()),
            _lists(tokens, np.concatenate([sample.input_ids for sample in read] or nothing)),
            _lists(tokens, np.concatenate([sample.labels for sample in read] or nothing)),
            _lists(bounds, lengths),
        ]
        yield pa.Table.from_arrays(columns, schema=PACKED)


def _lists(bounds: npt.NDArray[np.int64], values: npt.NDArray[np.int64] | Ids) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, type=pa.int32()), pa.array(values.astype(np.int32, copy=False)))
