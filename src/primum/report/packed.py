"""Columns as short JSON: one value where all are equal, texts once each, no number longer than it needs to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def packed(column: Any, digits: int = 6) -> Any:
    """A column (a pyarrow Array or ChunkedArray of numbers or texts) as a value that ``json.dumps`` takes.

    One value stands for a column of which all are equal. Texts are ``{"names": [...], "codes": ...}``. Numbers are rounded to
    ``digits`` places, and whole ones have none. Nulls stay nulls.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_string(column.type):
        coded = column.dictionary_encode()
        names = coded.dictionary.to_pylist()
        order = sorted(range(len(names)), key=names.__getitem__)
        places = np.empty(len(names), dtype=np.int64)
        places[order] = np.arange(len(names))
        codes = pc.take(pa.array(places), coded.indices)
        return {"names": [names[index] for index in order], "codes": packed(codes)}
    if pa.types.is_null(column.type):
        return None
    if len(column) and len(pc.unique(column)) == 1:
        return _values(column.slice(0, 1), digits)[0]
    return _values(column, digits)


def packed_few(column: Any) -> Any:
    """A column of texts, most of them null, as ``{"rows", "values"}``: where there are some, and which. None for no text."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    rows = pc.indices_nonzero(pc.is_valid(column))
    return {"rows": rows.to_pylist(), "values": packed(column.take(rows))} if len(rows) else None


def packed_lists(column: Any, scale: int) -> Any:
    """A column of lists of numbers as ``{"lengths", "values"}``, each value times ``scale`` as a whole number.

    A value that is no number, or is not finite, is null. Null stands for a column without any value.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values = pc.list_flatten(column)
    if not len(values):
        return None
    numbers = values.to_numpy(zero_copy_only=False).astype(float) * scale
    finite = np.isfinite(numbers)
    whole = np.rint(np.where(finite, numbers, 0.0)).astype(np.int64)
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    return {"lengths": packed(lengths), "values": pa.array(whole, mask=~finite).to_pylist()}


def _values(column: Any, digits: int) -> list[Any]:
    if not pa.types.is_floating(column.type):
        return list(column.to_pylist())
    numbers = column.to_numpy(zero_copy_only=False)
    finite = np.isfinite(numbers)
    rounded = np.round(np.where(finite, numbers, 0.0), digits)
    if (rounded == np.rint(rounded)).all():
        rounded = rounded.astype(np.int64)
    return list(pa.array(rounded, mask=~finite).to_pylist())
