"""A model's answers to a benchmark, read from its score artifact: arrays with an entry an item, by ascending item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from primum.artifact.manifest import Artifact
from primum.errors import PrimumError

Floats = npt.NDArray[np.float64]
SCORED = "scored"
GENERATION = "generation"
_FLEXIBLE = "flexible_correct"
_NO_SUBJECT = "(none)"
_VALUE = "value"  # of tasks with process_results alone
_COLUMNS = [
    "id",
    "item",
    "subject",
    "seed",
    "method",
    "status",
    "choices",
    "correct",
    "truncated",
    "contaminated",
    "cluster",
]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """``marks`` has the shape (items, seeds), 1 where an item was answered right after the examples of a few-shot seed, else 0;
    for a task whose ``process_results`` says what an answer is worth, that. ``flexible`` are the marks of answers in words by
    their flexible reading, where there is one for every item.

    ``clusters`` are the same for items that were drawn together, such as questions about one passage. An item is ``truncated``
    or ``unanswered`` if it was so for any seed; what is unanswered counts as wrong. ``chance`` is 1 / number of choices, 0 where
    the answer is a text. ``contaminated`` is 1 or 0, and -1 where it is not known.
    """

    items: npt.NDArray[Any]
    subjects: npt.NDArray[Any]
    clusters: npt.NDArray[Any]
    marks: Floats
    drawn: tuple[int, ...]
    chance: Floats
    truncated: npt.NDArray[np.bool_]
    unanswered: npt.NDArray[np.bool_]
    contaminated: npt.NDArray[np.int8]
    method: str
    flexible: Floats | None = None

    @property
    def correct(self) -> Floats:
        """The share of an item's seeds that were answered right."""
        shares: Floats = self.marks.mean(axis=1)
        return shares

    @property
    def seeds(self) -> int:
        return len(self.drawn)

    def where(self, mask: npt.NDArray[np.bool_]) -> Answers:
        """The items for which ``mask`` is true."""
        return Answers(
            self.items[mask],
            self.subjects[mask],
            self.clusters[mask],
            self.marks[mask],
            self.drawn,
            self.chance[mask],
            self.truncated[mask],
            self.unanswered[mask],
            self.contaminated[mask],
            self.method,
            None if self.flexible is None else self.flexible[mask],
        )

    @property
    def partial(self) -> bool:
        """Whether an answer may be partly right: then nothing counts right answers."""
        return not bool(np.isin(self.correct, (0.0, 1.0)).all())

    def subject_names(self) -> list[str]:
        return sorted(set(self.subjects.tolist()))


def same_items(first: Answers, second: Answers) -> bool:
    """Whether both are about the same items: only then is a comparison paired."""
    return np.array_equal(first.items, second.items)


def read_answers(artifact: Artifact) -> Answers:
    """The rows of a score artifact by item.

    Raises PrimumError for an item without choices, one that lacks a seed or has it twice, and for two methods in one.
    """
    optional = [name for name in (_VALUE, _FLEXIBLE) if name in artifact.column_names()]
    table = artifact.table([*_COLUMNS, *optional])
    columns = {name: table[name].to_numpy() for name in _COLUMNS if name not in ("contaminated", "cluster")}
    fault = f"{artifact.data}: row {{}}: {{}}: run the stage score again"
    # What is answered by a text has none.
    answerable = (columns["choices"] > 0) | (columns["method"] == GENERATION)
    if not answerable.all():
        raise PrimumError(fault.format(columns["id"][np.argmin(answerable)], "has no choices"))
    methods = sorted(set(columns["method"].tolist()))
    if len(methods) > 1:
        raise PrimumError(f"{artifact.data}: is answered by {' and by '.join(methods)}: run the stage score again")
    items, first, index = np.unique(columns["item"].astype(object), return_index=True, return_inverse=True)
    drawn = np.unique(columns["seed"])
    seen = np.zeros((len(items), len(drawn)), dtype=np.int64)
    place = (index, np.searchsorted(drawn, columns["seed"]))
    np.add.at(seen, place, 1)
    if not (seen == 1).all():
        row = first[np.argmin((seen == 1).all(axis=1))]
        raise PrimumError(fault.format(columns["id"][row], "its item lacks a few-shot seed, or has one twice"))
    unanswered = columns["status"] != SCORED
    worth = table[_VALUE].to_numpy() if _VALUE in optional else columns["correct"].astype(bool)
    marks = np.zeros(seen.shape)
    marks[place] = np.where(unanswered, 0.0, worth)
    contaminated = np.full(len(items), -1, dtype=np.int8)
    np.maximum.at(contaminated, index, table["contaminated"].cast(pa.int8()).fill_null(-1).to_numpy())
    flexible = None
    if _FLEXIBLE in optional and not table[_FLEXIBLE].null_count:
        flexible = np.zeros(seen.shape)
        flexible[place] = table[_FLEXIBLE].to_numpy()
    subjects = np.array([subject or _NO_SUBJECT for subject in columns["subject"][first]], dtype=object)
    clusters = table["cluster"].to_pylist()
    return Answers(
        items,
        subjects,
        # What belongs to no cluster is one of its own.
        np.array([clusters[row] or f"item {position}" for position, row in enumerate(first)], dtype=object),
        marks,
        tuple(drawn.tolist()) or (0,),
        np.where(columns["choices"] > 0, 1 / np.maximum(columns["choices"], 1), 0.0)[first],
        np.bincount(index, columns["truncated"].astype(bool), minlength=len(items)) > 0,
        np.bincount(index, unanswered, minlength=len(items)) > 0,
        contaminated,
        methods[0] if methods else "",
        flexible,
    )
