"""The items of a multiple-choice benchmark that is answered in words: its options are lettered, and a letter is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from primum.artifact.job import Item
from primum.score.documents import choices, cluster, documents, target
from primum.score.documents import question as document_question
from primum.score.kinds import typed_rows
from primum.text.choices import choice_values
from primum.text.rows import ChoiceRow

INSTRUCTION = 'Choose one option. End with a line that holds only "Answer: " and the letter of that option.'


@dataclass(frozen=True, slots=True)
class Asked:
    """One multiple-choice item as it is asked: the whole prompt, its options, and which of them is right."""

    id: str
    subject: str
    text: str
    options: tuple[str, ...]
    target: int
    cluster: str | None = None


def rows(item: Item, role: str = "benchmarks") -> list[Any]:
    """The rows of a role: ChoiceRows or DocumentRows. PrimumError where they are of another kind."""
    return typed_rows(item.one(role).table(), f"{item.name}: its {role}")


def asked(item: Item) -> list[Asked]:
    """Every item of a multiple-choice benchmark, by id; of raw documents what the task (``Benchmark.asked``) makes of them."""
    found = rows(item)
    if not found or isinstance(found[0], ChoiceRow):
        of = [cluster(document, item.spec) for document in documents(found, {"process_docs": None})]
        pairs = [(row, each) for row, each in zip(found, of, strict=True) if isinstance(row, ChoiceRow)]
        return [Asked(r.id, r.subject, question(r), r.choices, r.target, each) for r, each in pairs]
    return sorted(_documents(found, item.spec), key=lambda each: each.id)


def _documents(found: Sequence[Any], task: Any) -> list[Asked]:
    result = []
    for document in documents(found, task):
        options = choices(document, task)
        right = target(document, task, options)
        row = ChoiceRow(document.id, "", document.subject, "", document_question(document, task), tuple(options), right)
        # A task whose choices are bare letters has its options in the question already.
        listed = options == list(choice_values(row)["letters"])
        text = f"{row.question}\n\n{INSTRUCTION}" if listed else question(row)
        result.append(Asked(row.id, row.subject, text, row.choices, right, cluster(document, task)))
    return result


def question(row: ChoiceRow) -> str:
    """A question with its context, its lettered options and how to answer. PrimumError for more options than letters."""
    letters = choice_values(row)["letters"]
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True))
    return "\n\n".join(part for part in (row.context, row.question, options, INSTRUCTION) if part)
