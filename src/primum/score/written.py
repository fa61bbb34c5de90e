"""Tasks that are answered by a text: what is asked, what is right, and what an answer says (lm-eval's ``generate_until``)."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.errors import PrimumError
from primum.score.documents import Document, choices, description, documents, literal, question, value
from primum.score.fewshot import Examples
from primum.score.filters import read
from primum.text.rows import ChoiceRow, DocumentRow, Message

_NONE = ({"function": "take_first"},)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DIGITS = str.maketrans("", "", string.digits)


@dataclass(frozen=True, slots=True)
class Read:
    """What one pipeline of filters reads. ``fell_back`` where it found nothing and gave what it has for that."""

    text: str
    correct: bool
    fell_back: bool


@dataclass(frozen=True, slots=True)
class Written:
    """One document with its targets, any of which is right."""

    document: Document
    targets: tuple[str, ...]
    task: Mapping[str, Any]

    def read(self, answers: Sequence[str]) -> list[Read]:
        """What ``answers``, the texts that the question was answered with, say: by each pipeline, as lm-eval does it."""
        task = self.task["generate_until"]
        answers = [_until(answer, task["until"]) for answer in answers]
        result = []
        for pipeline in [each["filter"] for each in task["filters"]] or [_NONE]:
            text, fell_back = read(pipeline, answers, self.document.fields)
            result.append(Read(text, exact_match(text, self.targets, task["exact_match"]), fell_back))
        return result


def written(rows: Sequence[ChoiceRow | DocumentRow], task: Mapping[str, Any]) -> list[Written]:
    """Every document of a text task with its targets. PrimumError naming one whose target is no text."""
    return [Written(each, targets(each, task), task) for each in documents(rows, task)]


def conversations(
    rows: Sequence[ChoiceRow | DocumentRow], task: Mapping[str, Any], examples: Sequence[ChoiceRow | DocumentRow]
) -> Iterator[tuple[str, str, int, list[Message]]]:
    """(id, item, seed, conversation) of every document after the examples of every seed.

    With ``chat_template: false`` all of it is one turn, as lm-eval writes it without a template.
    """
    shown, samples = _examples(task), task["generate_until"]["examples"]["samples"]
    pool = [Document(f"sample/{number}", "", record) for number, record in enumerate(samples)]
    few = Examples(pool or (documents(examples, task) if examples else []), task)
    for seed in few.seeds:
        for document in documents(rows, task):
            turns = [(question(each, shown), targets(each, shown)[0]) for each in few.chosen(document, seed)]
            id = document.id if len(few.seeds) == 1 else f"{document.id}+{seed:04d}"
            yield id, document.id, seed, _messages(task, document, turns)


def _messages(task: Mapping[str, Any], document: Document, turns: Sequence[tuple[str, str]]) -> list[Message]:
    delimiter = task["target_delimiter"] if task["delimiter"] is None else task["delimiter"]
    opening, asked = description(document, task), question(document, task)
    before = "".join(f"{q}{delimiter}{a}{task['fewshot_delimiter']}" for q, a in turns)
    if not task["chat_template"]:
        return [Message("user", opening + before + asked)]
    messages = [Message("system", opening)] if opening else []
    if not (task["fewshot"] or {"multiturn": False})["multiturn"]:
        return [*messages, Message("user", before + asked)]
    answered = [Message(*turn) for q, a in turns for turn in (("user", q), ("assistant", a))]
    return [*messages, *answered, Message("user", asked)]


def _examples(task: Mapping[str, Any]) -> dict[str, Any]:
    own = task["generate_until"]["examples"]
    return {**task, **{key: own[key] for key in ("doc_to_text", "doc_to_target") if own[key] is not None}}


def targets(document: Document, task: Mapping[str, Any]) -> tuple[str, ...]:
    """``doc_to_target`` as texts: with ``doc_to_choice`` it is the place of a choice, and a list are several right answers."""
    source = task["doc_to_target"]
    found = value("doc_to_target", source, document)
    template = isinstance(source, str) and source not in document.fields
    if template and isinstance(found, str) and len(found) > 1 and found[0] + found[-1] == "[]":
        found = literal(found)
    if task["generate_until"]["target_is_choice"]:
        place = int(found) if isinstance(found, int) or str(found).isdigit() else -1
        options = choices(document, task)
        if not 0 <= place < len(options):
            raise PrimumError(f"{document.id}: doc_to_target: is no place of its choices: correct the task")
        return (options[place],)
    several = found if isinstance(found, list | tuple) else [found]
    if not several:
        raise PrimumError(f"{document.id}: doc_to_target: has no right answer: correct the task, or leave the row out")
    return tuple(str(each) for each in several)


def exact_match(text: str, targets: Sequence[str], options: Mapping[str, Any]) -> bool:
    """Whether ``text`` is one of ``targets``, both without what ``options`` (``ExactMatch``) leave out."""

    def left(given: str) -> str:
        for pattern in options["regexes_to_ignore"]:
            given = re.sub(pattern, "", given)
        given = given.lower() if options["ignore_case"] else given
        given = given.translate(_PUNCTUATION) if options["ignore_punctuation"] else given
        return given.translate(_DIGITS) if options["ignore_numbers"] else given

    return left(text) in {left(target) for target in targets}


def _until(answer: str, ends: Sequence[str]) -> str:
    """What comes before the first text that ends an answer."""
    for end in ends:
        answer = answer.split(end, maxsplit=1)[0] if end else answer
    return answer
