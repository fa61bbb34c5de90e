"""Writers of the file formats that upstreams use; every one streams, and the same records give the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def dumps(value: object) -> str:
    """One line of JSON without spare spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """One JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(dumps(record) + "\n")


def write_json_list(path: Path, records: Iterable[Record]) -> None:
    """A JSON list, one element a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for number, record in enumerate(records):
            file.write(("," if number else "") + "\n" + dumps(record))
        file.write("\n]\n")


def write_json_object(path: Path, items: Iterable[tuple[str, object]]) -> None:
    """A JSON object, one key a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("{")
        for number, (key, value) in enumerate(items):
            file.write(("," if number else "") + f"\n{dumps(key)}:{dumps(value)}")
        file.write("\n}\n")


def write_csv(
    path: Path, rows: Iterable[Sequence[object]], header: Sequence[str] | None = None, tab: bool = False
) -> None:
    """A CSV (or TSV) file; ``header=None`` writes none, as some upstreams do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", delimiter="\t" if tab else ",")
        if header is not None:
            writer.writerow(header)
        writer.writerows(rows)


def write_text(path: Path, text: str) -> None:
    """A text file with Unix line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
