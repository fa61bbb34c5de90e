"""What leaves the machine for an endpoint: identifiers in it are said before, redacted, or stop everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_server import Server
from tiny_llama import endpoint_json

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Artifact, Manifest
from primum.engine import open_engine
from primum.engine.endpoint import Endpoint
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.outgoing import NAME
from primum.engine.protocol import Response, identified
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

GREEDY = Sampling(max_tokens=8)
ASKED = [
    [Message("system", "You help Dr. Brown."), Message("user", "Mr. Smith came on 3/14/2019.")],
    [Message("user", "What is 120/80?")],
]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts as one that is not on this machine."""
    monkeypatch.setattr(Endpoint, "is_here", property(lambda self: False))


def engine(server: Server, folder: Path, phi: str | None = None) -> OpenAIEngine:
    endpoint = Endpoint("tiny", server.url, "TEST_KEY")
    return OpenAIEngine(endpoint, 1, folder, Progress("generate", interval=0), backoff=0.001, phi=phi)


def ask(opened: OpenAIEngine) -> list[Response]:
    return opened.chat(ASKED, GREEDY, 0, lambda done, tokens: None)


def sent(server: Server) -> list[list[str]]:
    return [[message["content"] for message in request["messages"]] for request in server.requests]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("https://[::1]/v1", True),
        ("https://api.openai.com/v1", False),
        ("https://127.0.0.1.evil.org/v1", False),
        ("https://10.0.0.1/v1", False),
    ],
)
def test_which_endpoints_are_here(url: str, here: bool) -> None:
    assert Endpoint("m", url, "K").is_here is here


def test_nothing_is_looked_for_where_nothing_leaves_the_machine(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = engine(server, tmp_path)
    assert [response.status for response in ask(opened)] == ["stop", "stop"]
    assert sent(server) == [["You help Dr. Brown.", "Mr. Smith came on 3/14/2019."], ["What is 120/80?"]]
    assert "identifiers" not in identified(opened)
    assert capsys.readouterr().err == ""
    assert not (tmp_path / NAME).exists()


@pytest.mark.usefixtures("elsewhere")
def test_what_is_sent_elsewhere_is_counted_before_it_is_sent(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = engine(server, tmp_path)
    told_before: list[str] = []

    def reply(handler: object, request: dict[str, object]) -> None:
        told_before.append(capsys.readouterr().err)
        raise ConnectionResetError

    server.script = [reply]  # type: ignore[list-item]
    ask(opened)
    assert told_before == [
        "[generate] tiny: 3 identifiers in 1 of 2 requests to 127.0.0.1 (name 2, date 1): sent as they are\n"
    ]
    # As it is: the second attempt of the first request, and the second request.
    assert sent(server)[1:] == [["You help Dr. Brown.", "Mr. Smith came on 3/14/2019."], ["What is 120/80?"]]
    assert identified(opened)["identifiers"] == {"date": 1, "name": 2}
    places = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert places == [
        {"request": 0, "message": 0, "start": 13, "end": 18, "kind": "name"},
        {"request": 0, "message": 1, "start": 4, "end": 9, "kind": "name"},
        {"request": 0, "message": 1, "start": 18, "end": 27, "kind": "date"},
    ]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_redacted_is_what_is_sent_and_paid_for_once(server: Server, tmp_path: Path) -> None:
    answers = ask(engine(server, tmp_path, "redact"))
    assert sent(server) == [["You help Dr. <NAME>.", "Mr. <NAME> came on <DATE>."], ["What is 120/80?"]]
    assert ask(engine(server, tmp_path, "redact")) == answers
    assert len(server.requests) == 2
    # Another question to the journal.
    ask(engine(server, tmp_path))
    assert sent(server)[2:] == [["You help Dr. Brown.", "Mr. Smith came on 3/14/2019."]]


def test_stop_sends_nothing(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PrimumError) as caught:
        ask(engine(server, tmp_path, "stop"))
    assert str(caught.value) == (
        f"tiny: 3 identifiers in 1 of 2 requests to 127.0.0.1 (name 2, date 1), at the places in {tmp_path / NAME}: "
        "nothing was sent: take them out, or give the model 'phi: redact'"
    )
    assert server.requests == []
    clean = engine(server, tmp_path, "stop")
    assert clean.chat(ASKED[1:], GREEDY, 0, lambda done, tokens: None)[0].status == "stop"
    assert "tiny: no identifiers found in 1 requests to 127.0.0.1" in capsys.readouterr().err


def test_the_experiment_tells_the_engine(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = endpoint_json(folder, server.url)
    files = {path.name: file_sha256(path)}
    model = Artifact(
        folder / "manifest.json", Manifest("folder", "snapshot", {}, {}, "key", "content", {}, files=files)
    )
    opened = open_engine(
        {"kind": "openai", "concurrency": 1, "phi": "redact"},
        model,
        Progress("generate", silent=True),
        tmp_path / "work",
    )
    opened.chat(ASKED, GREEDY, 0, lambda done, tokens: None)
    assert sent(server)[0] == ["You help Dr. <NAME>.", "Mr. <NAME> came on <DATE>."]
