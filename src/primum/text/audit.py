"""The audit of what a training is about to learn from: how often each check finds something, held against limits.

What a stage counts here is looked up in the tokens and in the packed chunks themselves, not in the code that made them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from primum.errors import PrimumError
from primum.text.packing import IGNORED, Ids, Sample

Fingerprints = npt.NDArray[np.uint64]

AUDIT = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("id", "check")]
    + [pa.field(name, pa.int64(), nullable=False) for name in ("count", "of")]
    + [
        pa.field("share", pa.float64()),
        pa.field("limit", pa.float64(), nullable=False),
        pa.field("passed", pa.bool_(), nullable=False),
        pa.field("rows", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True)
class Check:
    """``count`` of ``of`` samples, pairs or whatever ``unit`` says (a plural); ``remedy`` is what to do about them.

    ``rows`` are the ids of those that are counted, None where no rows are.
    """

    name: str
    count: int
    of: int
    unit: str
    remedy: str
    rows: Sequence[str] | None = None

    @property
    def share(self) -> float | None:
        """In 0-1; None where there was nothing to look at."""
        return self.count / self.of if self.of else None


# So many refused conversations are named in a job's log.
NAMED = 100


def rows_check(name: str, found: Mapping[str, Sequence[str]], of: int, unit: str, remedy: str) -> Check:
    """The check ``name`` of rows; ``found`` are the ids of those that each check finds, if it finds any."""
    rows = found.get(name, ())
    return Check(name, len(rows), of, unit, remedy, rows)


def refused_check(found: Mapping[str, Sequence[str]], of: int, unit: str, whose: str = "") -> Check:
    """Conversations that a chat template refuses, or of which it would leave something out."""
    remedy = (
        "set 'fold_system: true' where it refuses a system turn, or name another chat template with the key 'template'"
    )
    return rows_check("refused", found, of, unit, remedy + whose)


def audit_table(model: str, checks: Sequence[Check], limits: Mapping[str, float]) -> pa.Table:
    """A row a check (``AUDIT``), in their order: ``rows`` are the ids of what it found, null where it counts no rows.

    ``limits`` are shares in 0-1, by the checks' names with underscores.

    PrimumError naming the first check that is above its limit: an audit that did not pass is no artifact.
    """
    rows = []
    for number, check in enumerate(checks):
        key = check.name.replace("-", "_")
        share, limit = check.share, limits[key]
        if share is not None and share > limit:
            raise PrimumError(
                f"models.{model}: {check.name}: {check.count:,} of {check.of:,} {check.unit} ({100 * share:.4g}%) are above the "
                f"limit of {100 * limit:.4g}%: {check.remedy}, or raise limits.{key}"
            )
        found = {"check": check.name, "count": check.count, "of": check.of, "rows": check.rows}
        rows.append({"id": f"{number:02d}", **found, "share": share, "limit": limit, "passed": True})
    return pa.Table.from_pylist(rows, schema=AUDIT)


# Single sequences -----------------------------------------------------------------------------------------------------


def has_two_bos(tokenizer: Any, ids: Sequence[int] | Ids) -> bool:
    """Whether a sequence begins with two BOS tokens, or has one inside. False for a tokenizer without BOS.

    One that follows an end token begins another turn, as in Llama 2's template. Where BOS and end are one token, only the
    beginning tells.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is None or len(ids) < 2:
        return False
    tokens = np.asarray(ids)
    if tokens[0] == tokens[1] == bos:
        return True
    return bos != eos and bool(((tokens[1:] == bos) & (tokens[:-1] != eos)).any())


def ends_turn(tokenizer: Any, ids: Sequence[int] | Ids) -> bool:
    """Whether the last token, but for white space behind it, is one that may end a turn: the end token or an added one."""
    last = next((token for token in map(int, reversed(ids)) if not _is_blank(tokenizer, token)), None)
    return last is not None and last in _ends(tokenizer)


def has_end_unlearned(tokenizer: Any, sample: Sample) -> bool:
    """Whether a run of learned tokens, an assistant's turn, stops before the token that ends the turn.

    False where all is learned, the ends with it.
    """
    learned = np.flatnonzero(sample.labels != IGNORED)
    if len(learned) in (0, len(sample.labels)):
        return False
    breaks = np.flatnonzero(np.diff(learned) > 1)
    firsts, lasts = learned[[0, *(breaks + 1)]], learned[[*breaks, -1]]
    turns = zip(firsts, lasts, strict=True)
    return not all(ends_turn(tokenizer, sample.input_ids[first : last + 1]) for first, last in turns)


@lru_cache(maxsize=4)
def _ends(tokenizer: Any) -> frozenset[int]:
    return frozenset({tokenizer.eos_token_id, *tokenizer.get_added_vocab().values()})


@lru_cache(maxsize=4096)
def _is_blank(tokenizer: Any, token: int) -> bool:
    text: str = tokenizer.decode([token], clean_up_tokenization_spaces=False)
    return not text.strip()


# Packed chunks --------------------------------------------------------------------------------------------------------


class LabelsAcross:
    """How many samples no chunk (``primum.text.packing.PACKED``) holds as they are, with labels of their own tokens.

    ``samples`` are their fingerprints, uint64 (samples,). The collator of ``primum.train.chunks`` takes the label from the token
    at which a sample begins, as ``seq_lengths`` says. Where these are wrong it is another token that loses its label, and the
    first one is predicted from the sample before it::

        samples  [a a a][b b]    seq_lengths  3 2    loss on  . a a . b
                                 seq_lengths  5      loss on  . a a b b      the first b is learned from a
    """

    def __init__(self, samples: Fingerprints) -> None:
        self._samples = samples
        self._held: list[Fingerprints] = []

    def look(self, packed: pa.Table) -> None:
        """Look at some of the chunks."""
        columns = [packed.column(name) for name in ("input_ids", "labels", "seq_lengths")]
        held = []
        for row in range(packed.num_rows):
            ids, labels, lengths = (column[row].values.to_numpy() for column in columns)
            if not len(ids) == len(labels) == lengths.sum():
                continue
            others = np.flatnonzero((labels != IGNORED) & (labels != ids))
            for first, last in pairwise([0, *np.cumsum(lengths).tolist()]):
                if not len(others) or not ((first <= others) & (others < last)).any():
                    held.append(fingerprint(ids[first:last], labels[first:last]))
        self._held.append(np.array(held, dtype=np.uint64))

    def count(self) -> int:
        """How many samples none of the chunks that were looked at holds: one that is there twice must be held twice."""
        samples, wanted = np.unique(self._samples, return_counts=True)
        held = np.sort(np.concatenate([np.zeros(0, dtype=np.uint64), *self._held]))
        found = np.searchsorted(held, samples, side="right") - np.searchsorted(held, samples)
        return int(np.maximum(wanted - found, 0).sum())


def fingerprint(ids: Ids, labels: Ids) -> int:
    """64 bits of a sample's tokens and labels, the same in every process."""
    return xxhash.xxh3_64_intdigest(labels.data, seed=xxhash.xxh3_64_intdigest(ids.data))
