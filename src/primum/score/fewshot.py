"""The examples before a question, and the whole as lm-evaluation-harness puts it together."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from primum.errors import PrimumError
from primum.score.documents import Document, choices, description, question, target
from primum.text.rows import Message


class Examples:
    """The few-shot examples of a task: the same for all questions of a seed (and subject), so that they share a prefix.

    With ``sampler: random`` they are the first ``k`` of the dataset in an order drawn with the seed. A question is never its
    own example: where it is among them, the next one takes its place. (lm-eval draws anew for every question.)
    """

    def __init__(self, pool: Sequence[Document], task: Mapping[str, Any]) -> None:
        self._pool = pool
        self._task = task
        self._fewshot: Mapping[str, Any] = task["fewshot"] or {"k": 0, "seeds": [0], "multiturn": True}
        self._orders: dict[tuple[int, str | None], list[Document]] = {}
        self._turns: dict[str, tuple[str, str]] = {}

    @property
    def seeds(self) -> Sequence[int]:
        seeds: Sequence[int] = self._fewshot["seeds"]
        return seeds

    def chosen(self, document: Document, seed: int) -> list[Document]:
        """The examples before ``document``. PrimumError when there are fewer than ``k``."""
        k = self._fewshot["k"]
        if not k:
            return []
        subject = document.subject if self._fewshot["same_subject"] else None
        if (seed, subject) not in self._orders:
            pool = [each for each in self._pool if subject in (None, each.subject)]
            if self._fewshot["sampler"] == "random":
                pool = random.Random(f"{seed}/{subject or ''}").sample(pool, len(pool))
            self._orders[seed, subject] = pool
        found: list[Document] = []
        for each in self._orders[seed, subject]:
            if len(found) < k and each.fields != document.fields:
                found.append(each)
            if len(found) == k:
                return found
        raise PrimumError(f"{document.id}: fewshot.k: {k} examples are wanted, its dataset has {len(found)} for it")

    def messages(self, document: Document, seed: int) -> tuple[list[Message], str]:
        """The conversation up to the answer, and the same as plain text without a chat template.

        ::

            description question delimiter answer fewshot_delimiter question

        The description is the system's turn; without ``multiturn`` all else is one turn of the user.
        """
        task = self._task
        delimiter = task["target_delimiter"] if task["delimiter"] is None else task["delimiter"]
        asked = question(document, task)
        turns = [self._turn(each) for each in self.chosen(document, seed)]
        before = "".join(f"{q}{delimiter}{a}{task['fewshot_delimiter']}" for q, a in turns)
        opening = description(document, task)
        messages = [Message("system", opening)] if opening else []
        if self._fewshot["multiturn"]:
            for q, a in turns:
                messages += [Message("user", q), Message("assistant", a)]
            messages.append(Message("user", asked))
        else:
            messages.append(Message("user", before + asked))
        return messages, opening + before + asked

    def _turn(self, example: Document) -> tuple[str, str]:
        if example.id not in self._turns:
            answers = choices(example, self._task)
            answer = answers[target(example, self._task, answers)]
            self._turns[example.id] = (question(example, self._task), answer)
        return self._turns[example.id]
