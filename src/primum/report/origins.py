"""Where in the raw files each item comes from: its file, and the line or record in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from primum.artifact.manifest import Artifact
from primum.report.packed import packed

PLACES = ("file", "line", "unit", "record")


@dataclass(frozen=True)
class Origins:
    """The artifacts ``data/origins/{dataset}`` by dataset: of each row its raw file, and its place there."""

    artifacts: Mapping[str, Artifact]

    def of(self, items: pa.Array) -> dict[str, Any]:
        """The columns ``file``, ``line``, ``unit`` (what ``line`` counts) and ``record`` of ``items``, ids of rows.

        An id begins with its dataset's name and a slash. Empty where no dataset of the items has origins.
        """
        ids = pc.unique(pc.list_element(pc.split_pattern(items, "/", max_splits=1), 0))
        tables = [table for name in sorted(ids.to_pylist()) if (table := self._table(name)) is not None]
        if not tables:
            return {}
        places = pa.concat_tables(tables)
        rows = pc.index_in(items, value_set=places["id"].combine_chunks())
        return {name: packed(places[name].take(rows)) for name in PLACES}

    def _table(self, dataset: str) -> pa.Table | None:
        return self.artifacts[dataset].table(["id", *PLACES]) if dataset in self.artifacts else None
