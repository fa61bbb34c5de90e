"""A benchmark's rows as documents, and what a task's keys make of one: its question, its choices, its answer.

The rules are those of lm-evaluation-harness (``ConfigurableTask``): a key's text that is a column's name means the column,
any other text is a jinja2 template, a list is the choices themselves, a function gets the document.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from primum.errors import PrimumError
from primum.score.functions import call
from primum.text.choices import choice_values
from primum.text.rows import ChoiceRow, DocumentRow

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
_ENVIRONMENT.filters["regex_replace"] = lambda text, pattern, by, count=0: re.sub(pattern, by, text, count=count)
_POSITION = "primum_position"


@dataclass(frozen=True, slots=True)
class Document:
    """One row as its templates see it. ``subject`` is "" where the row has none."""

    id: str
    subject: str
    fields: Mapping[str, Any]


def documents(rows: Sequence[ChoiceRow | DocumentRow], task: Mapping[str, Any]) -> list[Document]:
    """Rows as documents: of a multiple-choice row its fields (the answer only as ``target``), of a raw one its columns.

    ``process_docs`` runs on the whole dataset, as in lm-eval, on a ``datasets.Dataset``; documents that it leaves out are no
    items, those that it makes anew are numbered.
    """
    made = [_document(row) for row in rows]
    if task["process_docs"] is None or not made:
        return made
    import datasets

    datasets.disable_progress_bars()
    records = [{**each.fields, _POSITION: position} for position, each in enumerate(made)]
    processed = list(call("process_docs", task["process_docs"], datasets.Dataset.from_list(records)))
    result = []
    for number, record in enumerate(processed):
        fields = dict(record)
        position = fields.pop(_POSITION, None)
        id = made[position].id if position is not None else f"{rows[0].source}/{number:07d}"
        result.append(Document(id, made[position].subject if position is not None else "", fields))
    return result


def _document(row: ChoiceRow | DocumentRow) -> Document:
    if isinstance(row, DocumentRow):
        return Document(row.id, "", json.loads(row.document))
    values = choice_values(row)
    fields = {
        **{key: values[key] for key in ("subject", "context", "question")},
        **{"choices": list(row.choices), "letters": list(values["letters"]), "target": row.target},
    }
    return Document(row.id, row.subject, fields)


def question(document: Document, task: Mapping[str, Any]) -> str:
    """``doc_to_text``. PrimumError for a number, which is one of several inputs and no question."""
    text = value("doc_to_text", task["doc_to_text"], document)
    if not isinstance(text, str):
        raise _error(document, "doc_to_text", "gives no text: of a task with several inputs nothing else can be asked")
    return text


def several_inputs(document: Document, task: Mapping[str, Any]) -> bool:
    """Whether each choice is a context of its own, and all have one continuation, as in Winogrande.

    So it is where ``doc_to_text`` gives a number; of a task lm-eval asks that of its first document. A question that is
    written as a number, by a template, is one where what is right is among the choices.
    """
    source = task["doc_to_text"]
    found = value("doc_to_text", source, document)
    if not isinstance(source, str) or source in document.fields or not str(found).isdigit():
        return hasattr(found, "__index__")
    try:
        target(document, task, choices(document, task))
    except PrimumError:
        return True
    return False


def right_input(document: Document, task: Mapping[str, Any], choices: Sequence[str]) -> int:
    """The position that ``doc_to_text`` gives of the right one of several inputs."""
    found = value("doc_to_text", task["doc_to_text"], document)
    if isinstance(found, str) and found.isdigit():
        found = int(found)
    return _position("doc_to_text", found, document, choices)


def continuation(document: Document, task: Mapping[str, Any]) -> str:
    """``doc_to_target`` of a task with several inputs: the text that each of them is followed by."""
    found = value("doc_to_target", task["doc_to_target"], document)
    if not isinstance(found, str | int):
        raise _error(document, "doc_to_target", "gives no text to follow the task's several inputs")
    return str(found)


def prefix(document: Document, task: Mapping[str, Any]) -> str:
    """``gen_prefix``, which begins the answer."""
    return str(value("gen_prefix", task["gen_prefix"], document)) if task.get("gen_prefix") else ""


def description(document: Document, task: Mapping[str, Any]) -> str:
    """What stands before everything else, such as "The following are questions about {{ subject }}."."""
    return str(value("description", task["description"], document)) if task["description"] else ""


def choices(document: Document, task: Mapping[str, Any]) -> list[str]:
    """``doc_to_choice``, or what ``scoring`` puts in its place: the letters, the whole answers, or both."""
    scoring = task["scoring"]
    if scoring is not None and not {"choices", "letters"} <= document.fields.keys():
        raise _error(
            document, "scoring", "needs multiple-choice rows: of raw documents doc_to_choice says what is scored"
        )
    if scoring == "letter":
        return list(document.fields["letters"])
    if scoring == "full_answer":
        return list(document.fields["choices"])
    if scoring == "letter_and_answer":
        pairs = zip(document.fields["letters"], document.fields["choices"], strict=True)
        return [f"{letter}. {choice}" for letter, choice in pairs]
    found = value("doc_to_choice", task["doc_to_choice"], document)
    if isinstance(found, str):
        found = literal(found)
    if not isinstance(found, list | tuple) or len(found) < 2 or not all(isinstance(each, str) for each in found):
        raise _error(document, "doc_to_choice", "is no list of two or more texts")
    return list(found)


def target(document: Document, task: Mapping[str, Any], choices: Sequence[str]) -> int:
    """``doc_to_target`` as the position of the right choice. PrimumError for several targets, or for none of the choices."""
    source = task["doc_to_target"]
    found = value("doc_to_target", source, document)
    if isinstance(source, str) and source not in document.fields and isinstance(found, str):
        # A template can only give text: digits are a position, brackets a list.
        found = int(found) if found.isdigit() else literal(found) if found[:1] == "[" else found
    if isinstance(found, list) and found and task.get("process_results"):
        found = found[0]  # process_results says what is right, and this only names one
    if isinstance(found, list):
        raise _error(document, "doc_to_target", "gives several targets, which is not supported")
    return _position("doc_to_target", found, document, choices)


def _position(key: str, found: Any, document: Document, choices: Sequence[str]) -> int:
    if isinstance(found, str):
        found = list(choices).index(found) if found in choices else -1
    position = int(found) if hasattr(found, "__index__") else -1  # numpy's integers are no int
    if not 0 <= position < len(choices):
        raise _error(document, key, "is none of its choices: correct the task, or leave the row out")
    return position


def cluster(document: Document, task: Mapping[str, Any]) -> str | None:
    """What tells which items were drawn together, as a hash, since it may be a text; None where there is nothing to tell.

    PrimumError for a name that is no column: as a template it would put all items into one cluster.
    """
    source = task.get("cluster")
    if isinstance(source, str) and source and source not in document.fields and "{" not in source:
        raise _error(document, "cluster", f"has no column {source!r}; there are: {', '.join(document.fields)}")
    found = value("cluster", source, document) if source else None
    text = "" if found is None else str(found).strip()
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else None


def literal(text: str) -> Any:
    """A template's list, which it can only give as text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text


def value(key: str, source: Any, document: Document) -> Any:
    """A column, a rendered template, a function's answer, or the value itself."""
    if isinstance(source, Mapping):
        return call(key, source, dict(document.fields), row=document.id)
    if not isinstance(source, str):
        return source
    if source in document.fields:
        return document.fields[source]
    try:
        return _template(source).render(document.fields)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        names = ", ".join(name for name in document.fields if re.fullmatch(r"[\w.:-]{1,32}", name))
        problem = f"template {source[:40]!r} cannot be rendered ({type(error).__name__}): it may use {names}"
        raise _error(document, key, problem) from None


@cache
def _template(source: str) -> Template:
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise PrimumError(f"template {source[:40]!r}: line {getattr(error, 'lineno', 1)}: {error.message}") from None


def _error(document: Document, key: str, problem: str) -> PrimumError:
    return PrimumError(f"{document.id}: {key}: {problem}")
