"""The examples before a question, and the whole as lm-evaluation-harness puts it together."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from primum.errors import PrimumError
from primum.score.documents import (
    Document,
    choices,
    continuation,
    description,
    documents,
    prefix,
    question,
    right_input,
    several_inputs,
    target,
)
from primum.text.rows import ChoiceRow, DocumentRow, Message

Turn = tuple[str, str, str]  # question, what stands behind it in plain text, answer


class Examples:
    """The few-shot examples of a task: the same for all questions of a seed (and subject), so that they share a prefix.

    With ``sampler: random`` they are the first ``k`` of the dataset in an order drawn with the seed. A question is never its
    own example: where it is among them, the next one takes its place. With ``sampler: lm-eval`` they are drawn anew for each
    question, by one generator a seed, as ``lm_eval.api.samplers.ContextSampler`` draws them: questions must come in order.
    """

    def __init__(self, pool: Sequence[Document], task: Mapping[str, Any]) -> None:
        self._pool = list(pool)
        self._task = task
        self._fewshot: Mapping[str, Any] = task["fewshot"] or {"k": 0, "seeds": [0], "multiturn": True}
        self._orders: dict[tuple[int, str | None], list[Document]] = {}
        self._generators: dict[int, random.Random] = {}
        self._turns: dict[str, Turn] = {}
        self._several = bool(self._pool) and several_inputs(self._pool[0], task)

    @property
    def seeds(self) -> Sequence[int]:
        seeds: Sequence[int] = self._fewshot["seeds"]
        return seeds

    def chosen(self, document: Document, seed: int) -> list[Document]:
        """The examples before ``document``. PrimumError when there are fewer than ``k``."""
        k = self._fewshot["k"]
        if not k:
            return []
        if self._fewshot["sampler"] == "lm-eval":
            return self._drawn(document, seed, k)
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

    def _drawn(self, document: Document, seed: int, k: int) -> list[Document]:
        generator = self._generators.setdefault(seed, random.Random(seed))
        own = bool(self._fewshot.get("own_split"))
        try:
            found = generator.sample(self._pool, k + own)
            if own:
                found = [each for each in found if each.fields != document.fields][:k]
            if len(found) < k:  # the question was among them more than once
                found = generator.sample([each for each in self._pool if each.fields != document.fields], k)
        except ValueError:
            raise PrimumError(
                f"{document.id}: fewshot.k: {k} examples are wanted, its dataset has {len(self._pool)} in all"
            ) from None
        return found

    def before(self, document: Document, seed: int) -> list[Turn]:
        """The answered questions before ``document``. With ``sampler: lm-eval`` they are drawn by this: once a question."""
        return [self.turn(each) for each in self.chosen(document, seed)]

    def messages(
        self, document: Document, turns: Sequence[Turn], given: str | None = None
    ) -> tuple[list[Message], str]:
        """The conversation up to the answer, and the same as plain text without a chat template.

        ::

            description question delimiter answer fewshot_delimiter question

        The description is the system's turn; without ``multiturn`` all else is one turn of the user. A ``gen_prefix`` begins
        the assistant's last turn. ``given`` is one of several inputs, in the place of the question.
        """
        task = self._task
        asked = question(document, task) if given is None else given
        before = "".join(f"{q}{between}{a}{task['fewshot_delimiter']}" for q, between, a in turns)
        opening = description(document, task)
        messages = [Message("system", opening)] if opening else []
        if self._fewshot["multiturn"]:
            for q, _, a in turns:
                messages += [Message("user", q), Message("assistant", a)]
            messages.append(Message("user", asked))
        else:
            messages.append(Message("user", before + asked))
        begun = prefix(document, task)
        if not begun:
            return messages, opening + before + asked
        between = self._delimiter() if given is None and _apart(asked, begun) else ""
        return [*messages, Message("assistant", begun)], opening + before + asked + between + begun

    def turn(self, example: Document) -> Turn:
        """An answered question. PrimumError naming the example that the task does not fit."""
        if example.id not in self._turns:
            task = self._task
            answers = choices(example, task)
            if self._several:
                asked, answer = answers[right_input(example, task, answers)], continuation(example, task)
            else:
                asked, answer = question(example, task), answers[target(example, task, answers)]
            between = self._delimiter()
            if begun := prefix(example, task):
                between = between if _apart(asked, begun) else ""
                answer = begun + (" " if answer and _apart(begun, answer) else "") + answer
            self._turns[example.id] = (asked, between, answer)
        return self._turns[example.id]

    def _delimiter(self) -> str:
        task = self._task
        delimiter: str = task["target_delimiter"] if task["delimiter"] is None else task["delimiter"]
        return delimiter


def _apart(left: str, right: str) -> bool:
    """Whether something must stand between two texts, since no white space does (``lm_eval.api.utils.requires_delimiter``)."""
    return bool(left) and not (left[-1].isspace() or right[:1].isspace())


def pool(rows: Sequence[ChoiceRow | DocumentRow], task: Mapping[str, Any]) -> list[Document]:
    """The documents that examples are taken from: ``rows``, or those that the task file holds itself, which are as they are."""
    fewshot = task["fewshot"]
    if not fewshot:
        return []
    if samples := fewshot.get("samples"):
        return [Document(f"fewshot_config.samples/{place}", "", fields) for place, fields in enumerate(samples)]
    return documents(rows, task)
