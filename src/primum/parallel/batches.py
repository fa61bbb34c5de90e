"""Long work on many sequences, batch by batch: shared between processes, with journals. Whoever comes after a kill goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from primum.errors import PrimumError
from primum.parallel.processes import all_agree, from_first, rank, world_size
from primum.progress import Progress

Compute = Callable[[Sequence[int]], Sequence[float]]


def into_batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices of sequences of these ``lengths``, batch by batch, of at most ``most`` tokens with their padding.

    Longest first: what does not fit the memory fails at once, and a batch is padded little. One that is longer than ``most``
    is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    found = []
    while order:
        size = max(1, most // max(1, lengths[order[0]]))
        found.append(order[:size])
        order = order[size:]
    return found


def read_journals(folder: Path, name: str) -> dict[int, list[float]]:
    """The values of every batch in the journals ``name-*.jsonl`` of a folder; a line that a kill cut short is none."""
    found = {}
    for path in sorted(folder.glob(f"{name}-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                found[int(record["batch"])] = [float(value) for value in record["values"]]
            except (ValueError, KeyError, TypeError):
                continue
    return found


def in_batches(
    lengths: Sequence[int],
    most: int,
    compute: Compute,
    folder: Path,
    name: str,
    about: str,
    progress: Progress,
    label: Callable[[int], str],
    together: bool = False,
) -> list[float]:
    """A value a sequence, in all processes, by ``compute`` on the indices of a batch of at most ``most`` tokens.

    Each process keeps a journal ``name-RANK.jsonl`` in ``folder`` of the batches that it has done; what is in one of them is not
    computed again, by whatever number of processes. ``together`` says that all must compute at the same time, as with a model of
    which each has a part. ``about`` is what progress lines call the work. PrimumError where a value is not finite, with the
    ``label`` of its sequence.
    """
    work = into_batches(lengths, most)
    folder.mkdir(parents=True, exist_ok=True)
    done = from_first(read_journals(folder, name) if rank() == 0 else None)
    if done:
        progress.say(f"{about}: {len(done):,} of {len(work):,} batches are done already")
    left = [number for number in range(len(work)) if number not in done]
    mine = left[rank() :: world_size()]
    rounds = math.ceil(len(left) / world_size()) if together else len(mine)
    tokens = 0
    with (folder / f"{name}-{rank()}.jsonl").open("a", encoding="utf-8") as journal:
        for turn in range(rounds):
            number = mine[turn] if turn < len(mine) else left[0]  # whoever has no batch left goes along with another's
            values = list(compute(work[number]))
            for index, value in zip(work[number], values, strict=True):
                if not math.isfinite(value):
                    raise PrimumError(f"{about}: {label(index)}: its score is not finite: check the model")
            if turn < len(mine):
                print(json.dumps({"batch": number, "values": values}), file=journal, flush=True)
            tokens += sum(lengths[index] for index in work[number])
            so_far = min(len(work), len(done) + (turn + 1) * world_size())
            progress.update(about, so_far, len(work), tokens * world_size(), "tokens")
    all_agree(True)  # every journal is complete
    found = [0.0] * len(lengths)
    for number, values in read_journals(folder, name).items():
        for index, value in zip(work[number], values, strict=True):
            found[index] = value
    return found
