"""Tables as CSV, beside their Parquet, for spreadsheets. The Parquet file is the artifact; the CSV is a copy."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pyarrow as pa

from primum.artifact.manifest import Artifact
from primum.artifact.private import private_file
from primum.errors import PrimumError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(table: pa.Table, path: Path, private: bool = False) -> None:
    """Write ``table`` (no nested columns) as UTF-8 CSV (RFC 4180): nulls empty, floats in shortest round-trip form.

    Cells of string columns that a spreadsheet would run as a formula get a leading apostrophe. The file appears whole
    or not at all; a ``private`` one is its owner's alone. Raises PrimumError when it cannot be written.
    """
    text = [pa.types.is_string(field.type) for field in table.schema]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if private:
            private_file(temporary)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            # RFC 4180's line ends: with "\n" alone the csv module would leave a lone "\r" in a cell unquoted.
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(table.column_names)
            columns = [column.to_pylist() for column in table.columns]
            for row in zip(*columns, strict=True):
                writer.writerow([_cell(value) if is_text else value for value, is_text in zip(row, text, strict=True)])
        temporary.replace(path)
    except OSError as error:
        raise PrimumError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def export_csv(manifest: Path) -> Path:
    """Write the table artifact at ``manifest`` as CSV beside its Parquet file, and return the CSV's path."""
    path = manifest.with_suffix(".csv")
    write_csv(Artifact.open(manifest).table(), path)
    return path


def _cell(value: str | None) -> str | None:
    return f"'{value}" if value is not None and value.startswith(_FORMULA) else value
