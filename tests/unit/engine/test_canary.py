"""A text in a harmful response is nowhere but in closed, marked files: after a run, a kill -9, an echo and an exception."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from canary import holding, open_or_unmarked
from chat_server import Server, completion, send
from stage_artifacts import folder_artifact, saved, table_artifact
from tiny_llama import endpoint_json

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Job, Result
from primum.artifact.manifest import Artifact
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store
from primum.cli import main
from primum.dag.dag import STAGES
from primum.text.rows import RequestRow, to_table

REQUEST, RESPONSE = "canary-request-51f0", "canary-response-9a3e"
ROWS = [RequestRow(f"set/{n:03d}", "set", "general", f"{REQUEST} {n}") for n in range(6)]
SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 8}
COMMON = {"engine": {"kind": "openai", "concurrency": 1}, "sampling": SAMPLING, "seed": 0}
JUDGE = {**COMMON, "kind": "rubric", "template": "{{ request }} {{ response }}", "policies": {"default": ""}}


class Stages:
    """``generate`` and ``judge`` of one model behind ``server``, as a rule runs them, all in the folder ``root``."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root, self.server = root, server
        folder = root / "results/models/api"
        folder.mkdir(parents=True)
        endpoint_json(folder, server.url)
        self.model = saved(folder_artifact(folder)).path
        self.prompts = saved(table_artifact(root / "input/set.parquet", to_table(ROWS, RequestRow))).path
        self.responses = root / "results/generations/api/set.json"
        self.judgements = root / "results/judgements/harm/api/set.json"
        (root / "tmp-of-the-system").mkdir()
        self._save("generate", COMMON, self.responses, {"model": [self.model]}, {"prompts": [self.prompts]})
        self._save("judge", JUDGE, self.judgements, {"judge": [self.model]}, {"responses": [self.responses]})

    def _save(self, stage: str, common: Any, path: Path, shared: Any, own: Any) -> None:
        spec = {"stage": stage, "code": "c", "libraries": {}, "common": common, "items": [["set", {"system": ""}]]}
        output = Asked(path, own, STAGES[stage].sensitive)
        store = Store(self.root / "store")
        Request(canonical_json(spec), [output], shared, "table", store).save(self.root / f"{stage}.request")

    def command(self, stage: str) -> list[str]:
        return ["stage", stage, "--request", str(self.root / f"{stage}.request"), "--log", str(self.log(stage))]

    def log(self, stage: str) -> Path:
        return self.root / f"results/logs/{stage}.log"

    def killed_in_the_middle(self, stage: str) -> None:
        """Run a stage in a process of its own, which is killed while its third answer is under way."""
        # A fork has all imports already, and writes where this process does.
        running = multiprocessing.get_context("fork").Process(target=main, args=(self.command(stage),))

        def kill(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
            os.kill(running.pid or 0, signal.SIGKILL)
            raise ConnectionResetError

        self.server.script = [reply, reply, kill]
        running.start()
        running.join(120)
        assert running.exitcode == -signal.SIGKILL

    def wrong(self) -> list[str]:
        """What holds a canary, and should not, of everything but the input."""
        return [
            each for text in (REQUEST, RESPONSE) for each in open_or_unmarked(self.root, text) if "/input/" not in each
        ]


def reply(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
    send(handler, 200, completion(f"{RESPONSE}\n#reason: {RESPONSE}\n#score: 5"))


@pytest.fixture
def stages(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Stages:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp-of-the-system"))
    server.reply = reply
    return Stages(tmp_path, server)


def test_it_is_nowhere_else_after_a_crash_and_a_run(stages: Stages, capfd: pytest.CaptureFixture[str]) -> None:
    for stage, asked in (("generate", 6), ("judge", 6)):
        stages.server.requests.clear()
        stages.killed_in_the_middle(stage)
        # What was paid for is kept, in a folder that nobody else may enter.
        journals = [path for path in holding(stages.root, RESPONSE) if path.name == "journal.jsonl"]
        assert len(journals) == 1
        assert journals[0].parent.stat().st_mode & 0o777 == 0o700
        assert stages.wrong() == []
        main(stages.command(stage))
        assert len(stages.server.requests) == asked + 1  # the one that was under way, twice
        assert stages.wrong() == []
        assert not [path for path in holding(stages.root, RESPONSE) if "work" in path.parts]
    told = capfd.readouterr()
    for text in (REQUEST, RESPONSE):
        assert text not in told.out + told.err
    kept = {path.relative_to(stages.root).parts[0] for path in holding(stages.root, RESPONSE)}
    assert kept == {"results", "store"}
    rows = Artifact.open(stages.responses).table().to_pylist()
    assert len(rows) == 6
    assert all(RESPONSE in row["response"] for row in rows)
    assert Artifact.open(stages.judgements).manifest.sensitive is True


@pytest.mark.parametrize("status", [400, 401, 429, 200])
def test_an_endpoint_that_echoes_what_it_is_asked_is_not_quoted(
    stages: Stages, capfd: pytest.CaptureFixture[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRIES", "PAID_TRIES", "LIMITED_TRIES"):
        monkeypatch.setattr(f"primum.engine.answer.{name}", 1)
    # Pauses are short, and told of all the same.
    monkeypatch.setattr("primum.engine.limiter.LONGEST_PAUSE", 0.01)
    monkeypatch.setattr("primum.engine.openai_engine.TOLD_FROM", 0.0)
    main(stages.command("generate"))

    def echo(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        text = request["messages"][0]["content"]
        error = {"error": {"message": text, "code": text, "type": text, "param": text}}
        send(handler, status, error if status != 200 else text.encode())

    stages.server.reply = echo
    try:
        main(stages.command("judge"))
    except SystemExit as stopped:
        assert stopped.code == 1  # noqa: PT017 - whether it stops is not what is asked here
    told = capfd.readouterr()
    assert stages.wrong() == []
    for text in (REQUEST, RESPONSE):
        assert text not in told.out + told.err + stages.log("judge").read_text()
    if status in (200, 429):
        assert "waiting" in stages.log("judge").read_text()


def test_what_an_exception_says_is_for_the_owner_alone(
    stages: Stages, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(job: Job) -> Iterator[Result]:
        (rows,) = (item.one("responses").table().to_pylist() for item in job.items)
        raise KeyError(rows[0]["response"])
        yield

    main(stages.command("generate"))
    with monkeypatch.context() as patched:
        patched.setattr("primum.judge.stage.run", breaks)
        with pytest.raises(SystemExit):
            main(stages.command("judge"))
    told = capfd.readouterr()
    log = stages.log("judge").read_text()
    assert RESPONSE not in told.out + told.err + log
    # Where it happened is said, and where to read the rest.
    assert "test_canary.py" in log
    assert "in breaks" in log
    assert log.rstrip().endswith("[judge] error: KeyError: see above")
    (kept,) = (path for path in holding(stages.root, RESPONSE) if path.suffix == ".traceback")
    assert str(kept.relative_to(stages.root)) in log
    assert kept.stat().st_mode & 0o777 == 0o600
    assert RESPONSE in kept.read_text()
    assert stages.wrong() == []
    main(stages.command("judge"))
    assert not kept.exists()


def test_a_crash_leaves_no_memory_on_the_disk(stages: Stages) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        main(stages.command("generate"))
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_one_process_of_several_keeps_what_an_exception_says_as_well(
    stages: Stages, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from primum.parallel import worker

    def breaks(job: Job) -> Iterator[Result]:
        raise KeyError(job.items[0].one("responses").table().to_pylist()[0]["response"])
        yield

    main(stages.command("generate"))
    monkeypatch.setattr("primum.prefer.rank.run", breaks)
    monkeypatch.setenv("RANK", "0")
    work = stages.root / "store/work/one"
    item = {
        "name": "one",
        "spec": {},
        "key": "one",
        "work": str(work),
        "inputs": {"responses": [str(stages.responses)]},
    }
    asked = {"stage": "rank", "common": {}, "items": [item], "module": "primum.prefer.rank", "log": None, "devices": {}}
    work.mkdir(parents=True)
    (work / "request.json").write_text(json.dumps(asked | {"error": str(work / "error")}))
    with pytest.raises(SystemExit):
        worker.main(work / "request.json")
    told = capfd.readouterr()
    assert "in breaks" in told.err
    assert RESPONSE not in told.out + told.err
    assert RESPONSE in (work / "0.traceback").read_text()
    assert stages.wrong() == []


def test_where_nothing_is_sensitive_an_exception_is_told_in_full(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(job: Job) -> Iterator[Result]:
        raise KeyError("a key of nobody")
        yield

    spec = {"stage": "read", "code": "c", "libraries": {}, "common": {}, "items": [["a", {}]]}
    request = Request(canonical_json(spec), [Asked(stages.root / "a.json")], {}, "table", Store(stages.root / "store"))
    request.save(stages.root / "read.request")
    monkeypatch.setattr("primum.curate.read.run", breaks)
    with pytest.raises(SystemExit):
        main(stages.command("read"))
    assert "a key of nobody" in stages.log("read").read_text()
