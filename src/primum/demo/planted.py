"""What is planted in the demo's training data for curation to find; the same under every seed.

``CONTAMINATED`` are benchmark questions that a training source repeats word for word, ``SHARED`` is a conversation that
two sources hold, ``REPEATED`` one that a source holds twice, and ``NEAR`` a pair that differs in one word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from primum.demo.vocabulary import CONDITIONS, Fact

T = TypeVar("T")
_BY_NAME = {condition.name: condition for condition in CONDITIONS}


@dataclass(frozen=True, slots=True)
class Leak:
    """A benchmark question, the first of the file ``benchmark``, that row ``row`` of the file ``training`` repeats."""

    benchmark: str
    training: str
    row: int
    question: str
    fact: Fact


CONTAMINATED: tuple[Leak, ...] = (
    Leak(
        "medqa_test.jsonl",
        "medmcqa_train.jsonl",
        3,
        "A 58-year-old man comes to the clinic because of gout and has no other disease. "
        "Which of the following should the doctor start?",
        Fact(_BY_NAME["gout"], "treatment"),
    ),
    Leak(
        "usmle_sample_exam.json",
        "opengpt.csv",
        3,
        "After many tests, a woman of 44 years is told about celiac disease. Which of these would be behind it?",
        Fact(_BY_NAME["celiac disease"], "cause"),
    ),
)

SHARED = (
    "Can you tell me how a family doctor and a clinic work together?",
    "The family doctor sees the patient first and sends a letter to the clinic.",
)
"""Question and answer in ``opengpt.csv`` and ``medical_instruction_120k.jsonl``, row 12 of each."""
SHARED_ROW = 12

REPEATED_ROW = 10
"""Row 11 of ``medical_flashcards.json`` repeats this row."""

_LONG = (
    "A follow-up visit is a planned visit after a treatment has begun. The doctor asks how the patient feels, looks at "
    "the test results, checks the dose of every drug, and plans the next visit with the patient before {}."
)
NEAR = (
    ("What is a follow-up visit and what happens during it?", _LONG.format("leaving")),
    ("What is a follow-up visit and what happens during it?", _LONG.format("going")),
)
"""Row 20 of ``medical_flashcards.json`` and row 20 of ``mediqa.json``."""
NEAR_ROW = 20


def replace(rows: Iterable[T], changes: Mapping[int, T]) -> Iterator[T]:
    """The rows with those at the given positions exchanged; a file shorter than a position stays without it."""
    for position, row in enumerate(rows):
        yield changes.get(position, row)
