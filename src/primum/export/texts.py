"""``primum texts``: what was asked and said, for the report to show behind a button: in a folder of its own, its owner's alone.

The report never holds a request, a question or a response. This folder, ``report-texts`` beside it, does, and its page finds
it there. It is written when somebody asks for it twice, and ``--remove`` deletes it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, check_columns, read_graph
from primum.artifact.manifest import Artifact
from primum.artifact.private import private_folder, tighten
from primum.errors import PrimumError

TEXTS = "report-texts"
# Of what stages make: the columns with words, and under which name the page shows each.
_SAID: Mapping[str, Mapping[str, str]] = {
    "scores": {"answer": "answer"},
    "generations": {"response": "response"},
    "verdicts": {"reason": "why the judge scored so"},
    "criteria": {"raw": "the judge's answer"},
}
# Which column of them names a row of a dataset.
_ITEMS = {"scores": "item", "generations": "id", "verdicts": "id", "criteria": "example"}
_ASKED = (
    "context",
    "question",
    "choices",
    "prompt",
    "chosen",
    "rejected",
    "request",
    "response",
    "messages",
    "criteria",
)
_RAW = "document"
Texts = Mapping[str, Mapping[str, str]]


def write_texts(results: Path, harmful: bool) -> Path:
    """Write the folder, which appears whole or not at all.

    PrimumError unless ``harmful`` says that it was asked for twice, and, once it is there, if a damaged manifest was left out.
    """
    folder = results / TEXTS
    if not harmful:
        raise PrimumError(
            f"{folder}: would hold requests for harm and responses to them: nothing was written: "
            "--include-harmful-text i-understand writes it"
        )
    graph = read_graph(results)
    temporary = Path(tempfile.mkdtemp(dir=results, prefix=f".{TEXTS}."))
    try:
        private_folder(temporary)
        files = 0
        for name, text in text_files(graph):
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            files += 1
        if not files:
            raise PrimumError(f"{results}: holds no scores, responses or verdicts: run it first")
        tighten(temporary)
        remove_texts(results)
        temporary.replace(folder)
    except OSError as error:
        raise PrimumError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    graph.check_readable()
    return folder


def remove_texts(results: Path) -> bool:
    """Delete the folder; whether there was one."""
    folder = results / TEXTS
    if not folder.is_dir():
        return False
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise PrimumError(f"{folder}: cannot be deleted: {error.strerror or os.strerror(error.errno or 0)}") from None
    return True


def text_files(graph: Graph) -> Iterator[tuple[str, str]]:
    """(path in the folder, content) of each of its files."""
    for path, texts in _files(graph):
        yield f"{path}.js", f"primumTexts({json.dumps(path)},{json.dumps(texts)});\n"


def _files(graph: Graph) -> Iterator[tuple[str, Texts]]:
    """What was said, a file an artifact; then what was asked, a file a dataset, of the rows that were asked."""
    named = {graph.name(artifact): artifact for artifact in graph.artifacts}
    seen: dict[str, set[str]] = {}
    for name, artifact in named.items():
        kind = name.partition("/")[0]
        if kind not in _SAID or artifact.manifest.kind != "table" or name.endswith("/canary"):
            continue
        there = artifact.table()
        check_columns(artifact, there.column_names, ["id", _ITEMS[kind], *_SAID[kind]])
        for item in there[_ITEMS[kind]].unique().to_pylist():
            seen.setdefault(item.partition("/")[0], set()).add(item)
        yield name, _said(there, _SAID[kind])
    for dataset, items in sorted(seen.items()):
        rows = named.get(f"data/rows/{dataset}")
        if rows is not None:
            yield f"rows/{dataset}", _asked(rows, items)


def _said(table: Any, columns: Mapping[str, str]) -> Texts:
    rows = table.select(["id", *columns]).to_pylist()
    told = {row["id"]: {words: row[name] for name, words in columns.items() if row[name]} for row in rows}
    return {id_: texts for id_, texts in told.items() if texts}


def _asked(rows: Artifact, items: set[str]) -> Texts:
    found = {}
    for row in rows.table().to_pylist():
        if row["id"] in items:
            told = {name: _words(row[name]) for name in _ASKED if row.get(name)}
            found[row["id"]] = told or {_RAW: str(row.get(_RAW, ""))}
    return found


def _words(value: str | Sequence[Any]) -> str:
    """A text, turns of a conversation, choices by letter, or criteria by number, as lines."""
    if isinstance(value, str):
        return value
    lines = []
    for place, each in enumerate(value):
        if isinstance(each, str):
            lines.append(f"{chr(65 + place) if place < 26 else place + 1}. {each}")
        elif "role" in each:
            lines.append(f"{each['role']}: {each['content']}")
        else:
            lines.append(f"{place + 1}. {each['criterion']} ({each['points']:g} points)")
    return "\n".join(lines)
