"""A judge that ranks: what it is asked is kept as it was answered, and rewards are read from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from chat_server import completion as answered
from chat_server import misbehaving_server, send
from stage_artifacts import ScriptedEngine, make_job, table_artifact
from stage_artifacts import folder_artifact as folder
from tiny_llama import endpoint_json

from primum.artifact.job import Job
from primum.artifact.manifest import Artifact
from primum.artifact.work import failed_in
from primum.engine import Response
from primum.errors import PrimumError
from primum.prefer import rate, rewards
from primum.text.rows import SAMPLES, RankedRow, from_table
from primum.text.rubric import completion, nonce

PLAIN = "{{ policy }}{{ request }}|{{ response }}"
# Prompt 0 has three candidates, prompt 1 two; the others are a copy, cut off, and of a prompt without another response.
DRAWS = [
    [("rest", "stop"), ("sleep", "stop"), ("alone", "stop")],
    [("tea", "stop"), ("sleep ", "stop"), ("alone", "stop")],
    [("see a doctor", "stop"), ("walk", "stop"), ("never en", "length")],
]
ASKED = ["p/0/000", "p/0/001", "p/0/002", "p/1/000", "p/1/002"]


def samples(work: Path) -> list[Artifact]:
    def row(n: int, response: str, status: str) -> dict[str, Any]:
        prompt = [{"role": "user", "content": f"request {n}"}]
        told = {"id": f"p/{n}", "source": "d", "prompt": prompt, "response": response, "status": status, "error": ""}
        return {**told, "prompt_tokens": 1, "completion_tokens": 1}

    tables = [pa.Table.from_pylist([row(n, *each) for n, each in enumerate(draw)], schema=SAMPLES) for draw in DRAWS]
    return [table_artifact(work / f"{number}.parquet", table) for number, table in enumerate(tables)]


def job_of(work: Path, common: Mapping[str, Any], **inputs: Artifact) -> Job:
    job = make_job(work, common, {"own": ({}, inputs)})
    job.items[0].inputs["samples"] = samples(work)  # type: ignore[index]
    return job


def rating(work: Path, model: Path, template: str = PLAIN, **engine: Any) -> Job:
    common = {"engine": engine, "seed": 0, "sampling": {"max_tokens": 8}, "template": template}
    return job_of(work, common, ranker=folder(model))


def script(monkeypatch: pytest.MonkeyPatch, answers: Sequence[Response]) -> ScriptedEngine:
    given = iter(answers)
    engine = ScriptedEngine(lambda _: next(given))
    monkeypatch.setattr(rate, "with_engines", lambda settings, model, items, _: ((item, engine) for item in items))
    return engine


def read(work: Path, answers: pa.Table, best: str = "highest") -> list[tuple[str, str, float | None]]:
    job = job_of(work, {"best": best}, answers=table_artifact(work / "answers.parquet", answers))
    (result,) = rewards.run(job)
    rows = from_table(result.table, RankedRow)
    assert result.counts["prompts"] == 3
    assert result.counts["responses"] == len(rows) == 9
    return [(row.id, row.status, row.reward) for row in rows]


def test_answers_are_kept_as_they_came_and_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        Response(completion(4), "stop", 5, 3),
        Response("very good", "stop", 5, 3, reasoning="well"),
        Response(completion(2), "stop", 5, 3),
        Response("#score: 9", "stop", 5, 3),
        Response("#score: 5", "length", 5, 3),
    ]
    engine = script(monkeypatch, said)
    (kept,) = rate.run(rating(tmp_path, tmp_path))
    assert engine.asked[0][-1].content == "request 0|rest"
    assert kept.table is not None
    assert kept.table.to_pylist() == [
        {"id": each, "nonce": "", "status": r.status, "raw": r.text, "reasoning": r.reasoning, "error": ""}
        for each, r in zip(ASKED, said, strict=True)
    ]
    assert dict(kept.counts) == {"rows": 5, "length": 1, "stop": 4}
    assert (kept.cost["prompt_tokens"], kept.cost["completion_tokens"]) == (25, 15)
    expected = [
        ("p/0/000", "ranked", 4.0),
        ("p/0/001", "malformed", None),
        ("p/0/002", "ranked", 2.0),
        ("p/1/000", "out_of_range", None),
        ("p/1/001", "duplicate", None),
        ("p/1/002", "judge-cut", None),  # whatever its last line says
        ("p/2/000", "alone", None),
        ("p/2/001", "duplicate", None),
        ("p/2/002", "cut", None),
    ]
    assert read(tmp_path, kept.table) == expected
    # Another end of the scale is another reading of the same answers.
    assert [row[2] for row in read(tmp_path, kept.table, "lowest")][:3] == [-4.0, None, -2.0]


def test_only_a_line_with_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge repeats one of what it was shown: request and response."""
    code = nonce("request 0", "rest")
    said = [f"#score: 5\n#score {code}: 2", "#score: 5", f"#score {code}: 4", "#score: 1", "#score: 1"]
    script(monkeypatch, [Response(text, "stop") for text in said])
    (kept,) = rate.run(rating(tmp_path, tmp_path, "{{ request }} {{ response }}\n#score {{ nonce }}: N"))
    assert kept.table is not None
    codes = kept.table.column("nonce").to_pylist()
    assert codes[0] == code
    assert len(set(codes)) == 5
    found = read(tmp_path, kept.table)
    assert [row[1:] for row in found][:3] == [("ranked", 2.0), ("malformed", None), ("malformed", None)]


