"""One adapter for each upstream format: raw files in, rows and counted drops out.

Every upstream record becomes a row or a :class:`~primum.text.rows.Drop`, never nothing. An adapter is a function of the
files, the dataset's name and the keyword options that its catalog entry may give; :data:`ADAPTERS` lists them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

from primum.curate.adapters import chat, choice, dialogue, documents, preference, rubrics, safety
from primum.curate.adapters.files import RawFile
from primum.errors import PrimumError
from primum.text.rows import (
    ChatRow,
    ChoiceRow,
    Criterion,
    DocumentRow,
    Drop,
    GradedRow,
    Message,
    PreferenceRow,
    RequestRow,
    Row,
    RubricRow,
    TextRow,
)

__all__ = ["ADAPTERS", "Adapter", "RawFile", "read"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """``read(files, dataset, **options)`` yields rows of ``row_type``, and drops, in upstream order."""

    name: str
    row_type: type[Row]
    read: Callable[..., Iterator[Row | Drop]]

    @property
    def options(self) -> Mapping[str, bool]:
        """The options that the adapter takes, and whether each must be given."""
        parameters = inspect.signature(self.read).parameters.values()
        return {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


_BY_ROW_TYPE: Mapping[type[Row], tuple[Callable[..., Iterator[Row | Drop]], ...]] = {
    ChoiceRow: (
        choice.medmcqa,
        choice.medqa,
        choice.mmlu,
        choice.mmlu_pro,
        choice.headqa,
        choice.sciq,
        choice.pubmedqa,
        choice.usmle,
        choice.toxigen,
    ),
    ChatRow: (
        chat.instruction,
        chat.stack_exchange,
        chat.niv2,
        chat.health_fact,
        chat.medical_instruction,
        chat.slim_orca,
        chat.ultrachat,
        dialogue.opengpt,
        dialogue.medquad,
        dialogue.aci_bench,
        dialogue.mts_dialog,
    ),
    PreferenceRow: (preference.ultrafeedback, preference.snorkel),
    DocumentRow: (documents.documents,),
    RequestRow: (safety.med_safety_bench, safety.advbench, safety.hex_phi, safety.xstest),
    GradedRow: (safety.graded, safety.xstest_completions),
    RubricRow: (rubrics.healthbench,),
    TextRow: (chat.text,),
}
ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        function.__name__: Adapter(function.__name__, row_type, function)
        for row_type, functions in _BY_ROW_TYPE.items()
        for function in functions
    }
)


def read(adapter: str, files: Sequence[RawFile], dataset: str, options: Mapping[str, object]) -> Iterator[Row | Drop]:
    """The rows and drops of ``dataset``, in upstream order, with unique ids and text that later stages can encode.

    To the adapter's own drops it adds ``duplicate-id`` (the first record with an id is kept), ``bad-unicode`` (a
    lone surrogate or NUL, on which Parquet, tokenizers and endpoints fail) and ``bad-id`` (not printable, or longer than
    anybody's id).

    Raises:
        PrimumError: an unknown adapter or option, a missing option, no files; later, while iterating, a file that
            cannot be read or lacks a column.
    """
    if adapter not in ADAPTERS:
        raise PrimumError(f"dataset {dataset!r}: no adapter {adapter!r}; choose one of {', '.join(sorted(ADAPTERS))}")
    reader = f"dataset {dataset!r}: adapter {adapter}"
    valid = ADAPTERS[adapter].options
    listed = ", ".join(valid) or "none"
    for option in options:
        if option not in valid:
            raise PrimumError(f"{reader} has no option {option!r}; valid options: {listed}")
    for option, required in valid.items():
        if required and option not in options:
            raise PrimumError(f"{reader} needs the option {option!r}: add it to the catalog")
    if not files:
        raise PrimumError(f"dataset {dataset!r}: has no files: list them in the catalog")
    return _checked(ADAPTERS[adapter].read(files, dataset, **options))


_MAX_ID = 500


def _checked(rows: Iterator[Row | Drop]) -> Iterator[Row | Drop]:
    seen: set[str] = set()
    for row in rows:
        if not row.id.isprintable() or len(row.id) > _MAX_ID:
            shown = row.id[:_MAX_ID].encode("unicode_escape").decode()
            yield Drop(shown, "bad-id" if _encodable(row.id) else "bad-unicode")
        elif row.id in seen:
            yield Drop(row.id, "duplicate-id")
        else:
            seen.add(row.id)
            ok = isinstance(row, Drop) or all(_encodable(text) for text in _texts(row))
            yield row if ok else Drop(row.id, "bad-unicode")


def _texts(row: Row) -> Iterator[str]:
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Criterion):
                    yield from (item.criterion, *item.tags)
                else:
                    yield item.content if isinstance(item, Message) else item


def _encodable(text: str) -> bool:
    if "\0" in text:
        return False
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True
