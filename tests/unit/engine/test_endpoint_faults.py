"""What endpoints of many providers reply, one test a class of fault: which are asked again, which are answers, what is said."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, Server, completion, echo, send
from endpoint_asked import KEY, A, ask, engine, reply

from primum.artifact.work import failed_in
from primum.engine.answer import PAID_TRIES
from primum.engine.openai_engine import REFUSED_AT_FIRST
from primum.engine.protocol import Response, identified
from primum.errors import PrimumError
from primum.experiment.types import Sampling


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def choice(message: Any, finish: str | None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish, **more}]}


UNUSABLE = [
    (b"<html><body>Log in to the hotel's network</body></html>", "bad-json"),
    (json.dumps(completion("cut off")).encode()[:60], "bad-json"),
    ([], "bad-shape"),
    ({"choices": []}, "no-choices"),
    ({"choices": [None]}, "bad-shape"),
    (completion(5), "no-content"),  # type: ignore[arg-type]
    (completion(None), "no-content"),
    (choice(None, "stop"), "no-content"),
    (completion([{"type": "image_url", "image_url": {}}]), "no-content"),  # type: ignore[arg-type]
    (completion("", ""), "no-finish-reason"),
    (completion("half an ans", "abort"), "unknown-finish-reason"),
    (completion("", "tool_calls"), "unknown-finish-reason"),
]


@pytest.mark.parametrize(("body", "error"), UNUSABLE)
def test_what_came_and_is_no_answer_is_asked_again_a_few_times(server: Server, body: Any, error: str) -> None:
    server.script = [reply(200, body)]
    assert ask(engine(server), "a") == [A]
    assert len(server.requests) == 2
    server.script = [reply(200, body)] * PAID_TRIES
    assert ask(engine(server), "a") == [Response("", "error", error=error)]
    assert len(server.requests) == 2 + PAID_TRIES


@pytest.mark.parametrize(
    ("body", "tries"),
    [
        ({"error": {"code": 502, "message": "Provider returned error"}}, 2),
        ({"error": {"code": "overloaded", "message": "overloaded"}}, 2),
        ({"error": "overloaded"}, 2),
        (choice({"content": "half"}, "error", error={"code": 502, "message": "x"}), 2),
        ({"error": {"code": 429, "message": "slow down"}}, 2),
    ],
)
def test_an_error_within_a_200_is_an_error(server: Server, body: Any, tries: int) -> None:
    server.script = [reply(200, body)]
    assert ask(engine(server), "a") == [A]
    assert len(server.requests) == tries


def test_errors_within_a_200_that_are_final(server: Server) -> None:
    server.script = [
        reply(200, {"error": {"code": "context_length_exceeded"}}),
        reply(200, {"error": {"code": 403, "metadata": {"reasons": ["violence"]}}}),
        reply(200, {"error": {"code": 400, "type": "invalid_request_error"}}),
    ]
    answers = [(answer.status, answer.error) for answer in ask(engine(server), "a", "b", "c", *"defghijkl")]
    assert answers[:3] == [
        ("prompt-too-long", ""),
        ("error", "content-filter"),
        ("error", "http-400 invalid_request_error"),
    ]
    assert answers[3:] == [("stop", "")] * 9
    server.script = [reply(200, {"error": {"code": "insufficient_quota"}})]
    with pytest.raises(PrimumError, match="TEST_KEY: the quota is spent"):
        ask(engine(server), "a")


@pytest.mark.parametrize(
    ("finish", "status"),
    [
        *[(name, "stop") for name in ("stop", "eos", "end_turn", "stop_sequence", "COMPLETE", "", None)],
        *[(name, "length") for name in ("length", "max_tokens", "MAX_TOKENS", "model_length")],
    ],
)
def test_why_an_answer_ended_in_the_words_of_other_providers(server: Server, finish: str | None, status: str) -> None:
    server.script = [reply(200, completion("A", finish))]
    assert ask(engine(server), "a") == [Response("A", status, 3, 2)]
    assert len(server.requests) == 1


def test_an_answer_that_does_not_say_why_it_ended_was_cut_at_the_limit(server: Server) -> None:
    server.script = [reply(200, completion("A", None))]
    assert ask(engine(server), "a", sampling=Sampling(max_tokens=2)) == [Response("A", "length", 3, 2)]


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "PROHIBITED_CONTENT"])
def test_what_a_filter_stopped_was_answered(server: Server, tmp_path: Path, finish: str) -> None:
    server.script = [reply(200, completion("half", finish))]
    assert ask(engine(server, tmp_path), "a") == [Response("", "error", 3, 2, "content-filter")]
    ask(engine(server, tmp_path), "a")
    assert len(server.requests) == 1
    assert failed_in(tmp_path) == 0


def test_content_in_parts(server: Server) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thought, {"type": "text", "text": "Fi"}, {"type": "output_text", "text": "ne."}]
    server.script = [
        reply(200, completion(parts)),  # type: ignore[arg-type]
        reply(200, completion([{"type": "refusal", "refusal": "No."}])),  # type: ignore[arg-type]
        reply(200, completion([thought], "length")),  # type: ignore[arg-type]
    ]
    assert ask(engine(server), "a", "b", "c") == [
        Response("Fine.", "stop", 3, 2, reasoning="Hm."),
        Response("No.", "stop", 3, 2),
        Response("", "length", 3, 2, reasoning="Hm."),
    ]


TOO_LONG = Response("", "prompt-too-long")
FILTERED = Response("", "error", error="content-filter")
VLLM = "This model's maximum context length is 64 tokens. However, you requested 80 tokens."


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"object": "error", "message": VLLM, "type": "BadRequestError", "code": 400}, TOO_LONG),
        (400, {"error": {"message": VLLM, "type": "BadRequestError", "code": 400}}, TOO_LONG),
        (413, {"error": {"type": "request_too_large"}}, TOO_LONG),
        (400, {"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}, FILTERED),
        (
            400,
            {"error": {"message": "Invalid prompt: your prompt was flagged as ...", "code": "invalid_prompt"}},
            FILTERED,
        ),
        (400, {"error": {"code": "data_inspection_failed"}}, FILTERED),
        (403, {"error": {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "x"}}}, FILTERED),
        (400, {"error": "no"}, Response("", "error", error="http-400")),
    ],
)
def test_refusals_of_a_request_in_the_words_of_other_providers(
    server: Server, status: int, body: Any, expected: Response
) -> None:
    server.script = [reply(status, body)]
    assert ask(engine(server), "a") == [expected]
    assert len(server.requests) == 1


def test_an_account_that_is_spent(server: Server) -> None:
    server.reply = reply(402, {"error": {"message": "Insufficient credits"}})
    with pytest.raises(PrimumError, match="TEST_KEY: the quota is spent"):
        ask(engine(server), "a")


# What models do not take ----------------------------------------------------------------------------------------------


def takes_no(*names: str, body: Any) -> Reply:
    def answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        for name in names:
            if name in request:
                return send(handler, 400, body(name))
        return echo(handler, request)

    return answer


OPENAI = {
    "message": "Unsupported value: 'temperature' does not support 0.0 with this model.",
    "code": "unsupported_value",
}


@pytest.mark.parametrize(
    ("names", "body"),
    [
        (("temperature",), lambda name: {"error": {**OPENAI, "param": name, "type": "invalid_request_error"}}),
        (("temperature", "top_p"), lambda name: {"error": {"message": f"`{name}` is deprecated for this model"}}),
        (("top_p",), lambda name: {"error": {"message": "`temperature` and `top_p` cannot both be specified"}}),
        (("top_p",), lambda name: {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "x"}]}),
    ],
)
def test_what_a_model_does_not_take_is_learned_once_said_and_recorded(
    server: Server, names: tuple[str, ...], body: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    server.reply = takes_no(*names, body=body)
    opened = engine(server, concurrency=8)
    assert ask(opened, *(f"r{i}" for i in range(40))) == [Response(f"R{i}", "stop", 3, 2) for i in range(40)]
    assert len(server.requests) == 40 + len(names)
    assert identified(opened) == {
        "left_out": sorted(names),
        "spent": {"answers": 40, "prompt_tokens": 120, "completion_tokens": 80},
    }
    said = capsys.readouterr().err
    assert said.count("\n") == len(names)
    assert all(f"tiny: takes no {name} (http-400" in said for name in names)
    assert set(server.requests[-1]) == {"model", "messages", "temperature", "top_p", "max_tokens"} - set(names)


def test_the_other_name_of_the_limit_is_tried_once(server: Server) -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    error = {"message": message, "code": "unsupported_parameter"}
    server.reply = takes_no("max_tokens", body=lambda name: {"error": {**error, "param": name}})
    opened = engine(server, concurrency=8)
    assert [r.status for r in ask(opened, *"abcdefgh")] == ["stop"] * 8
    assert [request.get("max_completion_tokens") for request in server.requests] == [None, *[8] * 8]
    assert "left_out" not in identified(opened)
    server.reply = takes_no(
        "max_tokens", "max_completion_tokens", body=lambda name: {"error": {**error, "param": name}}
    )
    assert ask(engine(server), "a") == [Response("", "error", error="http-400 unsupported_parameter")]


def test_a_value_that_is_out_of_range_is_not_left_out(server: Server) -> None:
    """Asked without it, a model would answer something else than was asked."""
    error = {"message": "'temperature' must be at most 1", "param": "temperature", "code": "decimal_above_max_value"}
    server.reply = reply(400, {"error": error})
    assert ask(engine(server), "a") == [Response("", "error", error="http-400 decimal_above_max_value")]
    assert len(server.requests) == 1


def test_an_endpoint_that_refuses_everything_is_asked_a_few_times(server: Server, tmp_path: Path) -> None:
    error = {"message": f"secret prompt {KEY}", "code": "model_not_ready", "type": "invalid_request_error"}
    server.reply = reply(400, {"error": error})
    with pytest.raises(PrimumError) as caught:
        ask(engine(server, tmp_path, concurrency=64), *(f"r{i}" for i in range(900)))
    assert str(caught.value) == (
        f"tiny: the first {REFUSED_AT_FIRST} requests were refused (http-400 model_not_ready): "
        "check the model's endpoint (0 answers are kept)"
    )
    assert len(server.requests) == REFUSED_AT_FIRST
    assert server.most_at_once == 1


@pytest.mark.parametrize("code", [KEY, f"bad_key.{KEY}", "two words", "x" * 65, 7, ["a"]])
def test_a_code_that_is_none_is_not_shown(server: Server, code: Any) -> None:
    server.reply = reply(400, {"error": {"code": code}})
    assert ask(engine(server), "a")[0].error == "http-400"
