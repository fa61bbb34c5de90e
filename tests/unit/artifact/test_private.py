"""Sensitive artifacts: their owner's alone from the first byte, marked, and made again by whoever may not read them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.canonical import canonical_json
from primum.artifact.job import Job, Result, Run, execute
from primum.artifact.manifest import load_manifest, save_manifest
from primum.artifact.request import Asked, Request, load_request
from primum.artifact.store import Store
from primum.errors import PrimumError
from primum.progress import Progress

CANARY = "canary-7c1d-of-a-harmful-response"


@pytest.fixture(autouse=True, params=[0o022, 0], ids=["usual", "no"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def asked(root: Path, kind: Any = "table", sensitive: bool = True, value: int = 1) -> Request:
    spec = {"stage": "test", "code": "c", "libraries": {}, "common": {}, "items": [["one", {"value": value}]]}
    name = "results/one/manifest.json" if kind == "folder" else "results/one.json"
    output = Asked(root / name, sensitive=sensitive)
    return Request(canonical_json(spec), [output], {}, kind, Store(root / "store"))


class Stage:
    """Writes a text; with ``looks``, calls it in the middle, when something lies in its work folder."""

    def __init__(self, looks: Any = None) -> None:
        self.made = 0
        self._looks = looks

    def load(self) -> Run:
        return self.run

    def run(self, job: Job) -> Iterator[Result]:
        for item in job.items:
            self.made += 1
            folder = item.work / "raw"
            (folder / "inner").mkdir(parents=True)
            (folder / "inner" / "text").write_text(CANARY)
            if self._looks:
                self._looks(item.work)
            if "folder" in item.spec or "folder" in job.stage:
                yield Result(item, folder=folder)
            else:
                yield Result(item, parts=self._parts(), counts={"rows": 2})

    def _parts(self) -> Iterator[pa.Table]:
        yield pa.table({"id": ["a"], "text": [CANARY]})
        if self._looks:
            self._looks(None)
        yield pa.table({"id": ["b"], "text": [CANARY]})


def run(request: Request, stage: Stage | None = None) -> Stage:
    stage = stage or Stage()
    execute(request, stage.load, Progress("test", silent=True))
    return stage


def is_open(path: Path, root: Path) -> bool:
    """Whether others could read a file: by its own mode, and those of the folders around it up to ``root``."""
    around = [each for each in path.parents if each.is_relative_to(root) and each != root]
    return bool(path.stat().st_mode & 0o044) and all(each.stat().st_mode & 0o011 for each in around)


def holding(root: Path) -> list[Path]:
    """The files that hold the text: in plain words, or as a table."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if path.suffix == ".parquet" or CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", ["table", "folder"])
def test_what_is_sensitive_is_never_open(tmp_path: Path, kind: str) -> None:
    seen: list[Path] = []

    def looks(_: Path | None) -> None:
        found = holding(tmp_path)
        seen.extend(found)
        assert not [path for path in found if is_open(path, tmp_path)]
        # A table's file is closed by itself, too, while it is written.
        assert not [path for path in found if path.suffix == ".parquet" and path.stat().st_mode & 0o077]

    request = asked(tmp_path, kind)
    if kind == "folder":
        request = replace(request, spec=request.spec.replace('"stage":"test"', '"stage":"folder"'))
    run(request, Stage(looks))
    assert seen
    kept = holding(tmp_path)
    assert len(kept) == 2  # in the results, and in the store
    for path in kept:
        assert path.stat().st_mode & 0o777 == 0o600
    assert load_manifest(request.outputs[0].path).sensitive is True
    store = Store(tmp_path / "store")
    entry = store.entry(load_manifest(request.outputs[0].path).key)
    assert entry.stat().st_mode & 0o777 == 0o700
    assert load_manifest(entry / "manifest.json").sensitive is True


def test_what_is_not_is_as_the_umask_has_it(tmp_path: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    request = asked(tmp_path, sensitive=False)
    run(request)
    assert load_manifest(request.outputs[0].path).sensitive is False
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~mask


def test_the_mark_is_in_no_key_and_no_content(tmp_path: Path) -> None:
    manifests = []
    for sensitive in (True, False):
        request = asked(tmp_path / str(sensitive), sensitive=sensitive)
        run(request)
        manifests.append(load_manifest(request.outputs[0].path))
    closed, open_ = manifests
    assert (closed.key, closed.content, closed.spec) == (open_.key, open_.content, open_.spec)


def test_what_was_made_open_is_closed_when_it_is_taken(tmp_path: Path) -> None:
    """By an earlier version, say, whose manifests have no mark; and it stays closed for an experiment that does not care."""
    first = asked(tmp_path, sensitive=False)
    run(first)
    path = first.outputs[0].path
    entry = Store(tmp_path / "store").entry(load_manifest(path).key)
    save_manifest(replace(load_manifest(entry / "manifest.json"), sensitive=None), entry / "manifest.json")
    stage = run(asked(tmp_path))
    assert stage.made == 0
    assert [each.stat().st_mode & 0o777 for each in holding(tmp_path)] == [0o600] * 2
    assert load_manifest(path).sensitive is True
    assert load_manifest(entry / "manifest.json").sensitive is True
    assert run(asked(tmp_path, sensitive=False)).made == 0
    assert load_manifest(path).sensitive is True
    assert entry.stat().st_mode & 0o077 == 0


def test_where_no_hard_link_can_be_the_copy_is_closed_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Path] = []

    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    def copy(source: Path, target: Path) -> None:
        assert target.stat().st_mode & 0o777 == 0o600
        copied.append(target)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(shutil, "copyfile", copy)
    run(asked(tmp_path))
    assert len(copied) == 1
    assert [path.stat().st_mode & 0o777 for path in holding(tmp_path)] == [0o600] * 2


