"""The engine for endpoints, asked for a few answers of a server on this machine (:mod:`chat_server`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chat_server import Reply, Server, send

from primum.engine.endpoint import Endpoint
from primum.engine.openai_engine import OpenAIEngine
from primum.engine.protocol import Response
from primum.experiment.types import Sampling
from primum.progress import Progress
from primum.text.rows import Message

KEY = "sk-secret-0123456789abcdef"
GREEDY = Sampling(max_tokens=8)
A = Response("A", "stop", 3, 2)


def engine(server: Server, journal: Path | None = None, concurrency: int = 1) -> OpenAIEngine:
    """With pauses of milliseconds; the key is TEST_KEY's."""
    endpoint = Endpoint("tiny", server.url, "TEST_KEY")
    return OpenAIEngine(endpoint, concurrency, journal, Progress("test"), 5.0, backoff=0.001)


def ask(opened: OpenAIEngine, *texts: str, sampling: Sampling = GREEDY) -> list[Response]:
    return opened.chat([[Message("user", text)] for text in texts], sampling, 0, lambda done, tokens: None)


def reply(status: int, body: Any = b"{}", **headers: str) -> Reply:
    """This status and body, whatever is asked."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler, _: send(handler, status, content, **headers)
