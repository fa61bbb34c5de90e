"""The stage fetch on git repositories, with the real git, against servers on this machine and from a mirror."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import git_server
import pytest
from git_server import ADDRESS, Server, git
from stage_artifacts import make_job

from primum.curate import fetch
from primum.errors import PrimumError

NAME = "lab/data"
# Bytes that a checkout would change, by upstream's attributes or the user's settings; and names that git's commands quote.
FILES = {
    "data/a.csv": b"id,text\r\n1,one\r\n",
    "data/b b.csv": b"id,text\n2,$Id$ $Format:%H$\n",
    "data/\u00e9.csv": b"\xff\x00\r\n\n",
    "data/empty.csv": b"",
    "data/large.csv": b"0123456789abcdef" * 150_000,  # several pieces of a pipe
    "data/run.sh": b"#!/bin/sh\n",
    "data/deep/c.csv": b"id\n",
    ".gitattributes": b"* text=auto eol=crlf ident export-subst working-tree-encoding=UTF-16\n*.csv filter=lfs\n",
    "README.md": b"# data\n",
}
READ = {name: FILES[name] for name in FILES if name.endswith(".csv") and name.count("/") == 1}
CHANGING = "[core]\n\tautocrlf = true\n\teol = crlf\n\tattributesFile = /dev/null\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.chdir(tmp_path)
    with git_server.served(tmp_path / "served") as running:
        git_server.use(monkeypatch, tmp_path / "settings", running.url, CHANGING)
        yield running


def dataset(work: Path, commit: str, *patterns: str, name: str = NAME) -> Path:
    files = [
        dict.fromkeys(("url", "sha256", "hub", "revision")) | {"path": path} for path in patterns or ["data/*.csv"]
    ]
    spec = {"files": files, "hub": None, "git": f"{ADDRESS}/{name}", "revision": commit}
    result = next(iter(fetch.run(make_job(work, {}, {"d": (spec, {})}))))
    assert result.folder is not None
    assert result.counts == {"files": sum(path.is_file() for path in result.folder.rglob("*"))}
    return result.folder


def refused(work: Path, *given: str, **named: str) -> str:
    with pytest.raises(PrimumError) as caught:
        dataset(work, *given, **named)
    assert "\n" not in str(caught.value)
    assert not (work / "work/d/raw").exists()
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["new", "old", "dumb"])
def test_files_are_the_commit_s_to_the_byte_whatever_the_server(server: Server, tmp_path: Path, kind: str) -> None:
    commit = server.commit(NAME, FILES)
    server.commit(NAME, {"data/a.csv": b"moved on"})
    server.old, server.dumb = kind == "old", kind == "dumb"
    folder = dataset(tmp_path, commit)
    assert content(folder) == READ
    assert not any(os.access(folder / name, os.X_OK) for name in READ)
    # A commit is asked for by its id first, which is all where the server gives it so.
    asked = [sum(line.startswith(method) for line in server.asked) for method in ("GET", "POST")]
    assert kind == "dumb" or asked == {"new": [1, 1], "old": [2, 1]}[kind]


def test_nothing_of_the_user_s_machine_has_a_say(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks of theirs do not run, and a repository in whose hook this runs is not touched."""
    commit = server.commit(NAME, FILES)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    git_server.use(monkeypatch, tmp_path / "settings", server.url, f"[core]\n\thooksPath = {hooks}\n{CHANGING}")
    other = tmp_path / "other"
    other.mkdir()
    git("init", "--quiet", "--bare", str(other), at=other)
    before = content(other)
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / "objects"))
    assert content(dataset(tmp_path, commit)) == READ
    assert content(other) == before
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_is_not_taken_for_one(server: Server, tmp_path: Path) -> None:
    link = server.commit("l", {"data/a.csv": b""}, **{"data/b.csv": "120000 /etc/passwd", "away": "120000 /tmp"})
    assert content(dataset(tmp_path, link, "data/a.csv", name="l")) == {"data/a.csv": b""}
    assert f"datasets.d: {ADDRESS}/l@{link[:12]}: 'data/b.csv' is a symbolic link" in refused(tmp_path, link, name="l")
    assert "has no file away/*" in refused(tmp_path, link, "away/*", name="l")
    module = server.commit("m", {"a.csv": b""}, **{"data": f"160000 {'1' * 40}"})
    assert "'data' is a submodule, which is not fetched" in refused(tmp_path, module, "*", name="m")
    newline = server.commit("n", {}, **{'"data/a\\nb.csv"': "100644 x"})
    assert r"'data/a\nb.csv' is a name that no file here may have" in refused(tmp_path, newline, name="n")
    # No git writes such a tree: a server that means harm does.
    blob = bytes.fromhex(git("hash-object", "-w", "--stdin", at=server.folder / "n", given=b"harm"))
    tree = git(
        *("hash-object", "-t", "tree", "-w", "--stdin", "--literally"),
        at=server.folder / "n",
        given=b"100644 ../../../../harm.csv\0" + blob,
    )
    assert "has no file" in refused(tmp_path, server.commit_tree("n", tree), name="n")
    assert "is a name that no file here may have" in refused(
        tmp_path, server.commit_tree("n", tree), "../../../../*", name="n"
    )
    assert not list(tmp_path.rglob("harm.csv"))


