"""The Batch API of an endpoint: the same answers as at once, none paid for twice, and nothing left behind at the provider."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_server import BatchServer, Lost, batch_server, upper
from chat_server import completion
from endpoint_asked import KEY, ask

from primum.artifact.folder import file_sha256
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.work import failed_in
from primum.engine import Engine, batch, batch_parts, open_engine
from primum.engine.batch import BatchEngine
from primum.engine.endpoint import Endpoint
from primum.engine.journal import NAME
from primum.engine.protocol import identified
from primum.errors import PrimumError
from primum.experiment.types import Sampling
from primum.progress import Progress

TEXTS = [f"r{i}" for i in range(30)]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(batch, "AT_ONCE", 3)


@pytest.fixture
def provider() -> Iterator[BatchServer]:
    with batch_server() as running:
        yield running


def engine(server: BatchServer, folder: Path, phi: str | None = None, log: Path | None = None) -> BatchEngine:
    """With pauses of milliseconds; the key is TEST_KEY's."""
    endpoint = Endpoint("tiny", server.url, "TEST_KEY")
    return BatchEngine(endpoint, 4, folder, Progress("test", log, silent=True), 5.0, 0.001, phi, patience=0.5)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {NAME, "phi.jsonl", "failed"}


def test_all_answers_land_and_nothing_is_left(provider: BatchServer, tmp_path: Path) -> None:
    opened = engine(provider, tmp_path)
    answers = ask(opened, *TEXTS, "r1")
    assert [answer.text for answer in answers] == [text.upper() for text in [*TEXTS, "r1"]]
    assert {answer.status for answer in answers} == {"stop"}
    assert provider.chats == ["r0"]
    assert [len(upload) for upload in provider.uploads] == [29]
    assert set(provider.paid.values()) == {1}
    assert provider.keys == {f"Bearer {KEY}"}
    assert (provider.files, left_in(tmp_path)) == ({}, set())
    assert identified(opened)["spent"] == {"answers": 30, "prompt_tokens": 90, "completion_tokens": 60}
    # The journal is the one of requests at once.
    assert ask(engine(provider, tmp_path), *TEXTS, "r1") == answers
    assert len(provider.uploads) == len(provider.chats) == 1


def test_a_request_is_what_it_would_be_at_once(provider: BatchServer, tmp_path: Path) -> None:
    ask(engine(provider, tmp_path), *TEXTS, sampling=Sampling(temperature=0.5, top_p=0.9, max_tokens=7))
    first = provider.uploads[0][0]
    assert len(first.pop("custom_id")) == 64
    body = first.pop("body")
    assert first == {"method": "POST", "url": "/v1/chat/completions"}
    assert type(body.pop("seed")) is int
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "r1"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
    }


def test_few_are_asked_at_once(provider: BatchServer, tmp_path: Path) -> None:
    assert [answer.text for answer in ask(engine(provider, tmp_path), "a", "b", "c")] == ["A", "B", "C"]
    assert (sorted(provider.chats), provider.uploads) == (["a", "b", "c"], [])


def test_each_failure_has_its_status(provider: BatchServer, tmp_path: Path) -> None:
    """What may succeed is in another batch, twice at most; what is left then, and what cannot, is an error."""
    refused = {"error": {"code": "content_filter", "message": ""}}
    replies = {
        "r3": (200, completion(None)),
        "r4": (500, {}),
        "r5": (400, {"error": {"code": "bad_thing"}}),
        "r6": (400, refused),
        "r7": (400, {"error": {"code": "context_length_exceeded"}}),
        "r8": (200, completion("cut", "length")),
        "r9": (200, completion("", "content_filter")),
        "r10": (500, {}),
        "r11": None,
    }
    provider.answer = lambda text: replies.get(text, upper(text))
    answers = ask(engine(provider, tmp_path), *TEXTS)
    found = {text: (a.text, a.status, a.error) for text, a in zip(TEXTS, answers, strict=True) if text in replies}
    assert found == {
        "r3": ("", "error", "no-content"),
        "r4": ("", "error", "http-500"),
        "r5": ("", "error", "http-400 bad_thing"),
        "r6": ("", "error", "content-filter"),
        "r7": ("", "prompt-too-long", ""),
        "r8": ("cut", "length", ""),
        "r9": ("", "error", "content-filter"),
        "r10": ("", "error", "http-500"),
        "r11": ("", "error", "batch_completed"),
    }
    assert [len(upload) for upload in provider.uploads] == [29, 4, 4]
    assert failed_in(tmp_path) == 5
    assert (provider.files, left_in(tmp_path)) == ({}, set())
    # A rerun asks for what failed alone: five are a batch again, behind one at once.
    del provider.uploads[:], provider.chats[:]
    provider.answer = upper
    assert [answer.text for answer in ask(engine(provider, tmp_path), *TEXTS)][10] == "R10"
    assert provider.chats == ["r3"]
    assert [[line["body"]["messages"][0]["content"] for line in each] for each in provider.uploads] == [
        ["r4", "r5", "r10", "r11"]
    ]


