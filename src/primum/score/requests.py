"""A benchmark's rows as (context, continuation) token pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.chat import render
from primum.choices import choice_values, template
from primum.rows import ChoiceRow, Message, PreferenceRow


@dataclass(frozen=True, slots=True)
class Question:
    """One item: its context's token ids and, for each choice, the continuation's. ``truncated``: the context lost its start."""

    id: str
    subject: str
    context: list[int]
    continuations: list[list[int]]
    characters: list[int]
    target: int
    truncated: bool


def questions(rows: Sequence[ChoiceRow | PreferenceRow], task: Mapping[str, Any], tokenizer: Any, limit: int) -> list[Question]:
    """Every row as a Question for ``task`` (prompt, scoring, delimiter, chat_template of ``Benchmark``).

    Context and continuation are encoded together and split after the context's own length, as lm-eval-harness does, so
    that a token spanning the boundary counts as continuation. A held-out preference pair is a question with the choices
    (chosen, rejected), in that order.
    """
    result = []
    for row in rows:
        if isinstance(row, PreferenceRow):
            messages, choices, target, subject = row.prompt, [row.chosen, row.rejected], 0, ""
        else:
            prompt = template(task["prompt"]).render(choice_values(row))
            messages, choices = (Message("user", prompt),), _choices(row, task["scoring"])
            target, subject = row.target, row.subject
        if task["chat_template"]:
            text = render(tokenizer, messages, generation_prompt=True) + task["delimiter"]
        else:
            text = _with_bos("\n".join(message.content for message in messages), tokenizer) + task["delimiter"]
        context = _encode(tokenizer, text)
        continuations = [_encode(tokenizer, text + choice)[len(context) :] for choice in choices]
        room = limit - max(len(continuation) for continuation in continuations)
        truncated = len(context) > room
        if truncated:
            context = context[-room:]
        characters = [len(choice) for choice in choices]
        result.append(Question(row.id, subject, context, continuations, characters, target, truncated))
    return result


def _choices(row: ChoiceRow, scoring: str) -> list[str]:
    letters = choice_values(row)["letters"]
    if scoring == "letter":
        return list(letters)
    if scoring == "letter_and_answer":
        return [f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True)]
    return list(row.choices)


def _with_bos(text: str, tokenizer: Any) -> str:
    bos = tokenizer.bos_token or ""
    return text if text.startswith(bos) else bos + text


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
