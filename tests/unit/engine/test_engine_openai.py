"""The endpoint engine against a server on this machine that misbehaves in every way seen in the wild."""

from __future__ import annotations

import json
import logging
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, Server, completion, echo, send
from tiny_llama import endpoint_json

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Artifact, Manifest
from primum.engine import open_engine
from primum.engine.answer import TRIES
from primum.engine.endpoint import Endpoint
from primum.engine.journal import NAME, Journal
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.protocol import Response
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

KEY = "sk-secret-0123456789abcdef"
GREEDY = Sampling(max_tokens=8)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def echo_but(text: str, reply: Reply) -> Reply:
    """All are answered but this one."""
    return lambda handler, request: (reply if request["messages"][-1]["content"] == text else echo)(handler, request)


def engine(
    server: Server,
    journal: Path | None = None,
    seconds: float = 5.0,
    concurrency: int = 1,
    patience: float = 300,
) -> OpenAIEngine:
    return OpenAIEngine(
        Endpoint("tiny", server.url, "TEST_KEY"),
        concurrency,
        journal,
        Progress("test", silent=True),
        seconds,
        backoff=0.001,
        patience=patience,
    )


def ask(opened: OpenAIEngine, *texts: str, sampling: Sampling = GREEDY, seed: int = 0) -> list[Response]:
    return opened.chat([[Message("user", text)] for text in texts], sampling, seed, lambda done, tokens: None)


def fail(status: int, body: bytes | dict[str, Any] = b"{}", **headers: str) -> Reply:
    return lambda handler, _: send(handler, status, body, **headers)


