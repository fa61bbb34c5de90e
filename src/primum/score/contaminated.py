"""Which items of a benchmark the data that a model was trained on holds a part of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from primum.artifact.job import Item


def mark(records: Sequence[dict[str, Any]], item: Item, from_scratch: bool) -> None:
    """Set ``contaminated`` of every record (``SCORES``) by the overlaps of all data that the model was trained on here.

    True where one of them has the record's ``item``, whatever the model began with. Otherwise False only for a lineage
    that was trained ``from_scratch``: what a published model had read before is not known, and stays null. A held-out
    preference pair asks no question of its own, and is null too.
    """
    overlaps = item.inputs.get("overlaps", ())
    seen = {id for overlap in overlaps for id in overlap.table(["id"]).column("id").to_pylist()}
    otherwise = False if from_scratch else None
    for record in records:
        asked = item.spec["group"] != "preference"
        record["contaminated"] = (record["item"] in seen or otherwise) if asked else None
