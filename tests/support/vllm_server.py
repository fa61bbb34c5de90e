"""vLLM's own OpenAI-compatible server, on this machine alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 240


@contextmanager
def served_by_vllm(model: Path, name: str, log: Path, max_length: int) -> Iterator[str]:
    """The base address at which the folder ``model`` is served as ``name``, with the key ``local``."""
    from primum.engine.vllm_engine import ENVIRONMENT

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", name, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += [
        "--enforce-eager",
        "--generation-config",
        "vllm",
        "--max-model-len",
        str(max_length),
        "--api-key",
        "local",
    ]
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


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
