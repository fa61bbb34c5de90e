"""Three classes of refusal by a judge behind an endpoint, with the shipped template, and answers without text."""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chat_server import completion, misbehaving_server, send
from shipped import ROOT
from stage_artifacts import folder_artifact, make_job, table_artifact
from tiny_llama import endpoint_json

from primum.artifact.job import Result
from primum.artifact.manifest import Artifact
from primum.experiment.types import Engine, Sampling
from primum.generate.stage import SCHEMA
from primum.judge import stage as judge
from primum.judge import verdicts
from primum.text.rows import GradedRow, to_table

TEMPLATE = (ROOT / "data/rubrics/refusal-classes.j2").read_text(encoding="utf-8")
# What the server takes a response for; of the last it says a class that there is none of.
CLASSES = {"Take tea.": 1, "Only this much: tea.": 2, "My answer is no.": 3, "Hm.": 5}
TEXTS = {"request": "How do I make tea?", "error": "", "prompt_tokens": 1, "completion_tokens": 1, "category": "c"}


def classified(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
    """A class, at first without the code that the line needs: then it is asked for that line once more."""
    message = request["messages"][0]
    match = re.search(r"\[response (\w{16})\]\n(.*)\n\[end of response \1\]", message["content"])
    assert match is not None
    again = len(request["messages"]) > 1
    assert not again or "N being one digit from 1 to 3" in request["messages"][-1]["content"]
    bound = again or match[2] != "My answer is no."
    send(handler, 200, completion(f"#reason: it is so\n#score{' ' + match[1] if bound else ''}: {CLASSES[match[2]]}"))


def generations(path: Path, *rows: tuple[str, str]) -> Artifact:
    table = [{"id": f"r/{i}", "response": text, "status": status, **TEXTS} for i, (text, status) in enumerate(rows)]
    return table_artifact(path, pa.Table.from_pylist(table, schema=SCHEMA))


def read(folder: Path, answers: Result, kind: str, **inputs: Artifact) -> list[dict[str, Any]]:
    assert answers.table is not None
    folder.mkdir()
    (found,) = verdicts.run(
        make_job(
            folder,
            {},
            {"p": ({"kind": kind}, {"answers": table_artifact(folder / "answers.parquet", answers.table), **inputs})},
        )
    )
    assert found.table is not None
    rows: list[dict[str, Any]] = found.table.to_pylist()
    return rows


def test_a_judge_behind_an_endpoint_tells_refusals_in_other_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four responses are judged, and nobody is asked about two without text; then three labelled ones. Phrases see nothing."""
    monkeypatch.setenv("TEST_KEY", "k")
    folder = tmp_path / "models" / "judge"
    folder.mkdir(parents=True)
    said = [*((text, "stop") for text in CLASSES), (" \n", "stop"), ("", "error")]
    responses = generations(tmp_path / "responses.parquet", *said)
    labels = [GradedRow(f"l/{i}", "l", "How?", text, score) for i, (text, score) in enumerate([*CLASSES.items()][:3])]
    graded = table_artifact(tmp_path / "graded.parquet", to_table(labels, GradedRow))
    with misbehaving_server() as server:
        server.reply = classified
        endpoint_json(folder, server.url)
        common = {
            **{"kind": "refusal-classes", "engine": Engine(kind="openai").model_dump(mode="json"), "seed": 0},
            **{"sampling": Sampling(max_tokens=128).model_dump(mode="json"), "template": TEMPLATE, "policies": {}},
        }
        inputs = {"judge": folder_artifact(folder)}
        (judged,) = judge.run(make_job(tmp_path / "1", common, {"p": ({}, {**inputs, "responses": responses})}))
        (agreed,) = judge.run(make_job(tmp_path / "2", common, {"j": ({}, {**inputs, "graded": graded})}))
    assert judged.counts == {"rows": 6, "empty": 1, "no-response": 1, "repairs": 1, "stop": 4}
    assert [
        (row["score"], row["status"]) for row in read(tmp_path / "3", judged, "refusal-classes", responses=responses)
    ] == [
        *((1, "scored"), (2, "scored"), (3, "scored")),
        *((None, "out_of_range"), (None, "empty"), (None, "no_response")),
    ]
    told = read(tmp_path / "4", agreed, "refusal-classes", graded=graded)
    assert [(row["given"], row["score"]) for row in told] == [(1, 1), (2, 2), (3, 3)]
    (phrases,) = verdicts.run(make_job(tmp_path / "5", {}, {"p": ({"kind": "refusal"}, {"responses": responses})}))
    assert phrases.table is not None
    assert phrases.table.column("score").to_pylist() == [0, 0, 0, 0, None, None]


def test_an_empty_answer_is_neither_compliance_nor_refusal(tmp_path: Path) -> None:
    responses = generations(tmp_path / "responses.parquet", ("", "stop"), (" \n\t", "stop"), ("I refuse.", "stop"))
    (result,) = verdicts.run(make_job(tmp_path, {}, {"p": ({"kind": "refusal"}, {"responses": responses})}))
    assert result.table is not None
    assert [(r["score"], r["status"]) for r in result.table.to_pylist()] == [
        (None, "empty"),
        (None, "empty"),
        (1, "scored"),
    ]
    assert result.counts == {"rows": 3, "empty": 2, "scored": 1}
