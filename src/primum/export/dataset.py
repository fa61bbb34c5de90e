"""A mixture or a preference set as a dataset of the Hugging Face hub: Parquet files, README.md and croissant.json."""

from __future__ import annotations

from pathlib import Path

from primum.errors import PrimumError
from primum.export.croissant import library, write_croissant
from primum.export.dataset_card import dataset_card, description, tags
from primum.export.shards import SHARD_BYTES, Shards, write_shards
from primum.export.sources import DataSet


def write_dataset(data: DataSet, folder: Path) -> Shards:
    """Write the dataset into ``folder``, which is there and empty, and say which files it has.

    PrimumError where mlcroissant is not installed, or the rows are not as many as their ledger or manifest counts.
    """
    library()  # before all rows are written
    shards = write_shards(data.artifact, folder, SHARD_BYTES)
    _check_counts(data, shards)
    dataset_card(data, shards).save(folder / "README.md")
    licences = data.licences.values()
    known = sorted(set(licences)) if all(licences) else []
    name = f"{data.experiment}-{data.name}"
    write_croissant(name, description(data, shards), known, tags(data, shards), shards, folder)
    return shards


def _check_counts(data: DataSet, shards: Shards) -> None:
    if data.kind == "mixture":
        said = {source.name: source.repeat * (source.outcomes or {}).get("kept", 0) for source in data.sources}
        right = {name: count for name, count in said.items() if count} == shards.by_source
    else:
        right = data.artifact.manifest.counts["kept"] == shards.rows
    if not right:
        raise PrimumError(f"{data.artifact.path}: has other rows than were counted: delete it and run again")
