"""Fetching from a server on this machine: checks, errors, and nothing half-written."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage_artifacts import make_job

from primum.curate import fetch
from primum.errors import PrimumError
from primum.hub import patience
from primum.hub.mirror import MIRROR_VARIABLE
from primum.pins.mirror import _bring_file
from primum.pins.wanted import File
from primum.progress import Progress

DATA = b"id,question\n1,What is gout?\n" * 5000
SHA256 = hashlib.sha256(DATA).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - one server a test

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file.csv")
            self.end_headers()
        elif self.path == "/missing" or (self.path == "/busy" and len(self.asked) < 3) or self.path == "/down":
            self.send_error(404 if self.path == "/missing" else 503)
        elif self.path == "/closed" or (self.path == "/limited" and len(self.asked) < 3):
            self.send_response(429)
            self.send_header("Retry-After", "7" if self.path == "/limited" else "7200")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(200)
            if self.path == "/labelled.gz":
                self.send_header("Content-Encoding", "gzip")
                self.end_headers()
                self.wfile.write(gzip.compress(DATA, mtime=0))
                return
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            broken = self.path == "/broken" or (self.path == "/flaky" and len(self.asked) < 3)
            self.wfile.write(DATA[: len(DATA) // 2] if broken else DATA)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=lambda _: None))
    _Handler.asked = []
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def _file(url: str | None, path: str = "a/file.csv", sha256: str | None = SHA256) -> dict[str, str | None]:
    return {"path": path, "url": url, "sha256": sha256, "hub": None, "revision": None}


def _fetch(work: Path, *files: dict[str, str | None], hub: str | None = None) -> Path:
    spec = {"files": list(files), "hub": hub, "revision": "0" * 40 if hub else None}
    result = next(iter(fetch.run(make_job(work, {}, {"d": (spec, {})}))))
    assert result.folder is not None
    assert result.counts == {"files": sum(path.is_file() for path in result.folder.rglob("*"))}
    return result.folder


def _refused(work: Path, *files: dict[str, str | None], hub: str | None = None) -> str:
    """The error's message; nothing may be left in the work folder."""
    with pytest.raises(PrimumError) as caught:
        _fetch(work, *files, hub=hub)
    assert not (work / "work" / "d" / "raw").exists()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", ["file.csv", "moved"])
def test_a_file_is_downloaded_and_checked(tmp_path: Path, server: str, path: str) -> None:
    folder = _fetch(tmp_path, _file(f"{server}/{path}"), _file(f"{server}/{path}", "b.csv"))
    assert (folder / "a/file.csv").read_bytes() == (folder / "b.csv").read_bytes() == DATA


def test_a_packed_file_is_kept_packed_whatever_the_server_calls_it(tmp_path: Path, server: str) -> None:
    packed = gzip.compress(DATA, mtime=0)
    sha256 = hashlib.sha256(packed).hexdigest()
    folder = _fetch(
        tmp_path,
        _file(f"{server}/labelled.gz", "a.csv.gz", sha256),
        _file(f"{server}/labelled.gz", "a.csv"),  # packed for the way alone
    )
    assert (folder / "a.csv.gz").read_bytes() == packed
    assert (folder / "a.csv").read_bytes() == DATA
    packed_file = File("datasets.d", "b.csv.gz", f"{server}/labelled.gz", sha256)
    _bring_file(tmp_path, tmp_path / "mirror", packed_file, Progress("mirror"))
    assert (tmp_path / "mirror/b.csv.gz").read_bytes() == packed


@pytest.mark.parametrize("path", ["flaky", "busy"])
def test_what_may_pass_is_tried_again(tmp_path: Path, server: str, path: str) -> None:
    folder = _fetch(tmp_path, _file(f"{server}/{path}"))
    assert (folder / "a/file.csv").read_bytes() == DATA
    assert len(_Handler.asked) == 3


def test_what_was_left_by_an_earlier_attempt_is_not_kept(tmp_path: Path, server: str) -> None:
    left = tmp_path / "work" / "d" / "raw" / "old.csv"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert not (_fetch(tmp_path, _file(f"{server}/file.csv")) / "old.csv").exists()


def test_a_missing_file_is_asked_for_once(tmp_path: Path, server: str) -> None:
    message = _refused(tmp_path, _file(f"{server}/file.csv"), _file(f"{server}/missing", "b.csv"))
    assert "/missing: HTTP 404" in message
    assert "catalog" in message
    assert _Handler.asked == ["/file.csv", "/missing"]


@pytest.mark.parametrize(("path", "reason"), [("broken", "RemoteProtocolError"), ("down", "HTTP 503")])
def test_a_server_that_stays_broken_is_an_error(tmp_path: Path, server: str, path: str, reason: str) -> None:
    assert reason in _refused(tmp_path, _file(f"{server}/{path}"))
    assert len(_Handler.asked) == 5


def test_a_wrong_checksum_names_the_file_and_both_sums(tmp_path: Path, server: str) -> None:
    message = _refused(tmp_path, _file(f"{server}/file.csv", sha256="0" * 64))
    assert message.startswith("d: a/file.csv has sha256 ")
    assert SHA256[:12] in message
    assert "000000000000" in message


def test_no_network_is_said_at_once_and_mentions_the_mirror(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    waited: list[float] = []
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=waited.append))
    message = _refused(tmp_path, _file(f"http://127.0.0.1:{port}/file.csv"))
    assert "ConnectError" in message
    assert "mirror=FOLDER" in message
    assert waited == []


def test_a_mirror_is_used_instead_of_the_network_and_checked_alike(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "a").mkdir(parents=True)
    (mirror / "a" / "file.csv").write_bytes(DATA)
    monkeypatch.setenv(MIRROR_VARIABLE, str(mirror))
    assert (_fetch(tmp_path, _file(f"{server}/file.csv")) / "a/file.csv").read_bytes() == DATA
    assert "mirror" in _refused(tmp_path, _file(f"{server}/file.csv", "other.csv"))
    assert "mirror" in _refused(tmp_path, _file(f"{server}/file.csv", "a"))
    (mirror / "a" / "file.csv").write_bytes(DATA[:-1])
    assert "expected" in _refused(tmp_path, _file(f"{server}/file.csv"))
    assert _Handler.asked == []


def test_a_busy_server_is_waited_for_as_long_as_it_asks_for_but_not_for_hours(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=waited.append))
    folder = _fetch(tmp_path, _file(f"{server}/limited"))
    assert (folder / "a/file.csv").read_bytes() == DATA
    assert waited == [8, 8]  # as asked, and a second more
    said = "[test] the server is busy, or the connection broke off: asking again in 8 s"
    assert (tmp_path / "log.txt").read_text().splitlines().count(said) == 2
    _Handler.asked = []
    assert "HTTP 429: run again later" in _refused(tmp_path, _file(f"{server}/closed"))
    assert _Handler.asked == ["/closed"]


def test_a_shipped_file_is_copied_and_one_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shipped.csv").write_bytes(DATA)
    assert (_fetch(tmp_path, _file(None, "shipped.csv")) / "shipped.csv").read_bytes() == DATA
    message = _refused(tmp_path, _file(None, "gone.csv"))
    assert "gone.csv" in message
    assert "mirror" not in message
    assert "by hand" in _refused(tmp_path, _file(None, "gone.csv", None))