def test_what_had_no_time_is_in_another_batch(provider: BatchServer, tmp_path: Path) -> None:
    provider.ends = ["expired"]
    provider.answer = lambda text: (
        None if len(provider.batches) == 1 and int(text[1:]) > 9 and provider.chats else upper(text)
    )
    assert [answer.text for answer in ask(engine(provider, tmp_path), *TEXTS)] == [text.upper() for text in TEXTS]
    assert [len(upload) for upload in provider.uploads] == [29, 20]
    assert set(provider.paid.values()) == {1}


def test_what_somebody_cancelled_is_not_sent_again(provider: BatchServer, tmp_path: Path) -> None:
    provider.ends = ["cancelled"]
    provider.answer = lambda text: None if int(text[1:]) > 9 else upper(text)
    answers = ask(engine(provider, tmp_path), *TEXTS)
    assert [answer.error for answer in answers] == [""] * 10 + ["batch_cancelled"] * 20
    assert len(provider.uploads) == 1


def test_a_batch_that_is_refused_ends_the_run(provider: BatchServer, tmp_path: Path) -> None:
    """With the provider's code, and nothing left there. Run again, it is sent anew."""
    provider.ends = ["failed model_not_batchable"]
    with pytest.raises(PrimumError, match=r"a batch of 29 requests was refused \(model_not_batchable\)"):
        ask(engine(provider, tmp_path), *TEXTS)
    assert (provider.files, left_in(tmp_path)) == ({}, set())
    assert ask(engine(provider, tmp_path), *TEXTS)[29].text == "R29"


def test_an_account_with_little_room_gets_smaller_batches(
    provider: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "LEAST", 5)
    full = "failed token_limit_exceeded"
    # 29 and 14 are too many; then 14 are taken, and the other two parts wait for them.
    provider.ends = [full, full, full, "completed", full, full]
    monkeypatch.setattr(batch, "NO_ROOM_PAUSE", 1.0)
    assert [answer.text for answer in ask(engine(provider, tmp_path), *TEXTS)] == [text.upper() for text in TEXTS]
    assert set(provider.paid.values()) == {1}
    assert max(len(upload) for upload in provider.uploads[1:]) == 14
    assert (provider.files, left_in(tmp_path)) == ({}, set())


