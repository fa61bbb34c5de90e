"""Which training row holds a part of a benchmark item, for the items of scores that are marked as contaminated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from primum.artifact.manifest import Artifact
from primum.report.items import ItemSet, listed
from primum.report.origins import Origins
from primum.report.packed import packed

CONTAMINATED = "contaminated"
_COLUMNS = ["id", "rows", "first"]


def contaminated_set(
    common: Mapping[str, Any], inputs: Mapping[str, Sequence[Artifact]], origins: Origins
) -> Iterator[ItemSet]:
    """One set, where a score may be contaminated: the items that training data hold a part of, by the stage ``overlap``.

    An item is listed once for each training set (``data``), with how many ``rows`` of it share words with the item, the
    id of the ``first`` of them, and where in the raw files that one is.
    """
    overlaps = [
        overlap.table(_COLUMNS).append_column("data", pa.array([data] * overlap.row_count(), pa.string()))
        for data, overlap in listed(common, "overlaps", inputs.get("overlaps", ()))
    ]
    if overlaps:
        found = pa.concat_tables(overlaps)
        columns = {name: packed(found[name]) for name in ("data", "rows", "first")}
        places = origins.of(found["first"].combine_chunks())
        yield ItemSet(CONTAMINATED, {"item": found["id"].to_pylist(), **columns, **places}, {}, {})