def test_a_judge_that_fails_keeps_nothing_and_one_failure_has_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, said = Response("", "error", error="http-400"), Response(completion(3), "stop")
    script(monkeypatch, [failed] * 2 + [said] * 3)
    with pytest.raises(PrimumError, match=r"own: 2 of 5 requests failed \(http-400 2\)"):
        list(rate.run(rating(tmp_path, tmp_path)))
    script(monkeypatch, [failed] + [said] * 3 + [Response("", "prompt-too-long")])
    (kept,) = rate.run(rating(tmp_path, tmp_path))
    assert kept.counts["errors"] == {"http-400": 1}
    assert kept.table is not None
    found = {row[0]: row[1] for row in read(tmp_path, kept.table)}
    assert [found[each] for each in ASKED] == ["error", "ranked", "ranked", "ranked", "prompt-too-long"]


def test_answers_about_other_responses_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(monkeypatch, [Response(completion(3), "stop")] * 5)
    (kept,) = rate.run(rating(tmp_path, tmp_path))
    assert kept.table is not None
    with pytest.raises(PrimumError, match="own: its answers are about other responses: run the stage rate again"):
        read(tmp_path, kept.table.slice(1))


def test_an_endpoint_is_asked_again_for_what_failed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setattr("primum.engine.answer.PAID_TRIES", 1)
    model = tmp_path / "model"
    model.mkdir()

    def judged(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        content = request["messages"][-1]["content"]
        send(handler, 200, answered(None if content.endswith("|walk") and failing else completion(3)))

    with misbehaving_server() as server:
        server.reply = judged
        endpoint_json(model, server.url)
        job = rating(tmp_path, model, kind="openai", concurrency=1)
        failing = True
        (first,) = rate.run(job)
        assert len(server.requests) == 5
        assert failed_in(job.items[0].work) == 1  # what `refresh=failed` looks for
        failing = False
        (second,) = rate.run(job)
        assert [request["messages"][-1]["content"] for request in server.requests[5:]] == ["request 1|walk"]
    assert failed_in(job.items[0].work) == 0
    assert [result.cost["spent"]["answers"] for result in (first, second)] == [4, 5]
    assert first.table is not None
    assert second.table is not None
    assert second.table.slice(0, 4).equals(first.table.slice(0, 4))
