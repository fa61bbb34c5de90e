"""A hub on this machine, as ``huggingface_hub`` knows it: models and datasets, gated, renamed, gone, or too busy to answer.

It speaks what the client asks: what a repository is, its tree page by page, its refs, access, and files by HEAD and GET.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "hf_of_a_test"
DATE = "2024-05-06T07:08:09.000Z"
_LFS = (".parquet", ".safetensors", ".bin")
_PAGE = 3  # entries of a tree in one answer


@dataclass
class Repository:
    """Commits by id, each with its files; ``refs`` names some of them."""

    kind: str
    hub: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    license: str = "mit"


@dataclass
class Hub:
    """``busy`` answers are 429, each asking for ``retry_after`` seconds.

    ``damaged`` paths are served with another last byte, ``cut`` ones broken off, ``slow`` ones at 50 kB/s at most. ``begun`` is
    set when a slow one begins to be sent; ``sent`` are the files that were sent whole.
    """

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    busy: int = 0
    retry_after: int = 0
    damaged: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    begun: threading.Event = field(default_factory=threading.Event)
    sent: list[str] = field(default_factory=list)

    def push(
        self, kind: str, hub: str, files: dict[str, bytes], ref: str = "main", gated: bool = False, license: str = "mit"
    ) -> str:
        """Commit ``files``, all that the repository then has, to ``ref``; the commit's id."""
        repository = self.repositories.setdefault((kind, hub), Repository(kind, hub))
        repository.gated, repository.license = gated, license
        stated = repr(sorted(files.items())) + ref
        commit = hashlib.sha1(stated.encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs[ref] = commit
        return commit

    def fetched(self) -> list[str]:
        """The files that were downloaded, in the order in which they were asked for."""
        return [
            line.partition("/resolve/")[2].partition("/")[2]
            for line in self.asked
            if line.startswith("GET") and "/resolve/" in line
        ]


def checksum(name: str, content: bytes) -> str:
    """A file's checksum as the hub states it."""
    if name.endswith(_LFS):
        return "sha256:" + hashlib.sha256(content).hexdigest()
    return "git-sha1:" + hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        if self.hub.busy:
            self.hub.busy -= 1
            return self._answer(429, b"", {"Retry-After": str(self.hub.retry_after)})
        split = urlsplit(self.path)
        parts = [unquote(part) for part in split.path.strip("/").split("/")]
        api = parts[0] == "api"
        if api:
            kind, parts = parts[1].removesuffix("s"), parts[2:]
        else:
            kind, parts = ("dataset", parts[1:]) if parts[0] == "datasets" else ("model", parts)
        hub, rest = "/".join(parts[:2]), parts[2:]
        if hub in self.hub.renamed:
            return self._answer(307, b"", {"Location": self.path.replace(hub, self.hub.renamed[hub])})
        repository = self.hub.repositories.get((kind, hub))
        if repository is None:  # so does the hub answer to who is not logged in
            return self._error(401, "RepoNotFound")
        what, revision = (rest[0], rest[1] if len(rest) > 1 else "main") if rest else ("revision", "main")
        commit = repository.refs.get(revision, revision)
        if what in ("revision", "tree", "resolve") and commit not in repository.commits:
            return self._error(404, "RevisionNotFound")
        allowed = not repository.gated or self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if what == "resolve":
            return self._file(repository, commit, "/".join(rest[2:]), allowed)
        if what == "auth-check":
            return self._answer(200, b"{}") if allowed else self._error(403, "GatedRepo")
        if what == "refs":
            return self._json(_refs(repository))
        if what == "tree":
            return self._tree(repository.commits[commit], parse_qs(split.query), split.path)
        return self._json(
            {
                "id": hub,
                "sha": commit,
                "lastModified": DATE,
                "gated": "manual" if repository.gated else False,
                "tags": [f"license:{repository.license}"] if repository.license else [],
                "downloads": 0,
                "likes": 0,
                "private": False,
            }
        )

    def _tree(self, files: dict[str, bytes], query: dict[str, list[str]], path: str) -> None:
        recursive = query.get("recursive", ["False"])[0].lower() in ("true", "1")
        entries: list[dict[str, Any]] = []
        for name, content in sorted(files.items()):
            if "/" in name:
                folder = name.partition("/")[0]
                if not any(each["path"] == folder for each in entries):
                    entries.append({"type": "directory", "path": folder, "oid": "0" * 40, "size": 0})
                if not recursive:
                    continue
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, Any] = {"type": "file", "path": name, "oid": blob, "size": len(content)}
            if name.endswith(_LFS):
                sha256 = hashlib.sha256(content).hexdigest()
                entry |= {"oid": "1" * 40, "lfs": {"oid": sha256, "size": len(content), "pointerSize": 134}}
            entries.append(entry)
        start = int(query.get("cursor", ["0"])[0])
        more = {}
        if start + _PAGE < len(entries):
            next_page = f"{self.hub.url}{path}?recursive={recursive}&cursor={start + _PAGE}"
            more = {"Link": f'<{next_page}>; rel="next"'}
        self._json(entries[start : start + _PAGE], more)

    def _file(self, repository: Repository, commit: str, name: str, allowed: bool) -> None:
        if not allowed:
            return self._error(401, "GatedRepo")
        content = repository.commits[commit].get(name)
        if content is None:
            return self._error(404, "EntryNotFound")
        etag = checksum(name, content).partition(":")[2]
        if name in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}
        cut, slow = name in self.hub.cut, name in self.hub.slow
        whole = self._answer(200, content, headers, cut=cut, slow=slow)
        if whole and self.command == "GET":
            self.hub.sent.append(name)
        return None

    def _json(self, content: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _error(self, status: int, code: str) -> None:
        self._answer(status, b"", {"X-Error-Code": code})

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False, slow: bool = False
    ) -> bool:
        """Whether all of it was sent."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            body = body[: len(body) // 2] if cut else body
            piece = 1000 if slow else max(len(body), 1)
            try:
                for start in range(0, len(body), piece):
                    self.wfile.write(body[start : start + piece])
                    if slow:
                        self.hub.begun.set()
                        time.sleep(0.02)
            except ConnectionError:
                return False
            self.close_connection = self.close_connection or cut
        return not cut


def _refs(repository: Repository) -> dict[str, Any]:
    refs: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
    for name, commit in repository.refs.items():
        group = "pullRequests" if "/pr/" in name else "converts" if "/convert/" in name else "branches"
        ref = name if name.startswith("refs/") else f"refs/heads/{name}"
        refs[group].append({"name": name, "ref": ref, "targetCommit": commit})
    return refs


@contextmanager
def served() -> Iterator[Hub]:
    """A hub that runs."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Make ``url`` this process' hub, as HF_ENDPOINT does where it is set before the client is imported. No token is set."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PRIMUM_MIRROR"):
        monkeypatch.delenv(variable, raising=False)


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the project or the hub's client would sleep from now on, in their order: they do not."""
    waited: list[float] = []
    sleep = time.sleep

    def counted(seconds: float) -> None:
        if sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] in ("primum", "huggingface_hub"):
            waited.append(seconds)
        else:  # a thread that an earlier test has left
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", counted)
    return waited