def test_answers_come_in_order_and_at_once(server: Server) -> None:
    answered = threading.Event()

    def in_turn(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        text = request["messages"][-1]["content"]
        if text == "r1":
            answered.wait(120)
        echo(handler, request)
        if text == "r2":
            answered.set()

    server.reply = in_turn
    seen: list[tuple[int, int]] = []
    opened = engine(server, concurrency=4)
    conversations = [[Message("system", "s"), Message("user", f"r{i}")] for i in range(12)]
    responses = opened.chat(conversations, GREEDY, 0, lambda done, tokens: seen.append((done, tokens)))
    assert responses == [Response(f"R{i}", "stop", 3, 2) for i in range(12)]
    assert 2 <= server.most_at_once <= 4
    assert seen[-1] == (12, 60)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    request = server.requests[0]
    assert request["model"] == "tiny"
    assert request["messages"][0] == {"role": "system", "content": "s"}
    assert (request["temperature"], request["top_p"], request["max_tokens"]) == (0.0, 1.0, 8)
    assert "seed" not in request
    assert server.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_comes_and_goes_is_tried_again(server: Server, status: int) -> None:
    server.script = [fail(status), fail(status)]
    assert ask(engine(server), "a") == [Response("A", "stop", 3, 2)]
    assert len(server.requests) == 3


def test_attempts_end(server: Server) -> None:
    server.reply = echo_but("a", fail(500))
    assert ask(engine(server), "b", "a", *"cdef") == [
        Response("", "error", error="http-500") if text == "A" else Response(text, "stop", 3, 2) for text in "BACDEF"
    ]
    assert len(server.requests) == 5 + TRIES


@pytest.mark.parametrize("value", ["0.3", "date"])
def test_retry_after_is_honoured(server: Server, value: str) -> None:
    asked, named = time.time(), int(time.time()) + 2
    header = formatdate(named, usegmt=True) if value == "date" else value
    again: list[float] = []

    def answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        again.append(time.time())
        echo(handler, request)

    server.script = [fail(429, Retry_After=header), answer]
    assert ask(engine(server), "a")[0].text == "A"
    assert again[0] >= (named if value == "date" else asked + 0.3) - 0.05  # two clocks


def test_a_retry_after_of_an_hour_ends_the_run(server: Server, tmp_path: Path) -> None:
    """At once, and for the few that are missing only: they get their status."""
    server.script = [echo, fail(429, {"error": {"code": "daily_limit"}}, Retry_After="3600")]
    with pytest.raises(PrimumError, match=r"tiny: 127.0.0.1 .* 3,600 s.*http-429 daily_limit.*1 answers are kept"):
        ask(engine(server, tmp_path), "a", "b")
    assert len(server.requests) == 2
    server.script = [*[echo] * 4, fail(429, Retry_After="3600")]
    answers = ask(engine(server, tmp_path), *"abcdef")
    assert [answer.error for answer in answers] == ["", "", "", "", "", "http-429"]
    assert len(server.requests) == 2 + 5


def test_a_marked_refusal_is_the_answer_and_a_cut_one_says_so(server: Server) -> None:
    server.script = [fail(200, completion(None, refusal="I can't.")), fail(200, completion("abc", "length"))]
    assert ask(engine(server), "a", "b") == [Response("I can't.", "stop", 3, 2), Response("abc", "length", 3, 2)]


def test_other_refusals_of_one_request(server: Server) -> None:
    server.script = [
        fail(400, {"error": {"code": "context_length_exceeded", "message": "secret text"}}),
        fail(400, {"error": {"code": "content_filter", "message": "secret text"}}),
        fail(400, {"error": {"message": "secret text"}}),
    ]
    responses = ask(engine(server), "a", "b", "c")
    assert [(r.status, r.error) for r in responses] == [
        ("prompt-too-long", ""),
        ("error", "content-filter"),
        ("error", "http-400"),
    ]


def test_the_deadline_is_for_the_whole_answer(server: Server) -> None:
    """A byte every 50 ms never trips a timeout per read."""

    def trickle(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        body = json.dumps(completion("late")).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for byte in body:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)

    server.script = [trickle]
    assert ask(engine(server, seconds=0.4), "a") == [Response("A", "stop", 3, 2)]


def test_a_dropped_connection_is_tried_again(server: Server) -> None:
    def drop(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.close_connection = True

    server.script = [drop]
    assert ask(engine(server), "a")[0].text == "A"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(server: Server, status: int) -> None:
    elsewhere = "http://localhost:" + server.url.split(":")[-1] + "/chat/completions"
    server.script = [fail(status, b"", Location=elsewhere)]
    assert ask(engine(server), "a") == [Response("", "error", error=f"http-{status}")]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (fail(429, {"error": {"code": "insufficient_quota", "message": KEY}}), "TEST_KEY: the quota is spent"),
        (fail(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}), "the key is not accepted"),
        (fail(403), "may not use"),
        (fail(404), "no such model"),
    ],
)
def test_what_no_request_survives_ends_the_run(
    server: Server, tmp_path: Path, reply: Reply, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script, server.reply = [echo, echo], reply
    with pytest.raises(PrimumError, match=message) as caught:
        ask(engine(server, tmp_path), "one", "two", *(f"r{i}" for i in range(50)))
    assert len(server.requests) == 3, "one refusal is enough, and it is not tried again"
    shown = str(caught.value) + caplog.text
    assert KEY not in shown
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(Journal(tmp_path)) == 2


def test_a_dead_endpoint_ends_the_run(server: Server) -> None:
    """By the time without an answer, whatever was sent at once: 30 s take no longer here, with a clock that runs fast."""
    server.script, server.reply = [echo], fail(503, {"error": {"type": "overloaded_error"}})
    opened = engine(server, concurrency=16, patience=0.5)
    with pytest.raises(PrimumError, match=r"has not answered for .* \(the last with http-503 overloaded_error\)"):
        ask(opened, *(f"r{i}" for i in range(50)))
    # Those that were under way together, and then one alone after each pause.
    assert 16 < len(server.requests) < 40


def test_a_rerun_pays_only_for_the_missing(server: Server, tmp_path: Path) -> None:
    server.script = [echo, fail(400), echo]
    first = ask(engine(server, tmp_path), "a", "b", "c")
    assert [r.status for r in first] == ["stop", "error", "stop"]
    assert len(server.requests) == 3
    second = ask(engine(server, tmp_path), "a", "b", "c", "a")
    assert [r.text for r in second] == ["A", "B", "C", "A"]
    assert [r["messages"][0]["content"] for r in server.requests[3:]] == ["b"]
    assert ask(engine(server, tmp_path), "a", sampling=Sampling(max_tokens=9))[0].text == "A"
    assert len(server.requests) == 5, "another max_tokens is another question"


def test_what_was_answered_before_a_crash_is_kept(server: Server, tmp_path: Path) -> None:
    """The run ends at the third request; a torn line, as a power cut leaves it, costs that answer and no other."""
    server.script = [echo, echo, fail(401)]
    with pytest.raises(PrimumError):
        ask(engine(server, tmp_path), "a", "b", "c")
    path = tmp_path / NAME
    assert path.stat().st_mode & 0o077 == 0, "answers are for their owner alone"
    path.write_bytes(path.read_bytes()[:-10])
    assert [r.text for r in ask(engine(server, tmp_path), "a", "b", "c")] == ["A", "B", "C"]
    assert [r["messages"][0]["content"] for r in server.requests] == ["a", "b", "c", "b", "c"]
    assert [r.text for r in ask(engine(server, tmp_path), "a", "b", "c")] == ["A", "B", "C"]
    assert len(server.requests) == 5, "the line after the torn one was not swallowed by it"


def test_equal_requests_are_sent_once(server: Server) -> None:
    assert [r.text for r in ask(engine(server), "a", "a", "b")] == ["A", "A", "B"]
    assert len(server.requests) == 2


def test_seeds_are_sent_and_told_apart_only_when_sampling(server: Server, tmp_path: Path) -> None:
    warm = Sampling(temperature=0.7, max_tokens=8)
    for seed, sampling in ((1, warm), (2, warm), (2, warm), (1, GREEDY), (2, GREEDY)):
        ask(engine(server, tmp_path), "a", sampling=sampling, seed=seed)
    assert ["seed" in request for request in server.requests] == [True, True, False]
    assert server.requests[0]["seed"] != server.requests[1]["seed"]


def test_lone_surrogates_are_replaced_and_counted(server: Server, tmp_path: Path) -> None:
    """What is sent is replaced too. The second engine reads the journal and counts the same."""
    server.reply = fail(200, completion("ok \ud83d and \udc00"))
    for _ in range(2):
        opened = engine(server, tmp_path)
        assert ask(opened, "bad \ud800")[0].text == "ok \ufffd and \ufffd"
        assert opened.surrogates == 2
    assert [r["messages"][0]["content"] for r in server.requests] == ["bad \ufffd"]


def test_open_engine_reads_the_artifact(tmp_path: Path, server: Server) -> None:
    sha = file_sha256(endpoint_json(tmp_path, server.url))
    model = Artifact(
        tmp_path / "manifest.json", Manifest("folder", "snapshot", {}, {}, "k", "c", {}, files={"endpoint.json": sha})
    )
    opened = open_engine({"kind": "openai", "concurrency": 2}, model, Progress("test", silent=True), tmp_path / "work")
    assert opened.chat([[Message("user", "a")]], GREEDY, 0, lambda done, tokens: None)[0].text == "A"
    assert (tmp_path / "work" / NAME).exists()
    endpoint_json(tmp_path, server.url, model="another")
    with pytest.raises(PrimumError, match="is not what its manifest describes"):
        open_engine({"kind": "openai", "concurrency": 2}, model, Progress("test", silent=True))
