"""What an endpoint answered is paid for once: whatever fails beside it, however the run ends, and nobody else is sent it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from chat_server import Server, completion, echo, misbehaving_server
from endpoint_asked import KEY, A, ask, engine, reply

from primum.artifact.work import failed_in
from primum.engine.journal import NAME, Journal
from primum.engine.protocol import identified
from primum.errors import PrimumError


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def test_a_rerun_asks_for_what_failed_alone(server: Server, tmp_path: Path) -> None:
    """What failed, and how many, is written beside the journal, until nothing did."""
    failing = reply(200, completion(None))
    server.reply = lambda handler, request: (failing if request["messages"][0]["content"] == "r7" else echo)(
        handler, request
    )
    texts = [f"r{i}" for i in range(20)]
    first = ask(engine(server, tmp_path, concurrency=4), *texts)
    assert [answer.error for answer in first] == [""] * 7 + ["no-content"] + [""] * 12
    assert failed_in(tmp_path) == 1
    del server.requests[:]
    server.reply = echo
    assert [answer.text for answer in ask(engine(server, tmp_path), *texts)] == [text.upper() for text in texts]
    assert [request["messages"][0]["content"] for request in server.requests] == ["r7"]
    assert failed_in(tmp_path) == 0


def test_what_answers_cost_is_counted_once(server: Server, tmp_path: Path) -> None:
    """Also of those in the journal: it is what the result cost, not what this run did."""
    server.script = [echo, reply(400)]
    opened = engine(server, tmp_path)
    ask(opened, *"abaaaa")
    assert identified(opened)["spent"] == {"answers": 1, "prompt_tokens": 3, "completion_tokens": 2}
    opened = engine(server, tmp_path)
    ask(opened, *"abaaaa")
    assert identified(opened)["spent"] == {"answers": 2, "prompt_tokens": 6, "completion_tokens": 4}


def test_answers_are_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is slow those that come wait together; each is known once it is there."""
    synced = []

    def slow(handle: int) -> None:
        time.sleep(0.02)
        synced.append((tmp_path / NAME).read_bytes().count(b"\n"))

    monkeypatch.setattr(os, "fsync", slow)
    journal = Journal(tmp_path)

    async def keep(number: int) -> None:
        await journal.keep(str(number), A)
        assert synced[-1] > number
        assert journal.find(str(number)) == A

    async def all_at_once() -> None:
        await asyncio.gather(*(keep(number) for number in range(100)))
        cancelled = asyncio.create_task(journal.keep("cancelled", A))
        await asyncio.sleep(0)
        cancelled.cancel()
        await journal.close()

    asyncio.run(all_at_once())
    assert synced == [100, 101]
    assert Journal(tmp_path).find("cancelled") == A


def test_a_full_disk_ends_the_run_on_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(PrimumError, match="cannot be read"):
        engine(server, tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(PrimumError, match=r"journal\.jsonl: cannot be written"):
        ask(engine(server, blocked, concurrency=4), *"abcdefgh")


def test_a_kill_costs_what_was_under_way(server: Server, tmp_path: Path) -> None:
    def paced(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        time.sleep(0.01)
        echo(handler, request)

    server.reply = paced
    texts = [f"r{i}" for i in range(60)]
    process = multiprocessing.get_context("fork").Process(
        target=lambda: ask(engine(server, tmp_path, concurrency=4), *texts)
    )
    process.start()
    # Its requests are counted here: the server runs in this process.
    while len(server.requests) < 20:
        assert process.is_alive()
        time.sleep(0.002)
    process.kill()
    process.join()
    answers = ask(engine(server, tmp_path, concurrency=4), *texts)
    assert [answer.text for answer in answers] == [f"R{i}" for i in range(60)]
    assert 60 <= len(server.requests) <= 60 + 4


def test_no_proxy_gets_what_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of HTTP_PROXY would see key and prompts."""
    with misbehaving_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert ask(engine(server), "a") == [A]
        assert (len(server.requests), proxy.requests) == (1, [])
