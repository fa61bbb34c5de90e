"""Raw documents: upstream records as they are, for tasks whose own templates read the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from primum.curate.adapters.build import numbered
from primum.curate.adapters.files import RawFile
from primum.curate.adapters.records import all_records
from primum.text.rows import DocumentRow, Drop


def documents(files: Sequence[RawFile], dataset: str) -> Iterator[DocumentRow | Drop]:
    """JSON, JSON Lines, CSV (every value a text) or Parquet records, each with all of its columns.

    A record that JSON cannot hold (an image's bytes, a date) is dropped as ``not-json``.
    """
    for position, record in all_records(files):
        id = numbered(dataset, position)
        try:
            text = json.dumps(dict(record.fields), ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            yield Drop(id, "not-json")
            continue
        yield DocumentRow(id, dataset, text)
