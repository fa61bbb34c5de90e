"""Rows of which kind a benchmark's dataset has: questions with choices, or raw documents that a task makes questions of."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from primum.errors import PrimumError
from primum.text.rows import ChoiceRow, DocumentRow, PreferenceRow, from_table


def typed_rows(table: pa.Table, whose: str, preferences: bool = False) -> list[Any]:
    """The rows of ``table``, all ChoiceRows or all DocumentRows, or where ``preferences`` are asked for PreferenceRows.

    PrimumError beginning with ``whose`` where they are of another kind.
    """
    kinds = (PreferenceRow,) if preferences else (ChoiceRow, DocumentRow)
    for kind in kinds:
        if table.schema.equals(kind.SCHEMA):
            return from_table(table, kind)
    raise PrimumError(f"{whose} are no {' or '.join(f'{kind.__name__}s' for kind in kinds)}: choose another dataset")
