"""git repositories on this machine, made by git itself and served over HTTP by its own ``git http-backend``.

An experiment names them as ``https://git.example/NAME``: git's own setting ``insteadOf`` leads from there to the server.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ADDRESS = "https://git.example"
DATE = "2024-05-06T07:08:09Z"


def git(*words: str, at: Path, given: bytes = b"") -> str:
    """What git prints, of the bare repository at ``at``, with no settings but these."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    own |= {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own |= {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE}
    done = subprocess.run(["git", f"--git-dir={at}", *words], env=own, input=given, capture_output=True, check=True)
    return done.stdout.decode().strip()


@dataclass
class Server:
    """Serves what is under ``folder``.

    ``dumb``: as files, without git's own protocol. ``old``: git's protocol of before 2018, which gives tips of branches alone.
    The next answers are those of ``statuses``; ``cut`` breaks packs off.
    """

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    dumb: bool = False
    old: bool = False
    cut: bool = False

    def commit(self, name: str, files: Mapping[str, bytes], **others: str) -> str:
        """Make ``files`` all that the repository ``name`` has on its branch; the commit's id.

        ``others`` are more entries of the tree: ``link="120000 target"``, ``module="160000 <commit>"``, ``odd`` of any name.
        """
        at = self.folder / name
        if not at.exists():
            at.mkdir(parents=True)
            git("init", "--quiet", "--bare", "--initial-branch=trunk", str(at), at=at)
            git("config", "http.receivepack", "false", at=at)
        blobs = {
            path: git("hash-object", "-w", "--no-filters", "--stdin", at=at, given=each) for path, each in files.items()
        }
        lines = [f"{'100755' if path.endswith('.sh') else '100644'} {blob}\t{path}" for path, blob in blobs.items()]
        for path, entry in others.items():
            mode, _, what = entry.partition(" ")
            blob = what if mode == "160000" else git("hash-object", "-w", "--stdin", at=at, given=what.encode())
            lines.append(f"{mode} {blob}\t{path}")
        git("read-tree", "--empty", at=at)
        git("update-index", "--index-info", at=at, given="".join(f"{line}\n" for line in lines).encode())
        return self.commit_tree(name, git("write-tree", at=at))

    def commit_tree(self, name: str, tree: str) -> str:
        """Make ``tree`` what the repository has on its branch; the commit's id."""
        at = self.folder / name
        tips = git("for-each-ref", "--format=%(objectname)", "refs/heads/trunk", at=at).split()
        commit = git("commit-tree", "-m", "made", *(word for tip in tips for word in ("-p", tip)), tree, at=at)
        git("update-ref", "refs/heads/trunk", commit, at=at)
        git("update-server-info", at=at)
        return commit


class _Handler(BaseHTTPRequestHandler):
    server_of: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _serve(self) -> None:
        it, split, body = self.server_of, urlsplit(self.path), self._body()
        it.asked.append(f"{self.command} {self.path}")
        if it.statuses:
            self._answer(it.statuses.pop(0), {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        elif it.dumb:
            path = it.folder / split.path.lstrip("/")
            found = path.is_file()
            self._answer(200 if found else 404, {}, path.read_bytes() if found else b"")
        else:
            self._backend(body)

    def _backend(self, body: bytes) -> None:
        it, split = self.server_of, urlsplit(self.path)
        own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        own |= {"GIT_PROJECT_ROOT": str(it.folder), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_ADDR": "127.0.0.1"}
        own |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        own |= {"PATH_INFO": split.path, "QUERY_STRING": split.query, "REQUEST_METHOD": self.command}
        own |= {"CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body))}
        own |= {"HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")}
        if not it.old:
            own["GIT_PROTOCOL"] = self.headers.get("Git-Protocol", "")
        answered = subprocess.run(["git", "http-backend"], env=own, input=body, capture_output=True, check=False).stdout
        head, _, content = answered.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        if it.cut and b"PACK" in content:
            content = content[: content.index(b"PACK") + 20]
        self._answer(int(headers.pop("Status", "200").split()[0]), headers, content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server that runs."""
    folder.mkdir(parents=True, exist_ok=True)
    it = Server(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of": it}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    it.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, settings: Path, url: str, more: str = "") -> None:
    """Make ``url`` what ``https://git.example`` means to git, by the user's settings, written to the file ``settings``."""
    settings.write_text(f'[url "{url}/"]\n\tinsteadOf = {ADDRESS}/\n{more}')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("PRIMUM_MIRROR", raising=False)