def test_a_pointer_of_git_lfs_is_not_taken_for_the_file(server: Server, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    commit = server.commit(NAME, {"data/a.csv": b"id\n", "data/b.csv": pointer})
    assert "data/b.csv is a pointer of Git LFS" in refused(tmp_path, commit)
    assert content(dataset(tmp_path, commit, "data/a.csv")) == {"data/a.csv": b"id\n"}


def test_errors_by_kind_say_what_is_wrong_and_what_to_do(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = server.commit(NAME, FILES)
    at = f"datasets.d: {ADDRESS}/{NAME}@"
    assert "has no file *.csv" in refused(tmp_path, commit, "data/*.csv", "*.csv")
    for old in (False, True):
        server.old = old
        assert f"{at}{'1' * 12}: the repository has no such commit" in refused(tmp_path, "1" * 40)
        tree = git("rev-parse", f"{commit}^{{tree}}", at=server.folder / NAME)
        assert "the repository has no such commit" in refused(tmp_path, tree)
    assert "is not there, or is private" in refused(tmp_path, commit, name="lab/gone")
    server.statuses = [401]  # as a private one, and on GitHub one that is not there: no password is asked for
    assert "is not there, or is private" in refused(tmp_path, commit)
    server.statuses = [418]
    assert f"{at}{commit[:12]}: git cannot read it" in refused(tmp_path, commit)
    assert "`primum pin` resolves it" in refused(tmp_path, "unknown")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        token = f"http://me:hf_secret@127.0.0.1:{closed.getsockname()[1]}"
        git_server.use(monkeypatch, tmp_path / "settings", token)
        message = refused(tmp_path, commit)
    assert f"{at}{commit[:12]}: cannot be reached: no network? `primum mirror EXPERIMENT FOLDER`" in message
    assert "secret" not in message + (tmp_path / "log.txt").read_text()
    git_server.use(monkeypatch, tmp_path / "settings", f"ext::sh -c 'touch {tmp_path}/ran' #")
    assert "git cannot read it" in refused(tmp_path, commit)
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install git, or give --config mirror=FOLDER" in refused(tmp_path, commit)
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_busy_or_breaks_off_is_asked_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("primum.hub.patience.time", SimpleNamespace(sleep=waited.append))
    commit = server.commit(NAME, FILES)
    server.statuses = [503, 429]
    assert content(dataset(tmp_path, commit)) == READ
    assert waited == [1, 2]
    assert "asking again in 2 s" in (tmp_path / "log.txt").read_text()
    server.cut = True
    shutil.rmtree(tmp_path / "work")
    assert "the connection to it broke off, or it is busy: run again" in refused(tmp_path, commit)
    assert waited[2:] == [1, 2, 4, 8]


def test_an_interrupt_leaves_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = server.commit(NAME, FILES)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("primum.progress.Progress.update", interrupted)  # as git begins to receive
    with pytest.raises(KeyboardInterrupt):
        dataset(tmp_path, commit)
    assert not (tmp_path / "work/d/raw").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


LARGE = {"a.csv": random.Random(0).randbytes(2_000_000)}  # which does not compress


def test_a_disk_that_is_full(server: Server, small_disk: Path) -> None:
    commit = server.commit("large", LARGE)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        dataset(small_disk, commit, "a.csv", name="large")
    assert not (small_disk / "work/d/raw").exists()


def test_a_file_that_cannot_grow(server: Server, tmp_path: Path) -> None:
    commit = server.commit("large", LARGE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            dataset(tmp_path, commit, "a.csv", name="large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "work/d/raw").exists()


def test_a_dataset_may_have_files_of_several_repositories(server: Server, tmp_path: Path) -> None:
    one, two = server.commit(NAME, FILES), server.commit("more", {"more.csv": b"id\n", **FILES})

    def both(pattern: str) -> Path:
        plain: dict[str, Any] = dict.fromkeys(("url", "sha256", "hub", "revision"))
        files = [plain | {"path": "data/a.csv"}, plain | {"path": pattern, "git": f"{ADDRESS}/more", "revision": two}]
        spec = {"files": files, "hub": None, "git": f"{ADDRESS}/{NAME}", "revision": one}
        folder = next(iter(fetch.run(make_job(tmp_path, {}, {"d": (spec, {})})))).folder
        assert folder is not None
        return folder

    assert content(both("*.csv")) == {"data/a.csv": FILES["data/a.csv"], "more.csv": b"id\n"}
    with pytest.raises(PrimumError, match="two of its repositories have files of one name"):
        both("data/a.csv")
