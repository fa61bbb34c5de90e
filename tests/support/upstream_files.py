"""What the tests of the adapters share: upstream files written by hand and read as the dataset ``d``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from primum.curate.adapters import ADAPTERS, RawFile, read
from primum.text.rows import ChatRow, Drop, Message, Row, from_table, to_table

USER, ASSISTANT = "user", "assistant"
MEDMCQA = {
    **{"id": "a", "question": " Which? ", "opa": "one", "opb": "two", "opc": "three", "opd": "four"},
    **{"cop": 1, "choice_type": "single", "exp": None, "subject_name": "Anatomy", "topic_name": None},
}


class Upstream:
    """Writes upstream files into a folder and reads them as the dataset ``d``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[RawFile] = []

    def write(self, name: str, content: str | bytes) -> "Upstream":
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.files.append(RawFile(path, name))
        return self

    def lines(self, name: str, *records: object) -> "Upstream":
        return self.write(name, "".join(json.dumps(record) + "\n" for record in records))

    def parquet(self, name: str, *records: Mapping[str, object]) -> "Upstream":
        pq.write_table(pa.Table.from_pylist(list(records)), self.folder / name)
        self.files.append(RawFile(self.folder / name, name))
        return self

    def iterate(self, adapter: str, **options: object) -> Iterator[Row | Drop]:
        return read(adapter, self.files, "d", options)

    def read(self, adapter: str, **options: object) -> list[Any]:
        rows = list(self.iterate(adapter, **options))
        kept = [row for row in rows if not isinstance(row, Drop)]
        row_type = ADAPTERS[adapter].row_type
        assert all(type(row) is row_type for row in kept)
        assert from_table(to_table(kept, row_type), row_type) == sorted(kept, key=lambda row: row.id)
        return rows


def reasons(rows: Sequence[Row | Drop]) -> list[str]:
    return [row.reason if isinstance(row, Drop) else "" for row in rows]


def chat(id: str, *turns: str) -> ChatRow:
    return ChatRow(id, "d", tuple(Message((USER, ASSISTANT)[n % 2], text) for n, text in enumerate(turns)))
