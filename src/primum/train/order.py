"""The order in which a training takes its rows: epoch after epoch, each shuffled, cut into batches that may reach over its end.

A batch at the end of an epoch would else be smaller, or, of several processes, filled with rows that were there before: what is
learned would depend on the number of processes::

    rows 0-4, batch 2     3 0 | 4 1 | 2 . | ...      the last batch of the epoch is smaller
    here                  3 0 | 4 1 | 2 1 | 0 4 ...  and goes on with the next one
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler


class Order(Sampler[int]):
    """``wanted`` indices below ``rows``: each once an epoch, the epochs' permutations drawn with ``seed``, ``seed`` + 1, ...

    ``each`` is how many an epoch has, all of them if left out: whole batches alone where the last one is dropped.
    """

    def __init__(self, rows: int, wanted: int, seed: int, each: int | None = None) -> None:
        self._rows, self._wanted, self._seed = rows, wanted, seed
        self._each = each or rows

    def __len__(self) -> int:
        return self._wanted

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        for epoch, first in enumerate(range(0, self._wanted, self._each)):
            generator.manual_seed(self._seed + epoch)
            taken = min(self._each, self._wanted - first)
            yield from torch.randperm(self._rows, generator=generator)[:taken].tolist()


class InOrder:
    """Before a transformers Trainer: as many rows as its ``max_steps`` take, in the order above."""

    args: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        rows = len(self.train_dataset if train_dataset is None else train_dataset)
        args = self.args
        # train_batch_size is a process' own; how many there are is in world_size.
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        each = rows // batch * batch if args.dataloader_drop_last else rows
        return Order(rows, args.max_steps * batch, args.data_seed, each)
