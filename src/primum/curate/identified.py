"""The identifiers in a mixture's rows (``phi``): counted, their places kept, marked in the text, or a reason to stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from primum.errors import PrimumError
from primum.text.phi import Place, find, records, redact, redacted_turns, told
from primum.text.rows import ChatRow, TextRow

# ``start`` and ``end`` count characters of the cleaned text of turn ``message`` (0 in plain text), before anything is redacted.
PHI = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("message", pa.int32(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)
# The same of one batch: ``at`` is the row's number in it.
PLACES = pa.schema([pa.field("at", pa.int64()), *(PHI.field(name) for name in ("message", "start", "end", "kind"))])

_NAMED = 10


def row_places(row: ChatRow | TextRow) -> list[list[Place]]:
    """The places of each turn of a conversation, or of the one text of a plain one."""
    return [find(text) for text in ([row.text] if isinstance(row, TextRow) else [m.content for m in row.messages])]


def redacted(row: ChatRow | TextRow, places: Sequence[Sequence[Place]]) -> ChatRow | TextRow:
    """The row with a mark at each of :func:`row_places`."""
    if isinstance(row, TextRow):
        return replace(row, text=redact(row.text, places[0]))
    return replace(row, messages=tuple(redacted_turns(row.messages, places)))


def places_table(found: Sequence[tuple[int, Sequence[Sequence[Place]]]]) -> pa.Table:
    """A table of :data:`PLACES` of the batch's rows that are ``found``, by number."""
    return pa.Table.from_pylist([{"at": at, **place} for at, turns in found for place in records(turns)], schema=PLACES)


def phi_table(batches: Sequence[pa.Table], ids: pa.Array, sources: pa.Array, kept: pa.Array) -> pa.Table:
    """A table of :data:`PHI` of the rows that are ``kept`` (bool, one a row of the sources, as ``ids`` and ``sources``).

    Each of ``batches`` is a table of :data:`PLACES` whose ``at`` is the row's number among all rows.
    """
    places = pa.concat_tables([PLACES.empty_table(), *batches])
    places = places.filter(pc.take(kept, places["at"]))
    rows = pc.take(ids, places["at"])
    number = [pc.cast(places[name], pa.string()) for name in ("message", "start")]
    columns = {
        "id": pc.binary_join_element_wise(rows, *number, "/"),
        "row": rows,
        "source": pc.take(sources, places["at"]),
        **{name: places[name] for name in ("message", "start", "end", "kind")},
    }
    return pa.table(columns, schema=PHI).sort_by("id")


def counted(table: pa.Table) -> dict[str, int]:
    """Of a table of :data:`PHI` its ``places``, the ``rows`` that have some, and the places of each kind."""
    kinds = Counter(table["kind"].to_pylist())
    return {"places": table.num_rows, "rows": pc.count_distinct(table["row"]).as_py(), **dict(sorted(kinds.items()))}


def said(mixture: str, table: pa.Table) -> list[str]:
    """A line for each source that has identifiers: how many, in how many rows, of which kinds."""
    lines = []
    for source in sorted(set(table["source"].to_pylist())):
        own = table.filter(pc.equal(table["source"], source))
        lines.append(f"{mixture}: {source}: {_numbers(own)}")
    return lines or [f"{mixture}: no identifiers found"]


def refuse(mixture: str, table: pa.Table) -> None:
    """PrimumError, which names the first rows, when a table of :data:`PHI` has any."""
    if table.num_rows:
        rows = list(dict.fromkeys(table["row"].to_pylist()))
        named = ", ".join(rows[:_NAMED]) + (", ..." if len(rows) > _NAMED else "")
        raise PrimumError(f"mixtures.{mixture}: {_numbers(table)}: {named}: take them out, or say 'phi: redact'")


def _numbers(table: pa.Table) -> str:
    rows = pc.count_distinct(table["row"]).as_py()
    return f"{table.num_rows:,} identifiers in {rows:,} rows ({told(Counter(table['kind'].to_pylist()))})"
