"""Every way out of the machine passes the gate that looks for identifiers: each stage that asks an endpoint, no other code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chat_server import Server
from stage_artifacts import folder_artifact, make_job, table_artifact
from tiny_llama import endpoint_json

import primum
from primum.artifact.job import Job
from primum.artifact.manifest import Artifact
from primum.errors import PrimumError
from primum.generate import stage as generate
from primum.judge import criteria
from primum.judge import stage as judge
from primum.prefer import rate, sample
from primum.score import answers
from primum.score.questions import QUESTIONS
from primum.text.rows import SAMPLES, Criterion, GradedRow, Message, RequestRow, RubricRow, to_table

SOURCE = Path(primum.__file__).parent
SAID = "Mr. Smith came on 3/14/2019."
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 8}
RUBRIC = {"template": "{{ request }} {{ response }}", "policies": {"default": ""}}
ONE = {"id": "a", "category": "", "status": "stop", "error": "", "prompt_tokens": 1, "completion_tokens": 1}


def responses(folder: Path, request: str = SAID, response: str = SAID) -> Artifact:
    table = pa.Table.from_pylist([{**ONE, "request": request, "response": response}], schema=generate.SCHEMA)
    return table_artifact(folder / "responses.parquet", table)


def requests(folder: Path) -> Artifact:
    return table_artifact(folder / "rows.parquet", to_table([RequestRow("a", "d", "", SAID)], RequestRow))


Path_ = tuple[Callable[[Job], Any], Callable[[Path], Mapping[str, Artifact]], Mapping[str, Any], Mapping[str, Any]]


def _graded(folder: Path) -> Mapping[str, Artifact]:
    rows = to_table([GradedRow("a", "d", "Who?", SAID, 5)], GradedRow)
    return {"graded": table_artifact(folder / "graded.parquet", rows)}


def _criteria(folder: Path) -> Mapping[str, Artifact]:
    rows = to_table([RubricRow("a", "d", "", (Message("user", "Q"),), (Criterion("x", 1),))], RubricRow)
    return {"responses": responses(folder, "Q"), "prompts": table_artifact(folder / "criteria.parquet", rows)}


def _questions(folder: Path) -> Mapping[str, Artifact]:
    row = {"id": "a", "item": "a", "seed": 0, "messages": [{"role": "user", "content": SAID}]}
    return {"questions": table_artifact(folder / "q.parquet", pa.Table.from_pylist([row], schema=QUESTIONS))}


def _rate(job: Job) -> Any:
    said = {"id": "a", "source": "d", "prompt": [{"role": "user", "content": SAID}], "status": "stop", "error": ""}
    tokens = {"prompt_tokens": 1, "completion_tokens": 1}
    draws = [
        table_artifact(
            job.items[0].work / f"{number}.parquet",
            pa.Table.from_pylist([{**said, **tokens, "response": response}], schema=SAMPLES),
        )
        for number, response in enumerate((SAID, "Another"))
    ]
    item = replace(job.items[0], inputs={**job.items[0].inputs, "samples": draws})
    return list(rate.run(replace(job, items=[item])))


# What a stage does, what it reads, what its job shares, and what an item asks for.
WAYS: dict[str, Path_] = {
    "generate": (lambda job: list(generate.run(job)), lambda folder: {"prompts": requests(folder)}, {}, {}),
    "generate, by the system prompt": (
        lambda job: list(generate.run(job)),
        lambda folder: {
            "prompts": table_artifact(folder / "r.parquet", to_table([RequestRow("a", "d", "", "Q")], RequestRow))
        },
        {},
        {"system": SAID},
    ),
    "sample": (
        lambda job: list(sample.run(job)),
        lambda folder: {"prompts": requests(folder)},
        {"take": None},
        {"draw": 0},
    ),
    "judge": (
        lambda job: list(judge.run(job)),
        lambda folder: {"responses": responses(folder)},
        {"kind": "rubric", **RUBRIC},
        {},
    ),
    "judge, by the response alone": (
        lambda job: list(judge.run(job)),
        lambda folder: {"responses": responses(folder, request="Who?")},
        {"kind": "rubric", **RUBRIC},
        {},
    ),
    "agreement": (lambda job: list(judge.run(job)), _graded, {"kind": "rubric", **RUBRIC}, {}),
    "grade": (lambda job: list(criteria.run(job)), _criteria, {"template": "{{ response }} {{ criterion }}"}, {}),
    "rate": (_rate, lambda folder: {}, RUBRIC, {}),
    "answer": (lambda job: list(answers.run(job)), _questions, {}, {"sampling": SAMPLING, "repeats": 2}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phi", ["stop", "redact"])
def test_no_identifier_leaves(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, way: str, phi: str
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    folder = tmp_path / "model"
    folder.mkdir()
    endpoint_json(folder, server.url)
    model = folder_artifact(folder)
    does, reads, shared, own = WAYS[way]
    common = {"engine": {"kind": "openai", "concurrency": 1, "phi": phi}, "sampling": SAMPLING, "seed": 0, **shared}
    inputs = {"model": model, "judge": model, "ranker": model, **reads(tmp_path)}
    job = make_job(tmp_path, common, {"m/p": (own, inputs)})
    if phi == "stop":
        with pytest.raises(PrimumError, match="nothing was sent"):
            does(job)
        assert server.requests == []
        return
    does(job)
    sent = [message["content"] for request in server.requests for message in request["messages"]]
    assert sent
    assert not [text for text in sent if "Smith" in text or "2019" in text]
    assert [text for text in sent if "<NAME>" in text and "<DATE>" in text]


# What can open a connection, and who may: the engine behind the gate, and the hub's files, which fetch and send no row.
_CONNECTS = {"openai", "httpx", "httpx2", "requests", "urllib3", "aiohttp", "smtplib", "ftplib", "http", "websockets"}


def test_nothing_else_opens_a_connection() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                if name.partition(".")[0] in _CONNECTS or name.startswith("urllib.request"):
                    found.add(path.relative_to(SOURCE).parts[0] + "/" + path.name)
    assert "engine/openai_engine.py" in found
    # All of these are OpenAIEngine's, which looks through what it is asked before.
    own = {f"engine/{name}.py" for name in ("openai_engine", "client", "batch", "batch_api")}
    assert {each for each in found if not each.startswith("hub/")} == own


def test_every_stage_that_asks_a_model_is_looked_at_here() -> None:
    asking = set()
    for path in SOURCE.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Attribute) and call.func.attr == "chat" for call in calls):
            asking.add(path.relative_to(SOURCE).as_posix())
    assert asking == {
        *("generate/stage.py", "prefer/sample.py", "prefer/rate.py"),
        *("judge/stage.py", "judge/criteria.py", "score/answers.py"),
    }