def test_without_any_room_it_ends_with_one_line(
    provider: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_NO_ROOM", 3)
    monkeypatch.setattr(batch, "NO_ROOM_PAUSE", 1.0)
    provider.ends = ["failed token_limit_exceeded"] * 9
    with pytest.raises(PrimumError, match=r"no room for a batch in 3 tries \(token_limit_exceeded\)"):
        ask(engine(provider, tmp_path), *TEXTS)
    provider.ends.clear()
    assert ask(engine(provider, tmp_path), *TEXTS)[29].text == "R29"
    assert set(provider.paid.values()) == {1}


@pytest.mark.parametrize(("requests", "size", "sizes"), [(10, 10**9, [10, 10, 9]), (50_000, 2_000, [7, 7, 7, 7, 1])])
def test_batches_keep_to_the_limits(
    provider: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requests: int, size: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", requests)
    monkeypatch.setattr(batch_parts, "MOST_BYTES", size)
    assert ask(engine(provider, tmp_path), *TEXTS)[29].text == "R29"
    assert [len(upload) for upload in provider.uploads] == sizes
    assert all(sum(len(json.dumps(line)) + 1 for line in upload) <= size for upload in provider.uploads)
    assert set(provider.paid.values()) == {1}


def test_what_a_model_does_not_take_is_learnt_before_the_batch(provider: BatchServer, tmp_path: Path) -> None:
    asked = provider._run
    told = {"error": {"code": "unsupported_parameter", "param": "top_p", "message": "unsupported"}}
    provider._run = lambda body: (400, told) if "top_p" in body else asked(body)  # type: ignore[method-assign]
    provider.before = _lost_polls
    with pytest.raises(PrimumError):
        ask(engine(provider, tmp_path), *TEXTS)
    # What was left out is known of the batch that is under way.
    provider.before = lambda _: None
    opened = engine(provider, tmp_path)
    assert ask(opened, *TEXTS)[29].text == "R29"
    assert (provider.chats, len(provider.uploads)) == (["r0", "r0"], 1)
    assert all("top_p" not in line["body"] for line in provider.uploads[0])
    assert identified(opened)["left_out"] == ["top_p"]


def test_a_model_that_refuses_gets_no_batch(provider: BatchServer, tmp_path: Path) -> None:
    provider.answer = lambda _: (400, {"error": {"code": "no_such_thing"}})
    with pytest.raises(PrimumError, match=r"the first 5 requests failed \(http-400 no_such_thing\)"):
        ask(engine(provider, tmp_path), *TEXTS)
    provider.answer = lambda _: (404, {"error": {"code": "model_not_found"}})
    with pytest.raises(PrimumError, match=r"there is no such model there \(http-404 model_not_found\)"):
        ask(engine(provider, tmp_path), *TEXTS)
    assert (provider.uploads, len(provider.chats)) == ([], 6)


def test_an_endpoint_without_a_batch_api_says_so(provider: BatchServer, tmp_path: Path) -> None:
    reply = provider._reply
    provider._reply = lambda name, *rest: (404, {}) if "files" in name else reply(name, *rest)  # type: ignore[method-assign]
    with pytest.raises(PrimumError, match=r"127\.0\.0\.1 refused a file of requests \(http-404\).*'batch: false'"):
        ask(engine(provider, tmp_path), *TEXTS)


def test_identifiers_are_not_sent(provider: BatchServer, tmp_path: Path) -> None:
    texts = [*TEXTS, "Call 555-123-4567."]
    with pytest.raises(PrimumError, match="nothing was sent"):
        ask(engine(provider, tmp_path, "stop"), *texts)
    assert not provider.calls
    ask(engine(provider, tmp_path, "redact"), *texts)
    assert provider.uploads[0][-1]["body"]["messages"][0]["content"] == "Call <PHONE>."


def test_files_are_their_owners_and_no_log_has_their_words(provider: BatchServer, tmp_path: Path) -> None:
    seen = {}

    def look(name: str) -> None:
        if name == "GET batches one":
            seen.update({path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()})

    provider.before = look
    log = tmp_path.parent / "log.txt"
    provider.ends = ["failed token_limit_exceeded", "failed canary_code"]
    with pytest.raises(PrimumError) as error:
        ask(engine(provider, tmp_path, log=log), *(f"canary {text}" for text in TEXTS))
    assert len(seen) == 3  # the journal, the requests, and where they are
    assert set(seen.values()) == {0o600}
    said = log.read_text() + str(error.value)
    assert "token_limit_exceeded: batches of at most" in said
    assert "canary_code" in said
    assert not any(word in said for word in (KEY, "canary r", "CANARY R"))


def test_files_that_stay_are_told_of(provider: BatchServer, tmp_path: Path) -> None:
    provider.deletes = False
    log = tmp_path.parent / "log2.txt"
    ask(engine(provider, tmp_path, log=log), *TEXTS)
    assert len(provider.files) == 2
    assert "2 files could not be deleted at 127.0.0.1" in log.read_text()


LOSSES = ("POST files", "POST batches", "GET batches one", "GET files one content", "DELETE files one")


@pytest.mark.parametrize("call", LOSSES)
def test_a_lost_reply_is_not_paid_for_twice(provider: BatchServer, tmp_path: Path, call: str) -> None:
    def lose(name: str) -> None:
        if name == call and provider.calls[name] == 1:
            raise Lost

    provider.after = lose
    assert [answer.text for answer in ask(engine(provider, tmp_path), *TEXTS)] == [text.upper() for text in TEXTS]
    assert set(provider.paid.values()) == {1}
    assert (len(provider.batches), len(provider.uploads), left_in(tmp_path)) == (1, 1, set())
    assert provider.files == {}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", LOSSES)
def test_a_kill_is_not_paid_for(provider: BatchServer, tmp_path: Path, call: str, done: bool) -> None:
    """Killed before a call has done anything, and when it has done it and nobody knows."""
    process = multiprocessing.get_context("fork").Process(target=lambda: ask(engine(provider, tmp_path), *TEXTS))

    def kill(name: str) -> None:
        if name == call and process.is_alive():
            process.kill()
            raise Lost

    setattr(provider, "after" if done else "before", kill)
    process.start()
    process.join(20)
    assert process.exitcode == -9
    log = tmp_path.parent / "log.txt"
    assert [answer.text for answer in ask(engine(provider, tmp_path, log=log), *TEXTS)] == [t.upper() for t in TEXTS]
    assert set(provider.paid.values()) == {1}
    assert len(provider.batches) == 1
    assert (provider.files, left_in(tmp_path)) == ({}, set())


def test_an_outage_ends_with_one_line_and_the_rerun_waits_on(provider: BatchServer, tmp_path: Path) -> None:
    def lose(name: str) -> None:
        if name == "GET batches one":
            raise Lost

    provider.before = lose
    with pytest.raises(PrimumError, match=r"has not answered for .* \(the last with connection\)"):
        ask(engine(provider, tmp_path), *TEXTS)
    provider.before = lambda _: None
    # What was not asked before goes beside what is under way.
    assert ask(engine(provider, tmp_path), *TEXTS, "more")[30].text == "MORE"
    assert set(provider.paid.values()) == {1}
    assert (len(provider.batches), provider.chats) == (1, ["r0", "more"])


def test_other_questions_leave_what_is_under_way_alone(provider: BatchServer, tmp_path: Path) -> None:
    """A judge asks twice with one journal: its questions, and some of them once more."""
    provider.before = _lost_polls
    with pytest.raises(PrimumError):
        ask(engine(provider, tmp_path), *TEXTS)
    provider.before = lambda _: None
    ask(engine(provider, tmp_path), "other")
    assert len(left_in(tmp_path)) == 2
    ask(engine(provider, tmp_path), *TEXTS)
    assert (set(provider.paid.values()), left_in(tmp_path)) == ({1}, set())


def _lost_polls(name: str) -> None:
    if name == "GET batches one":
        raise Lost


def test_what_is_under_way_is_not_asked_for_at_once(provider: BatchServer, tmp_path: Path) -> None:
    """Where 'batch' is taken away in between, nothing is paid for twice without a word."""
    (tmp_path / "endpoint.json").write_text(
        json.dumps({"endpoint": "tiny", "base_url": provider.url, "key_env": "TEST_KEY"})
    )
    files = {"endpoint.json": file_sha256(tmp_path / "endpoint.json")}
    model = Artifact(tmp_path / "manifest.json", Manifest("folder", "snapshot", {}, {}, "k", "c", {}, files=files))

    def opened(**more: bool) -> Engine:
        settings = {"kind": "openai", "concurrency": 4, **more}
        return open_engine(settings, model, Progress("test", silent=True), tmp_path / "work")

    (tmp_path / "work").mkdir()
    batch_parts.write_part(tmp_path / "work", [batch_parts.batch_line("k", {"model": "tiny", "messages": []})])
    with pytest.raises(PrimumError, match=r"batches under way.*'batch: true', or delete .*/work/batch-\*"):
        opened()
    assert isinstance(opened(batch=True), BatchEngine)
    with pytest.raises(PrimumError, match="needs a folder"):
        open_engine({"kind": "openai", "concurrency": 4, "batch": True}, model, Progress("test", silent=True))


def test_torn_files_are_told_of(provider: BatchServer, tmp_path: Path) -> None:
    (tmp_path / "batch-0.jsonl").write_text("{")
    with pytest.raises(PrimumError, match=r"batch-0\.jsonl: cannot be read"):
        ask(engine(provider, tmp_path), *TEXTS)
