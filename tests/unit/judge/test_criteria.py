"""The stage grade: one question a response and criterion, its answer kept; and conversations through generate."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chat_server import completion, misbehaving_server, send
from stage_artifacts import folder_artifact, make_job, table_artifact
from test_judge_stages import SAMPLING, TRANSFORMERS, script
from tiny_llama import endpoint_json

from primum.artifact.manifest import Artifact
from primum.engine import Response
from primum.errors import PrimumError
from primum.experiment.types import Engine
from primum.generate import stage as generate
from primum.judge import criteria
from primum.text.rows import ChatRow, ChoiceRow, Criterion, Message, RequestRow, RubricRow, to_table

ASKED = {
    **{"kind": "criteria", "engine": TRANSFORMERS, "sampling": SAMPLING, "seed": 0},
    "template": "{{ conversation }}|{{ response }}|{{ criterion }}|{{ points }}",
}
TALK = (Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "And?"))
ROWS = [
    RubricRow("d/1", "d", "t", TALK, (Criterion("x", 5, ("axis:a",)), Criterion("y", -2.5)), ("theme:t",)),
    RubricRow("d/2", "d", "", (Message("user", "Q"),), (Criterion("z", 1),)),
    RubricRow("d/3", "d", "", (Message("user", "Q"),), (Criterion("w", 1),)),
]


@pytest.fixture
def model(tmp_path: Path) -> Artifact:
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    endpoint_json(folder, "http://localhost/v1")
    return folder_artifact(folder)


def job(tmp_path: Path, judge: Artifact, *given: tuple[str, str, str], **common: Any) -> Any:
    """Responses of (id, text, status)."""
    records = [
        {"id": id, "category": "", "request": "", "response": text, "status": status, "error": ""}
        | {"prompt_tokens": 1, "completion_tokens": 1}
        for id, text, status in given
    ]
    responses = table_artifact(tmp_path / "responses.parquet", pa.Table.from_pylist(records, schema=generate.SCHEMA))
    rows = table_artifact(tmp_path / "rows.parquet", to_table(ROWS, RubricRow))
    inputs = {"judge": judge, "responses": responses, "prompts": rows}
    return make_job(tmp_path, {**ASKED, **common}, {"m/p": ({}, inputs)})


def test_each_criterion_is_asked_about_on_its_own(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"x": Response("yes", "stop"), "y": Response("cut", "length"), "z": Response("", "prompt-too-long")}
    engine = script(monkeypatch, criteria, lambda c: answers[c[0].content.split("|")[2]])
    (result,) = criteria.run(
        job(tmp_path, model, ("d/1", "one", "stop"), ("d/2", "two", "length"), ("d/3", "", "error"))
    )
    assert [conversation[0].content for conversation in engine.asked] == [
        "user: Hello\n\nassistant: Hi\n\nuser: And?|one|x|5",
        "user: Hello\n\nassistant: Hi\n\nuser: And?|one|y|-2.5",
        "Q|two|z|1",
    ]
    assert result.table is not None
    assert result.table.schema == criteria.SCHEMA
    rows = result.table.to_pylist()
    columns = ("id", "example", "number", "points", "response_status", "status", "raw")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("d/1#0000", "d/1", 0, 5.0, "stop", "stop", "yes"),
        ("d/1#0001", "d/1", 1, -2.5, "stop", "length", "cut"),
        ("d/2#0000", "d/2", 0, 1.0, "length", "prompt-too-long", ""),
        ("d/3#0000", "d/3", 0, 1.0, "error", "no-response", ""),
    ]
    assert (rows[0]["tags"], rows[0]["criterion_tags"], rows[1]["criterion_tags"]) == (["theme:t"], ["axis:a"], [])
    assert rows[0]["conversation"] == rows[1]["conversation"] != rows[2]["conversation"] == rows[3]["conversation"]
    assert result.counts == {
        **{"responses": 3, "rows": 4, "length": 1, "no-response": 1, "prompt-too-long": 1, "stop": 1}
    }
    assert "yes" not in (tmp_path / "log.txt").read_text()


def test_a_judge_that_fails_publishes_nothing(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, criteria, lambda _: Response("", "error", error="http-400"))
    with pytest.raises(PrimumError, match=r"m/p: 2 of 2 requests failed \(http-400 2\)"):
        list(criteria.run(job(tmp_path, model, ("d/1", "one", "stop"))))


def test_responses_to_other_rows_are_refused(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, criteria, lambda _: Response("", "stop"))
    with pytest.raises(PrimumError, match="m/p: d/9: is no row of its prompts: run the stage generate again"):
        list(criteria.run(job(tmp_path, model, ("d/9", "one", "stop"))))


def test_prompts_without_criteria_are_refused(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, criteria, lambda _: Response("", "stop"))
    asked = job(tmp_path, model, ("d/1", "one", "stop"))
    rows = to_table([RequestRow("d/1", "d", "", "Q")], RequestRow)
    asked.items[0].inputs["prompts"][0] = table_artifact(tmp_path / "requests.parquet", rows)
    with pytest.raises(PrimumError, match="m/p: its prompts have no criteria"):
        list(criteria.run(asked))


def test_a_real_small_model_is_asked(tmp_path: Path, tiny_model: Path) -> None:
    (result,) = criteria.run(job(tmp_path, folder_artifact(tiny_model), ("d/1", "one", "stop"), ("d/2", "two", "stop")))
    assert result.counts["rows"] == 3
    assert result.counts.get("stop", 0) + result.counts.get("length", 0) == 3
    assert result.cost["prompt_tokens"] > 0


def test_an_endpoint_is_asked_once_and_pays_for_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers are in the journal of the item, from which a job that was killed goes on."""
    monkeypatch.setenv("TEST_KEY", "k")
    folder = tmp_path / "models" / "judge"
    folder.mkdir(parents=True)

    def judged(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        met = request["messages"][-1]["content"].split("|")[2] == "x"
        send(handler, 200, completion(json.dumps({"explanation": "e", "criteria_met": met})))

    with misbehaving_server() as server:
        server.reply = judged
        endpoint_json(folder, server.url)
        engine = Engine(kind="openai").model_dump(mode="json")
        asked = job(tmp_path, folder_artifact(folder), ("d/1", "one", "stop"), ("d/2", "two", "stop"), engine=engine)
        (first,) = criteria.run(asked)
        assert len(server.requests) == 3
        assert {message["role"] for request in server.requests for message in request["messages"]} == {"user"}
        (second,) = criteria.run(asked)
        assert len(server.requests) == 3
    assert first.table is not None
    assert first.table.equals(second.table)
    assert [json.loads(raw)["criteria_met"] for raw in first.table.column("raw").to_pylist()] == [True, False, False]


def test_nothing_that_is_paid_for_reads_the_verdicts() -> None:
    """The code that a stage's key covers is what its module imports: the parser must not be among it."""
    import subprocess
    import sys

    code = "import sys, primum.judge.criteria; print('primum.text.met' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# ---- conversations through generate


def answered(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch, table: pa.Table, system: str = ""
) -> tuple[list[list[tuple[str, str]]], Any]:
    engine = script(monkeypatch, generate, lambda conversation: Response("ok", "stop"))
    prompts = table_artifact(tmp_path / "prompts.parquet", table)
    common = {"engine": TRANSFORMERS, "sampling": SAMPLING, "seed": 0}
    spec = {"system": system, "take": None}
    (result,) = generate.run(make_job(tmp_path, common, {"p": (spec, {"model": model, "prompts": prompts})}))
    return [[(m.role, m.content) for m in conversation] for conversation in engine.asked], result


def test_a_model_is_asked_whole_conversations(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, result = answered(tmp_path, model, monkeypatch, to_table(ROWS[:2], RubricRow), "Be kind.")
    assert asked == [
        [("system", "Be kind."), ("user", "Hello"), ("assistant", "Hi"), ("user", "And?")],
        [("system", "Be kind."), ("user", "Q")],
    ]
    assert result.table.column("request").to_pylist() == ["user: Hello\n\nassistant: Hi\n\nuser: And?", "Q"]
    assert result.table.column("category").to_pylist() == ["t", ""]
    assert result.counts == {"rows": 2, "stop": 2, "surrogates": 0}


def test_a_conversations_own_system_turn_comes_after_the_sets(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = RubricRow("d/1", "d", "", (Message("system", "You are a nurse."), *TALK), (Criterion("x", 1),))
    asked, _ = answered(tmp_path, model, monkeypatch, to_table([row], RubricRow), "Be kind.")
    assert asked[0][0] == ("system", "Be kind.\n\nYou are a nurse.")
    assert len(asked[0]) == 4


def test_demonstrations_are_asked_up_to_their_last_answer(
    tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        ChatRow(
            "d/1",
            "d",
            (*TALK, Message("assistant", "So.")),
        ),
        ChatRow("d/2", "d", (Message("user", "Q"),)),
    ]
    asked, result = answered(tmp_path, model, monkeypatch, to_table(rows, ChatRow))
    assert asked == [[("user", "Hello"), ("assistant", "Hi"), ("user", "And?")]]
    assert result.counts == {"rows": 1, "no-prompt": 1, "stop": 1, "surrogates": 0}


def test_questions_are_asked_as_questions(tmp_path: Path, model: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ChoiceRow("d/1", "d", "", "Context.", "What?", ("a", "b"), 0)
    asked, _ = answered(tmp_path, model, monkeypatch, to_table([row], ChoiceRow))
    assert asked == [[("user", "Context.\nWhat?")]]
