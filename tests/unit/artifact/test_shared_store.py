"""A store that several processes and users share, on a file system of its own or of another kind: real ones, all of them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Job, Result, execute
from primum.artifact.manifest import Manifest, load_manifest
from primum.artifact.request import Asked, Request
from primum.artifact.store import Store, table_file
from primum.artifact.table import content_hash, read_table, write_table
from primum.errors import PrimumError
from primum.progress import Progress
from primum.upkeep.held import read_store

GROUP, USERS = 54_300, (54_301, 54_302, 54_303)
MEMORY = Path("/dev/shm")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
PROCESSES = multiprocessing.get_context("fork")


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work`` gives in so many processes that begin it at once."""
    begin, answers = PROCESSES.Barrier(count), PROCESSES.SimpleQueue()

    def one(number: int) -> None:
        begin.wait(60)
        answers.put((number, work(number)))

    processes = [PROCESSES.Process(target=one, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * count
    return [answer for _, answer in sorted(answers.get() for _ in processes)]


def asked(results: Path, store: Path, kind: Any = "table", sensitive: bool = False) -> Request:
    spec = {"stage": "test", "code": "c", "libraries": {}, "common": {}, "items": [["one", {"kind": kind}]]}
    path = results / ("one/manifest.json" if kind == "folder" else "one.json")
    return Request(canonical_json(spec), [Asked(path, sensitive=sensitive)], {}, kind, Store(store))


def run(request: Request) -> int:
    """How many artifacts were made and not taken."""
    made = []

    def stage(job: Job) -> Iterator[Result]:
        for item in job.items:
            made.append(item.name)
            if item.spec["kind"] == "table":
                yield Result(item, table=pa.table({"id": ["a"], "v": [1]}))
            else:
                (item.work / "out/in").mkdir(parents=True)
                (item.work / "out/in/file").write_text("content")
                yield Result(item, folder=item.work / "out")

    execute(request, lambda: stage, Progress("test", silent=True))
    return len(made)


def test_processes_that_add_one_key_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    """Without the key's lock, as two users' stores on two machines might: the first stays, and all are told of it."""
    store, key = Store(tmp_path / "store"), "ab" * 32

    def add(number: int) -> str:
        table = pa.table({"id": ["a"], "v": [number]})
        filled = store.new_folder()
        write_table(table, table_file(filled), {})
        return store.add(filled, Manifest("table", "t", {}, {}, key, content_hash(table), {})).content

    contents = together(4, add)
    found = store.find(key)
    assert found is not None
    assert set(contents) == {found.content}
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize("kind", ["table", "folder"])
def test_processes_that_are_asked_for_one_key_at_once_make_it_once(tmp_path: Path, kind: str) -> None:
    assert sum(together(3, lambda number: run(asked(tmp_path / str(number), tmp_path / "store", kind)))) == 1
    contents = {load_manifest(next((tmp_path / str(n)).rglob("*.json"))).content for n in range(3)}
    assert len(contents) == 1


def _be(user: int, umask: int) -> None:
    """This process goes on as ``user``, for good."""
    os.setgroups([GROUP])
    os.setgid(user)
    os.setuid(user)
    os.umask(umask)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that belongs to a group, as on a cluster: what is made in it does, too."""
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o755)
        (root / "store").mkdir()
        os.chown(root / "store", 0, GROUP)
        (root / "store").chmod(0o2775)
        for user in USERS:
            (root / str(user)).mkdir()
            os.chown(root / str(user), user, user)
        yield root
    finally:
        shutil.rmtree(root)


@only_root
@pytest.mark.parametrize("umask", [0o002, 0o022], ids=["usual for groups", "usual"])
@pytest.mark.parametrize("kind", ["table", "folder"])
def test_users_of_one_group_share_a_store(shared: Path, kind: str, umask: int) -> None:
    def make(number: int, store: str = "store") -> int:
        _be(USERS[number], umask)
        return run(asked(shared / str(USERS[number]), shared / store, kind))

    assert sum(together(2, make)) == 1, "both at once"
    assert together(3, make) == [0, 0, 0], "and who comes later"
    for user in USERS:
        found = next((shared / str(user)).rglob("file" if kind == "folder" else "*.parquet"))
        assert found.stat().st_mode & 0o400
        assert (found.stat().st_uid == user) or found.stat().st_nlink > 1, "a copy, or a hard link"
    (entry,) = (shared / "store").glob("[0-9a-f][0-9a-f]/*")
    assert entry.stat().st_gid == GROUP

    # Another key in the same folders of the store, which the other one made.
    def other(number: int) -> int:
        _be(USERS[number], umask)
        key = entry.name[:2] + f"{number}" * 62
        store, table = Store(shared / "store"), pa.table({"id": ["a"]})
        with store.lock(key, lambda: None):
            filled = store.new_folder()
            write_table(table, table_file(filled), {})
            store.add(filled, Manifest("table", "t", {}, {}, key, content_hash(table), {}))
        return os.getuid()

    assert together(3, other) == list(USERS)
    assert len(list(entry.parent.iterdir())) == 4


@only_root
def test_a_store_that_is_not_shared_is_refused_in_one_line(shared: Path) -> None:
    (shared / "store").chmod(0o777)

    def make(number: int) -> str:
        _be(USERS[number], 0o022)
        try:
            with Store(shared / "store").lock("ab" * 32, lambda: None):
                return ""
        except PrimumError as error:
            return str(error)

    said = [together(1, lambda _, n=number: make(n))[0] for number in (0, 1)]  # type: ignore[misc]
    assert said == ["", f"{shared}/store/locks/{'ab' * 32}: is another user's: share the store as docs/safety.md says"]


@only_root
def test_what_is_sensitive_is_made_by_each_user_of_a_group(shared: Path) -> None:
    def make(number: int) -> int:
        _be(USERS[number], 0o002)
        return run(asked(shared / str(USERS[number]), shared / "store", sensitive=True))

    assert [together(1, lambda _, n=number: make(n))[0] for number in (0, 1, 0, 1)] == [1, 1, 0, 0]  # type: ignore[misc]
    entries = list((shared / "store").glob("[0-9a-f][0-9a-f]/*"))
    assert {(entry.stat().st_uid, entry.stat().st_mode & 0o077) for entry in entries} == {
        (user, 0) for user in USERS[:2]
    }


@pytest.mark.parametrize("kind", ["table", "folder"])
def test_a_store_without_hard_links_into_results(tmp_path: Path, kind: str) -> None:
    """Two file systems: what is taken is a copy, whole, and the store's own counts are its own."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        store = Path(folder) / "store"
        assert run(asked(tmp_path / "a", store, kind)) == 1
        assert run(asked(tmp_path / "b", store, kind)) == 0
        for name in "ab":
            found = next((tmp_path / name).rglob("file" if kind == "folder" else "*.parquet"))
            assert found.stat().st_nlink == 1
            if kind == "table":
                assert read_table(found).num_rows == 1
            else:
                assert found.read_text() == "content"
        holdings = read_store(store)
        assert holdings.shared() == 0
        assert holdings.freed(holdings.held) == holdings.size() > 0
