"""What an endpoint may be, what counts as an answer from it, and the journal of answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import endpoint_json

from primum.engine.answer import Again, read_answer, read_error
from primum.engine.endpoint import Endpoint, check_address, read_endpoint
from primum.engine.journal import Journal, answer_key
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.protocol import Response
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

GREEDY = Sampling(max_tokens=8)


@pytest.mark.parametrize("value", [None, "", "  ", "sk-a\nb", "sk-\u00e9", "sk a"])
def test_a_missing_or_broken_key_is_named_not_shown(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(PrimumError, match=r"^TEST_KEY: ") as caught:
        OpenAIEngine(Endpoint("tiny", "https://host/v1", "TEST_KEY"), 1, None, Progress("test", silent=True))
    assert not (value and value.strip()) or value not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://host/v1", "http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/"]
)
def test_safe_addresses(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://host/v1",
        "http://127.0.0.1.evil.org/v1",
        "http://10.0.0.1/v1",
        "https://user:pw@host/v1",
        "ftp://127.0.0.1/",
        "host/v1",
        "https:///v1",
        "https://host:x/v1",
        "http://[::1/",
    ],
)
def test_unsafe_addresses(url: str) -> None:
    with pytest.raises(PrimumError) as caught:
        check_address(url)
    assert "pw" not in str(caught.value)


def test_endpoint_files(tmp_path: Path) -> None:
    path = endpoint_json(tmp_path, "https://host/v1")
    assert read_endpoint(path) == Endpoint("tiny", "https://host/v1", "TEST_KEY")
    path.write_text('{"endpoint": "tiny"}')
    with pytest.raises(PrimumError, match="base_url"):
        read_endpoint(path)


def test_the_journal_tells_questions_apart() -> None:
    user = [Message("user", "a")]
    keys = {
        answer_key("m", user, GREEDY, None),
        answer_key("n", user, GREEDY, None),
        answer_key("m", [Message("system", "a")], GREEDY, None),
        answer_key("m", [*user, *user], GREEDY, None),
        answer_key("m", user, Sampling(max_tokens=9), None),
        answer_key("m", user, GREEDY, 1),
    }
    assert len(keys) == 6


@given(st.binary(max_size=200))
def test_no_body_crashes_the_reader(body: bytes) -> None:
    assert isinstance(read_answer(body), Again)
    assert read_error(500, body, ()) == Again("http-500")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_json_crashes_the_reader(value: object) -> None:
    for record in (
        value,
        {"choices": value},
        {"choices": [value]},
        {"choices": [{"message": value}]},
        {"error": value},
    ):
        body = json.dumps(record).encode()
        read_answer(body)
        for reply in (read_answer(body), read_error(500, body, ()), read_error(400, body, ("temperature",))):
            assert len(getattr(reply, "error", "")) <= len("http-500 ") + 64
            assert not isinstance(reply, Response) or reply.status != "stop"


@given(st.lists(st.text(st.characters())))
def test_the_journal_survives_any_text(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)

    async def keep() -> None:
        await asyncio.gather(*(journal.keep(str(i), Response(text, "stop", 1, 1)) for i, text in enumerate(texts)))

    asyncio.run(keep())
    again = Journal(folder)
    assert [again.find(str(index)) for index in range(len(texts))] == [Response(t, "stop", 1, 1) for t in texts]
