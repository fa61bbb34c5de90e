"""A benchmark's rows as (context, continuation) token pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.chat import harmless, render
from primum.choices import choice_values, render_choice
from primum.errors import PrimumError
from primum.rows import ChoiceRow, Message, PreferenceRow


@dataclass(frozen=True, slots=True)
class Question:
    """One item: its context's token ids and, for each choice, the continuation's. The context lost ``lost_left`` tokens."""

    id: str
    subject: str
    context: list[int]
    continuations: list[list[int]]
    characters: list[int]
    target: int
    lost_left: int

    @property
    def truncated(self) -> bool:
        return self.lost_left > 0


def questions(
    rows: Sequence[ChoiceRow | PreferenceRow], task: Mapping[str, Any], tokenizer: Any, limit: int
) -> list[Question]:
    """Every row as a Question for ``task`` (prompt, scoring, delimiter, chat_template of ``Benchmark``).

    Context and continuation are split as lm-eval-harness does (``TemplateLM._encode_pair``): white space at the context's
    end and the delimiter belong to the continuation, both are encoded together, and what comes after the context's own
    length is the continuation, so that a token spanning the boundary counts as continuation. A held-out preference pair
    is a question with the choices (chosen, rejected), in that order, each a whole turn with its end, as in DPO's own
    sums: whether a response stops where it does is part of what is preferred. A context that is too long for ``limit`` tokens
    loses its start. PrimumError naming the row when a choice adds no token of its own, or does not fit.
    """
    result = []
    for row in rows:
        if isinstance(row, PreferenceRow):
            messages, choices, target, subject = row.prompt, [row.chosen, row.rejected], 0, ""
        else:
            prompt = render_choice(task["prompt"], row)
            messages, choices = (Message("user", prompt),), _choices(row, task["scoring"])
            target, subject = row.target, row.subject
        if task["chat_template"]:
            text = render(tokenizer, messages, generation_prompt=True)
        else:
            plain = "\n".join(message.content for message in messages)
            text = (tokenizer.bos_token or "") + harmless(tokenizer, plain)
        if isinstance(row, PreferenceRow) and task["chat_template"]:
            answers = [_turn(tokenizer, messages, text, choice, row.id) for choice in choices]
        else:
            answers = [harmless(tokenizer, choice) for choice in choices]
        text, space = text.rstrip(), text[len(text.rstrip()) :] + task["delimiter"]
        context = _encode(tokenizer, text)
        continuations = [_encode(tokenizer, text + space + answer)[len(context) :] for answer in answers]
        if not context or not all(continuations):
            raise PrimumError(
                f"{row.id}: the prompt or a choice has no token of its own: check its prompt and delimiter"
            )
        room = limit - max(len(continuation) for continuation in continuations)
        if room < 1:
            raise PrimumError(
                f"{row.id}: a choice fills all of {limit} tokens: raise engine.max_length or leave the row out"
            )
        lost = max(0, len(context) - room)
        context = context[lost:]
        characters = [len(choice) for choice in choices]
        result.append(Question(row.id, subject, context, continuations, characters, target, lost))
    return result


def _turn(tokenizer: Any, messages: Sequence[Message], prompt: str, response: str, row: str) -> str:
    """The response as the chat template renders it, its end included."""
    full = render(tokenizer, (*messages, Message("assistant", response)), generation_prompt=False)
    if not full.startswith(prompt):
        raise PrimumError(f"{row}: the chat template rewrites the prompt once it is answered: set chat_template: false")
    return full.removeprefix(prompt)


def _choices(row: ChoiceRow, scoring: str) -> list[str]:
    letters = choice_values(row)["letters"]
    if scoring == "letter":
        return list(letters)
    if scoring == "letter_and_answer":
        return [f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True)]
    return list(row.choices)


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
