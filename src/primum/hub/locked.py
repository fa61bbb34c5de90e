"""Writing the lock, and the records of a mirror: a line a file, in the order of their names, so that a diff says what moved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.hub.lock import LOCK, Listing, Lock, title
from primum.writing import write_whole


def write_lock(root: Path, lock: Lock) -> None:
    """Write the lock of the project at ``root``, at once. PrimumError when it cannot be written."""
    listings = {title(kind, hub): lock[kind, hub] for kind, hub in sorted(lock)}
    entries = ",".join(f"\n{json.dumps(name)}: {_record(listing)}" for name, listing in listings.items())
    write_whole(root / LOCK, f'{{"version": 1, "repositories": {{{entries}}}}}\n')


def write_listing(path: Path, listing: Listing) -> None:
    """Write the record of one repository to a file of its own, at once. PrimumError when it cannot be written."""
    write_whole(path, _record(listing) + "\n")


def _record(listing: Listing) -> str:
    known: Mapping[str, Any] = {
        "commit": listing.commit,
        "ref": listing.ref,
        "date": listing.date,
        "license": listing.license,
        "gated": listing.gated,
    }
    heads = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in known.items()]
    files = [
        f"  {json.dumps(name)}: {json.dumps([listing.files[name].checksum, listing.files[name].size])}"
        for name in sorted(listing.files)
    ]
    listed = "{\n" + ",\n".join(files) + "\n }" if files else "{}"
    return "{\n" + ",\n".join([*heads, f' "files": {listed}']) + "\n}"
