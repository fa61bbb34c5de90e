"""Which training row holds a part of a benchmark item, for the items of scores that are marked as contaminated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.manifest import Artifact
from primum.report.items import ItemSet, listed
from primum.report.origins import Origins
from primum.report.packed import packed

_COLUMNS = ["id", "rows", "first"]


def contaminated_set(
    common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]], origins: Origins
) -> Iterator[ItemSet]:
    """One set, where a score may be contaminated: the items that training data hold a part of, by the stage ``overlap``.

    It has the first row of each training set (``data``) that shares words with a benchmark's ``item``: its id, where in the raw
    files it is, and how many ``rows`` of the set share words with the item.
    """
    tables = {data: each.table(_COLUMNS) for data, each in listed(common, "overlaps", inputs.get("overlaps", ()))}
    if tables:
        found = pa.concat_tables(tables.values())
        data = pa.array([data for data, table in tables.items() for _ in range(table.num_rows)], pa.string())
        first = found["first"].combine_chunks()
        names = {"n": len(first), "prefix": "", "id": first.to_pylist(), "item": found["id"].to_pylist()}
        columns = {"data": packed(data), "rows": packed(found["rows"])}
        yield ItemSet("contaminated", {**names, **columns, **origins.of(first)}, {}, {})
