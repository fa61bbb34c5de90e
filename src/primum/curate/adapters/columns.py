"""Which columns upstream files have, which of them an adapter asks for, and which it leaves on purpose.

What an adapter asks for is noted when it does, so that no list of it can grow old. :data:`LEFT` is the rest of what is known of
each upstream's files: a column that is neither is new, and somebody should hear of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

# A file without a header shows row text where names are expected: only what looks like a name is ever printed.
_NAME = re.compile(r"[\w.:-]{1,32}")
_SHOWN = 20
_MAX_FOUND = 1000

# By adapter; a dot leads into the objects of a list.
LEFT: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        adapter: frozenset(columns)
        for adapter, columns in {
            "medmcqa": ("choice_type", "topic_name"),
            "medqa": ("metamap_phrases",),
            "mmlu_pro": ("answer", "src"),
            "headqa": ("year",),
            "pubmedqa": ("LABELS", "MESHES", "YEAR", "reasoning_required_pred", "reasoning_free_pred"),
            "usmle": ("answer",),
            "toxigen": (
                *("factual?", "ingroup_effect", "lewd", "framing", "predicted_group", "stereotyping", "intent"),
                *("predicted_author", "actual_method"),
            ),
            "stack_exchange": (
                *("date", "answers.answer_id", "answers.author", "answers.author_id", "answers.author_profile"),
            ),
            "niv2": (
                *("task_name", "Contributors", "Source", "URL", "Categories", "Reasoning", "Domains"),
                *("Input_language", "Output_language", "Instruction_language", "Instance License"),
                *("Positive Examples", "Negative Examples"),
            ),
            "health_fact": ("", "claim_id", "date_published", "fact_checkers", "sources", "subjects"),
            "slim_orca": ("system_prompt", "response"),
            "ultrachat": ("prompt",),
            "opengpt": ("raw_data_id",),
            "aci_bench": ("dataset",),
            "ultrafeedback": ("prompt", "messages"),
            "snorkel": ("prompt", "all_generated_responses"),
            "med_safety_bench": ("",),
            "xstest": ("focus", "note"),
            "xstest_completions": ("type", "annotation_1", "annotation_2", "agreement"),
            "healthbench": ("canary", "ideal_completions_data"),
        }.items()
    }
)


class Columns:
    """The columns ``found`` in a file, the first thousand of them, and those that were ``asked`` for."""

    __slots__ = ("asked", "found")

    def __init__(self) -> None:
        self.found: dict[str, None] = {}  # in the file's order
        self.asked: set[str] = set()


class Fields(Mapping[str, Any]):
    """A record's values by column, or those of an object ``within`` a column (``answers.``).

    It tells ``columns`` which it has, and which it is asked for.
    """

    __slots__ = ("_columns", "_values", "_within")

    def __init__(self, values: Mapping[str, Any], columns: Columns, within: str = "") -> None:
        self._values, self._columns, self._within = values, columns, within
        for column in values:
            if within + column not in columns.found and len(columns.found) < _MAX_FOUND:
                columns.found[within + column] = None

    def __getitem__(self, column: str) -> Any:
        self._columns.asked.add(self._within + column)
        return self._values[column]

    def __iter__(self) -> Iterator[str]:
        self._columns.asked.update(self._within + column for column in self._values)
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def inside(self, column: str, values: Mapping[str, Any]) -> Fields:
        """An object that ``column`` holds."""
        return Fields(values, self._columns, f"{self._within}{column}.")

    def are_known(self) -> bool:
        """Whether any column that was asked for is there."""
        return any(self._within + column in self._columns.asked for column in self._values)

    def names(self) -> list[str]:
        """The columns' names as far as they are :func:`printable`; this is no asking for them."""
        shown, more = printable(list(self._values))
        return [*shown, f"{more} more"] if more else shown


def printable(names: Sequence[str]) -> tuple[list[str], int]:
    """At most 20 of ``names``, of those that look like names, and how many more there are."""
    shown = [name for name in names if _NAME.fullmatch(name)][:_SHOWN]
    return shown, len(names) - len(shown)


def unread(adapter: str, columns: Mapping[str, Columns]) -> Mapping[str, str]:
    """The columns that ``adapter`` neither asked for in any of a dataset's files nor leaves, and the first file of each.

    ``columns`` are those of the files, by name. One that is asked for in some file, or of some record, is read.
    """
    known = LEFT.get(adapter, frozenset()).union(*(each.asked for each in columns.values()))
    found: dict[str, str] = {}
    for name, each in columns.items():
        for column in each.found:
            if column not in known:
                found.setdefault(column, name)
    return found