def test_a_request_says_what_is_sensitive(tmp_path: Path) -> None:
    for sensitive in (True, False):
        asked(tmp_path, sensitive=sensitive).save(tmp_path / "request.json")
        assert load_request(tmp_path / "request.json").outputs[0].sensitive is sensitive
    # A job of a run by an earlier version.
    record = json.loads((tmp_path / "request.json").read_text())
    del record["outputs"][0]["sensitive"]
    (tmp_path / "request.json").write_text(json.dumps(record))
    with pytest.raises(PrimumError, match="run snakemake again"):
        load_request(tmp_path / "request.json")


def test_what_failed_leaves_a_closed_work_folder_or_none(tmp_path: Path) -> None:
    def fails(_: Path | None) -> None:
        raise RuntimeError(CANARY)

    with pytest.raises(RuntimeError):
        run(asked(tmp_path), Stage(fails))
    (left,) = holding(tmp_path)
    assert left.is_relative_to(tmp_path / "store/work")
    assert not is_open(left, tmp_path)
    with pytest.raises(PrimumError, match="made nothing"):
        execute(asked(tmp_path / "none"), lambda: lambda job: iter(()), Progress("test", silent=True))
    assert not list((tmp_path / "none/store/work").iterdir())


# Several users of one store ---------------------------------------------------------------------------------------------


def test_an_entry_that_another_user_keeps_for_himself_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(asked(tmp_path))
    key = load_manifest(tmp_path / "results/one.json").key
    entry, work = tmp_path / "store" / key[:2] / key, tmp_path / "store/work" / key
    work.mkdir()
    before = (entry / "data.parquet").stat().st_ino
    monkeypatch.setattr("primum.artifact.store.is_closed", lambda path: path.name == key)
    monkeypatch.setattr("primum.artifact.store.is_own", lambda path: path.name != key)
    works: list[Path | None] = []
    assert run(asked(tmp_path), Stage(works.append)).made == 1
    assert works[0] == work.with_name(f"{key}.{os.geteuid()}")
    assert run(asked(tmp_path)).made == 0
    assert (entry / "data.parquet").stat().st_ino == before
    assert entry.with_name(f"{key}.{os.geteuid()}").is_dir()


@contextmanager
def _as(user: int) -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("kind", ["table", "folder"])
def test_another_user_of_the_store_makes_it_again(kind: str) -> None:
    with tempfile.TemporaryDirectory() as shared:
        root = Path(shared)
        root.chmod(0o777)
        os.umask(0)
        requests = {}
        for user in (1001, 1002):
            folder = root / str(user)
            folder.mkdir(mode=0o777)
            folder.chmod(0o777)
            request = asked(folder, kind)
            if kind == "folder":
                request = replace(request, spec=request.spec.replace('"stage":"test"', '"stage":"folder"'))
            requests[user] = replace(request, store=Store(root / "store"))
        for _ in range(2):
            for user, request in requests.items():
                with _as(user):
                    made = run(request).made
                    assert request.outputs[0].path.exists()
                    assert made == (0 if (root / "done" / str(user)).exists() else 1)
                    (root / "done" / str(user)).mkdir(parents=True, exist_ok=True)
        owners = {path.stat().st_uid for path in holding(root / "store")}
        assert owners == {1001, 1002}
        key = next(path.name for path in (root / "store").glob("[0-9a-f][0-9a-f]/*") if "." not in path.name)
        assert {path.name for path in (root / "store" / key[:2]).iterdir()} == {key, f"{key}.1002"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_what_another_user_left_under_way_is_neither_read_nor_in_the_way() -> None:
    with tempfile.TemporaryDirectory() as shared:
        root = Path(shared)
        root.chmod(0o777)
        os.umask(0)

        def fails(work: Path | None) -> None:
            raise RuntimeError

        with _as(1001), pytest.raises(RuntimeError):
            run(asked(root), Stage(fails))
        with _as(1002):
            works: list[Path | None] = []
            assert run(asked(root), Stage(works.append)).made == 1
            assert works[0] is not None
            assert works[0].name.endswith(".1002")
