"""A mixture's rows as token sequences: by several processes, the tokens in files, a few numbers a row in the memory."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from primum.curate.workers import from_ipc
from primum.errors import PrimumError
from primum.text.audit import Fingerprints, fingerprint, has_end_unlearned, has_two_bos
from primum.text.packing import IGNORED, Sample
from primum.text.rows import ChatRow, from_table
from primum.text.tokens import tokenize_conversations

# Bytes a token: its id and its label.
_SAMPLE = 8
# What is counted by source.
BY_SOURCE = ("packed", "tokens", "loss-tokens")


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Of a batch of rows the samples that were written to ``file`` from byte ``start``, one after another.

    A sample is its token ids and then its labels, int32. ``lengths`` (int64, in tokens) and ``fingerprints`` (uint64) are theirs.
    ``sources`` are how many they are, and their tokens, by what is counted and the row's source. ``samples`` is how many rows
    became one, ``found`` are the ids of rows by what the audit's checks find in them. ``refused`` are the rows that the chat
    template takes no conversation of.
    """

    file: Path
    start: int
    lengths: npt.NDArray[np.int64]
    fingerprints: Fingerprints
    samples: int
    found: Mapping[str, Sequence[str]]
    sources: Mapping[tuple[str, str], int]
    refused: Sequence[ChatRow]


@dataclass(frozen=True, slots=True)
class Tokenisation:
    """How a model's rows become samples, and the ``folder`` that their tokens go to: a file a process."""

    tokenizer: Any
    train_on_inputs: bool
    chunk_tokens: int
    folder: Path

    def __call__(self, rows: bytes) -> Tokenised:
        """``rows`` are a table of ChatRow in Arrow's stream format."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        sources: Counter[tuple[str, str]] = Counter()
        refused: list[ChatRow] = []
        kept: list[Sample] = []
        chats: list[ChatRow] = from_table(from_ipc(rows), ChatRow)
        conversations = (row.messages for row in chats)
        for row, sample in zip(
            chats, tokenize_conversations(self.tokenizer, conversations, self.train_on_inputs), strict=True
        ):
            if sample is None:
                refused.append(row)
                continue
            held, learned, checks = self._looked_at(sample)
            for check in checks:
                found[check].append(row.id)
            if learned:
                kept.append(held)
            numbers = (1, len(held.input_ids), learned) if learned else (0, 0, 0)
            for what, number in zip(BY_SOURCE, numbers, strict=True):
                sources[what, row.source] += number
        file = self.folder / f"{os.getpid()}.tokens"
        with file.open("ab") as opened:
            start = opened.tell()
            for sample in kept:
                opened.write(sample.input_ids.data)
                opened.write(sample.labels.data)
        lengths = np.array([len(sample.input_ids) for sample in kept], dtype=np.int64)
        prints = np.array([fingerprint(sample.input_ids, sample.labels) for sample in kept], dtype=np.uint64)
        return Tokenised(file, start, lengths, prints, len(chats) - len(refused), dict(found), sources, refused)

    def _looked_at(self, sample: Sample) -> tuple[Sample, int, list[str]]:
        """The sample as far as a chunk holds it, how many of its tokens would be learned, and which checks find it."""
        checks = ["two-bos"] if has_two_bos(self.tokenizer, sample.input_ids) else []
        if len(sample.input_ids) > self.chunk_tokens:
            checks.append("truncated")
            sample = Sample(sample.input_ids[: self.chunk_tokens], sample.labels[: self.chunk_tokens])
        elif has_end_unlearned(self.tokenizer, sample):
            checks.append("end-unlearned")
        # A chunk's collator gives a sample's first token no label: nothing comes before it.
        learned = int((sample.labels[1:] != IGNORED).sum())
        if not learned:
            checks.append("no-loss-tokens")
        return sample, learned, checks


class Samples:
    """All samples of a mixture, in the order of its rows: ``lengths`` and ``fingerprints`` as in :class:`Tokenised`.

    Their tokens stay in the files until they are asked for.
    """

    def __init__(self, parts: Sequence[Tokenised]) -> None:
        self.lengths = np.concatenate([np.zeros(0, dtype=np.int64), *(part.lengths for part in parts)])
        self.fingerprints = np.concatenate([np.zeros(0, dtype=np.uint64), *(part.fingerprints for part in parts)])
        self._files = sorted({part.file for part in parts})
        numbers = {file: number for number, file in enumerate(self._files)}
        counts = [len(part.lengths) for part in parts]
        self._file = np.repeat(np.array([numbers[part.file] for part in parts], dtype=np.int64), counts)
        before = [np.cumsum(part.lengths) - part.lengths for part in parts]
        starts = [part.start + _SAMPLE * places for part, places in zip(parts, before, strict=True)]
        self._start = np.concatenate([np.zeros(0, dtype=np.int64), *starts])

    def read(self, numbers: Sequence[int]) -> list[Sample]:
        """The samples of these numbers, in their order. PrimumError where a file is not as it was written."""
        found: dict[int, Sample] = {}
        with ExitStack() as opened:
            files = [opened.enter_context(file.open("rb", buffering=0)) for file in self._files]
            for number in sorted(numbers, key=lambda each: (self._file[each], self._start[each])):
                at, length = int(self._file[number]), int(self.lengths[number])
                block = os.pread(files[at].fileno(), _SAMPLE * length, int(self._start[number]))
                if len(block) != _SAMPLE * length:
                    raise PrimumError(f"{self._files[at]}: was cut short while it was read: run again")
                tokens = np.frombuffer(block, dtype=np.int32)
                found[number] = Sample(tokens[:length], tokens[length:])
        return [found[number] for number in numbers]
