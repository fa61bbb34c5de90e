"""An endpoint on this machine with a Batch API in OpenAI's form, which counts what it would be paid for."""

from __future__ import annotations

import email
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from chat_server import completion, on_loopback, send

Record = dict[str, Any]


def upper(text: str) -> tuple[int, Any]:
    return 200, completion(text.upper())


class Lost(Exception):
    """The reply never reaches who asked."""


@dataclass
class BatchServer:
    """Answers a prompt by ``answer``: a status and a body, or None for a request that the batch had no time for.

    Batches end as ``ends`` says in turn, then as ``completed``; ``failed CODE`` is never run. A batch has run when it is looked
    at for the second time. ``before`` and ``after`` are called with the name of each call, before it does anything and before its
    reply is sent; they may raise :class:`Lost`. ``paid`` counts the answers by prompt, ``calls`` the calls.
    """

    answer: Callable[[str], tuple[int, Any] | None] = upper
    ends: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    batches: dict[str, Record] = field(default_factory=dict)
    uploads: list[list[Record]] = field(default_factory=list)
    chats: list[str] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    deletes: bool = True
    url: str = ""

    def handle(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        parts = urlsplit(handler.path).path.removeprefix("/v1/").split("/")
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        name = " ".join([method, parts[0], *(["one"] if len(parts) > 1 else []), *parts[2:]])
        self.keys.add(handler.headers["Authorization"])
        self.calls[name] += 1
        self.before(name)
        status, reply = self._reply(name, parts, handler.headers["Content-Type"] or "", body)
        self.after(name)
        send(handler, status, reply)

    def _reply(self, name: str, parts: list[str], kind: str, body: bytes) -> tuple[int, Any]:
        match name:
            case "POST chat one":
                text = json.loads(body)["messages"][-1]["content"]
                self.chats.append(text)
                return self._run(json.loads(body)) or (503, {})
            case "POST files":
                return 200, self._upload(kind, body)
            case "GET files":
                return 200, _listed([self._file(each) for each in self.files])
            case "GET files one content":
                return (200, self.files[parts[1]][1]) if parts[1] in self.files else (404, {})
            case "DELETE files one":
                if not self.deletes:
                    return 405, {}
                return (200, {"id": parts[1], "deleted": True}) if self.files.pop(parts[1], None) else (404, {})
            case "POST batches":
                return self._create(json.loads(body))
            case "GET batches":
                return 200, _listed(list(reversed(self.batches.values())))
            case "GET batches one" if parts[1] in self.batches:
                return 200, self._look(self.batches[parts[1]])
        return 404, {"error": {"code": "unknown_url"}}

    def _upload(self, kind: str, body: bytes) -> Record:
        message = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        fields = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        assert fields["purpose"].get_payload(decode=True) == b"batch"
        found = self._keep(fields["file"].get_filename(), fields["file"].get_payload(decode=True))
        self.uploads.append([json.loads(line) for line in self.files[found][1].splitlines()])
        return self._file(found)

    def _keep(self, name: str, content: bytes) -> str:
        found = f"file-{self.calls.total()}{'o' * len(self.files)}"
        self.files[found] = (name, content)
        return found

    def _file(self, found: str) -> Record:
        name, content = self.files[found]
        return {"id": found, "object": "file", "filename": name, "bytes": len(content), "purpose": "batch"}

    def _create(self, asked: Record) -> tuple[int, Any]:
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        if asked["input_file_id"] not in self.files:
            return 400, {"error": {"code": "no_file"}}
        batch = {"id": f"batch_{len(self.batches)}", "object": "batch", "status": "in_progress", **asked}
        self.batches[batch["id"]] = batch
        batch["end"] = self.ends.pop(0) if self.ends else "completed"
        return 200, batch

    def _look(self, batch: Record) -> Record:
        if batch["status"] in ("in_progress", "validating") and batch.pop("looked", False):
            batch["status"], _, code = batch["end"].partition(" ")
            if batch["status"] == "failed":
                batch["errors"] = {"object": "list", "data": [{"code": code, "message": "no"}]}
            else:
                self._finish(batch)
        elif batch["status"] == "in_progress":
            batch["looked"] = True
            batch["request_counts"] = {"total": 1, "completed": 0, "failed": 0}
        return batch

    def _finish(self, batch: Record) -> None:
        said: dict[str, list[Record]] = {"output": [], "error": []}
        for line in self.files[batch["input_file_id"]][1].splitlines():
            asked = json.loads(line)
            reply = self._run(asked["body"])
            result: Record = {"id": "r", "custom_id": asked["custom_id"], "response": None, "error": None}
            if reply is None:
                result["error"] = {"code": f"batch_{batch['status']}", "message": "not run"}
            else:
                result["response"] = {"status_code": reply[0], "request_id": "q", "body": reply[1]}
            said["output" if reply and reply[0] == 200 else "error"].append(result)
        for kind, lines in said.items():
            content = b"".join(json.dumps(line).encode() + b"\n" for line in reversed(lines))
            batch[f"{kind}_file_id"] = self._keep(f"{batch['id']}_{kind}.jsonl", content) if lines else None

    def _run(self, asked: Record) -> tuple[int, Any] | None:
        text = asked["messages"][-1]["content"]
        reply = self.answer(text)
        self.paid[text] += bool(reply and reply[0] == 200)
        return reply


def _listed(found: list[Record]) -> Record:
    return {"object": "list", "data": found, "has_more": False}


@contextmanager
def batch_server() -> Iterator[BatchServer]:
    """A running server on this machine, stopped at the end."""
    state, lock = BatchServer(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each body waits 40 ms for its headers to be acknowledged

        def _answer(self) -> None:
            try:
                with lock:
                    state.handle(self, self.command)
            except (Lost, BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_: Any) -> None:
            pass

    with on_loopback(Handler) as state.url:
        yield state
