"""``croissant.json``: a dataset's files, columns and checksums in the vocabulary of MLCommons (Croissant 1.1).

The library mlcroissant makes it, and refuses what does not conform. What nobody knows here is left out: who publishes the
dataset, when, at which address, under which version, and how it is to be cited. The library recommends these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from primum.errors import PrimumError
from primum.export.shards import SPLIT, Shards

_VERSION = "http://mlcommons.org/croissant/1.1"
_FORMAT = ["application/x-parquet"]
_RECORDS = "default"


def library() -> ModuleType:
    """The module mlcroissant. PrimumError, with the remedy, where it is not installed."""
    try:
        import mlcroissant
    except ModuleNotFoundError as error:
        raise PrimumError(
            f"--format dataset needs mlcroissant ({error.name} is not installed): pip install 'mlcroissant>=1.1,<2', "
            "which is primum's extra 'export'"
        ) from None
    module: ModuleType = mlcroissant
    return module


def write_croissant(
    name: str, description: str, licences: Sequence[str], keywords: Sequence[str], shards: Shards, folder: Path
) -> None:
    """Write ``folder``/croissant.json, which describes ``shards``. ``licences`` is empty where one of them is not known."""
    mlc = library()
    context = mlc.Context(conforms_to=_VERSION)

    def node(kind: str, **values: Any) -> Any:
        return getattr(mlc, kind)(ctx=context, **values)

    files = [
        node(
            "FileObject",
            id=file.path,
            name=file.path,
            content_url=file.path,
            content_size=f"{file.size} B",
            sha256=file.sha256,
            encoding_formats=_FORMAT,
        )
        for file in shards.files
    ]
    # Readers compare the checksum of a file that they are sent to, but not those of a set.
    source = {"file_object": files[0].id}
    if len(files) > 1:
        # Of files that lie beside this one: a set that is contained in files would be looked for inside of them.
        files.append(
            node("FileSet", id=SPLIT, name=SPLIT, includes=[f"data/{SPLIT}-*.parquet"], encoding_formats=_FORMAT)
        )
        source = {"file_set": SPLIT}

    def column(name: str, *path: str) -> dict[str, Any]:
        transforms = [node("Transform", json_path=key) for key in path]
        return {"source": node("Source", extract=node("Extract", column=name), transforms=transforms, **source)}

    def field(column_: pa.Field) -> Any:
        own = {"id": f"{_RECORDS}/{column_.name}", "name": column_.name}
        if not pa.types.is_list(column_.type):
            return node("Field", **own, data_types=[_data_type(mlc, column_)], **column(column_.name))
        parts = [
            node(
                "Field",
                id=f"{own['id']}/{part.name}",
                name=part.name,
                data_types=[_data_type(mlc, part)],
                **column(column_.name, part.name),
            )
            for part in column_.type.value_type
        ]
        return node("Field", **own, is_array=True, array_shape="-1", sub_fields=parts)

    records = node(
        "RecordSet",
        id=_RECORDS,
        name=_RECORDS,
        key=[f"{_RECORDS}/id"],
        fields=[field(each) for each in shards.schema],
    )
    metadata = node(
        "Metadata",
        name=name,
        description=description,
        license=list(licences) or None,
        keywords=list(keywords),
        distribution=files,
        record_sets=[records],
    )
    text = json.dumps(metadata.to_json(), indent=1, ensure_ascii=False)
    (folder / "croissant.json").write_text(text + "\n", encoding="utf-8")


def _data_type(mlc: ModuleType, column: pa.Field) -> Any:
    if column.type != pa.string():
        raise TypeError(f"no Croissant type for the column {column.name} of type {column.type}")
    return mlc.DataType.TEXT
