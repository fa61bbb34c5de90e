"""Long work on many sequences, batch by batch, with a journal: whoever comes after a kill goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

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


def journal_line(number: int, values: Sequence[float]) -> str:
    """A journal's line on the batch ``number``."""
    return json.dumps({"batch": number, "values": list(values)})


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
    lengths: Sequence[int], most: int, compute: Compute, folder: Path, name: str, about: str, progress: Progress
) -> list[float]:
    """A value a sequence, by ``compute`` on the indices of a batch; what is in the journal of ``folder`` is not computed again.

    ``name`` is the journal's, ``about`` what the progress lines call the work.
    """
    found = [0.0] * len(lengths)
    work = into_batches(lengths, most)
    folder.mkdir(parents=True, exist_ok=True)
    known, tokens = read_journals(folder, name), 0
    if known:
        progress.say(f"{about}: {len(known):,} of {len(work):,} batches are done already")
    with (folder / f"{name}-0.jsonl").open("a", encoding="utf-8") as journal:
        for number, indices in enumerate(work):
            if number not in known:
                known[number] = list(compute(indices))
                print(journal_line(number, known[number]), file=journal, flush=True)
                tokens += sum(lengths[index] for index in indices)
                progress.update(about, number + 1, len(work), tokens, "tokens")
            for index, value in zip(indices, known[number], strict=True):
                found[index] = value
    return found
