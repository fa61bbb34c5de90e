"""The stages that read a hub, with the real client, against one on this machine and from a mirror."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import pytest
from hub_project import CHAT, MODEL, READ
from hub_server import TOKEN, Hub
from stage_artifacts import make_job

from primum.curate import fetch, snapshot
from primum.errors import PrimumError
from primum.hub.client import ask
from primum.hub.lock import Listing
from primum.hub.locked import write_listing, write_lock
from primum.hub.mirror import MIRROR_VARIABLE

PATTERNS = ("data/train-*.json",)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.chdir(tmp_path)
    with hub_server.served() as running:
        hub_server.use(monkeypatch, running.url)
        yield running


def dataset(work: Path, commit: str, *patterns: str, hub: str = "org/chat") -> Path:
    files = [dict.fromkeys(("url", "sha256", "hub", "revision")) | {"path": path} for path in patterns or PATTERNS]
    job = make_job(work, {}, {"d": ({"files": files, "hub": hub, "revision": commit}, {})})
    result = next(iter(fetch.run(job)))
    assert result.folder is not None
    return result.folder


def model(work: Path, commit: str) -> Path:
    spec = {"hub": "org/base", "revision": commit, "template": None, "fold_system": False}
    result = next(iter(snapshot.run(make_job(work, {}, {"m": (spec, {})}))))
    assert result.folder is not None
    return result.folder


def refused(run: Any, *given: Any, **named: Any) -> str:
    with pytest.raises(PrimumError) as caught:
        run(*given, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def log(work: Path) -> str:
    return (work / "log.txt").read_text()


def test_a_dataset_s_files_are_those_that_its_patterns_mean(hub: Hub, tmp_path: Path) -> None:
    # A star means what it means in a shell: no file of a folder below.
    commit = hub.push("dataset", "org/chat", {**CHAT, "data/train-old/3.json": b"[]"})
    assert content(dataset(tmp_path, commit)) == {name: CHAT[name] for name in CHAT if name.startswith("data/")}
    # Half of what was asked for is not what was asked for.
    assert "datasets.d: org/chat has no file *.csv" in refused(dataset, tmp_path, commit, *PATTERNS, "*.csv")
    assert not (tmp_path / "work/d/raw").exists()


def test_a_model_s_files_are_safetensors_and_what_a_tokenizer_needs(hub: Hub, tmp_path: Path) -> None:
    commit = hub.push("model", "org/base", MODEL)
    assert content(model(tmp_path, commit)) == {name: MODEL[name] for name in READ}
    assert log(tmp_path).count("m: 4/4") == 1  # MB, the last of them begun
    pickled = hub.push("model", "org/base", {"pytorch_model.bin": b"pickled"})
    assert "has pickled weights alone" in refused(model, tmp_path, pickled)


def test_what_an_attempt_brought_is_not_brought_again(hub: Hub, tmp_path: Path) -> None:
    commit = hub.push("model", "org/base", MODEL)
    hub.damaged.add("model-00002-of-00002.safetensors")
    error = refused(model, tmp_path, commit)
    assert f"models.m: org/base@{commit[:12]}: model-00002-of-00002.safetensors is not what the hub states" in error
    assert not (tmp_path / "work/m/model/model-00002-of-00002.safetensors").exists()
    hub.damaged.clear()
    kept = set(content(tmp_path / "work/m/model"))
    hub.asked.clear()
    # A file of the right size with other content is no whole file.
    (tmp_path / "work/m/model/config.json").write_bytes(b"[]")
    assert content(model(tmp_path, commit)) == {name: MODEL[name] for name in READ}
    assert set(hub.fetched()) == set(READ) - kept | {"config.json"}


def test_a_connection_that_breaks_in_a_file_leaves_nothing_of_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_server.waits(monkeypatch)
    commit = hub.push("dataset", "org/chat", CHAT)
    hub.cut.add("data/train-0.json")
    assert "the connection to the hub broke off" in refused(dataset, tmp_path, commit)
    assert not list((tmp_path / "work").rglob("*.json*"))


@pytest.mark.parametrize("locked", [False, True])
def test_errors_by_kind_say_what_is_wrong_and_what_to_do(
    hub: Hub, tmp_path: Path, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.push("model", "org/base", MODEL, gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    if locked:
        write_lock(tmp_path, {("model", "org/base"): ask("here", "model", "org/base", None, print).listing})
    # No more of the token than the client needs.
    assert len(content(model(tmp_path / "allowed", commit))) == len(READ)
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    message = refused(model, tmp_path, commit)
    assert f"is gated: ask for access at {hub.url}/org/base, then set HF_TOKEN" in message
    assert "hf_another" not in message + log(tmp_path)
    assert "has no such revision" in refused(dataset, tmp_path, "0" * 40, hub=_pushed(hub))
    hub.busy, hub.retry_after = 1000, 3600
    assert "asked too often: run again in 3600 s" in refused(model, tmp_path, commit)
    hub.busy = 0
    hub.repositories.clear()
    assert "is not on the hub, or is private" in refused(model, tmp_path, commit)
    hub.asked.clear()
    assert "`primum pin` resolves it" in refused(model, tmp_path, "unknown")
    assert hub.asked == []


def _pushed(hub: Hub) -> str:
    hub.push("dataset", "org/chat", CHAT)
    return "org/chat"


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_renamed_removed_and_gated_repositories_of_both_kinds(
    hub: Hub, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, files, run = ("org/chat", CHAT, dataset) if kind == "dataset" else ("org/base", MODEL, model)
    commit = hub.push(kind, "lab/new", files, gated=True)
    hub.renamed[name] = "lab/new"
    page = f"{hub.url}/datasets/{name}" if kind == "dataset" else f"{hub.url}/{name}"
    assert f": is gated: ask for access at {page}, then set HF_TOKEN" in refused(run, tmp_path, commit)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(content(run(tmp_path, commit))) == (2 if kind == "dataset" else len(READ))
    shutil.rmtree(tmp_path / "work")
    hub.repositories.clear()
    assert "is not on the hub, or is private" in refused(run, tmp_path, commit)


def test_a_hub_that_is_busy_between_files_is_waited_for(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = hub_server.waits(monkeypatch)
    commit = hub.push("dataset", "org/chat", CHAT)
    record = ask("here", "dataset", "org/chat", commit, print).listing
    write_lock(tmp_path, {("dataset", "org/chat"): record})
    hub.busy, hub.retry_after = 2, 0
    assert len(content(dataset(tmp_path, commit))) == 2
    assert "the hub is busy: asking again in 1 s" in log(tmp_path)
    assert waited == [1, 1]


@pytest.mark.parametrize("locked", [False, True])
def test_no_network_is_one_line_at_once(
    hub: Hub, tmp_path: Path, locked: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = hub.push("dataset", "org/chat", CHAT)
    if locked:
        write_lock(tmp_path, {("dataset", "org/chat"): ask("here", "dataset", "org/chat", commit, print).listing})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hub_server.use(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
        waited = hub_server.waits(monkeypatch)
        message = refused(dataset, tmp_path, commit)
    assert waited == []
    assert "no network? `primum mirror EXPERIMENT FOLDER` where there is one, then --config mirror=FOLDER" in message
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub_server.use(monkeypatch, hub.url)
    assert "HF_HUB_OFFLINE is set" in refused(dataset, tmp_path, commit)
    assert capfd.readouterr() == ("", "")


def test_the_lock_s_checksums_hold_for_what_the_hub_gives(hub: Hub, tmp_path: Path) -> None:
    """A hub in between that gives other files for a commit than the one that was asked when it was pinned."""
    commit = hub.push("dataset", "org/chat", CHAT)
    write_lock(tmp_path, {("dataset", "org/chat"): ask("here", "dataset", "org/chat", commit, print).listing})
    hub.repositories["dataset", "org/chat"].commits[commit]["data/train-0.json"] = b"[]"
    assert "data/train-0.json is not what the hub states of it" in refused(dataset, tmp_path, commit)


def test_files_of_two_repositories_do_not_hide_one_another(hub: Hub, tmp_path: Path) -> None:
    one, two = hub.push("dataset", "org/chat", CHAT), hub.push("dataset", "org/more", {"more.json": b"[]", **CHAT})

    def both(pattern: str) -> Path:
        plain = dict.fromkeys(("url", "sha256", "hub", "revision"))
        files = [plain | {"path": PATTERNS[0]}, plain | {"path": pattern, "hub": "org/more", "revision": two}]
        job = make_job(tmp_path, {}, {"d": ({"files": files, "hub": "org/chat", "revision": one}, {})})
        folder = next(iter(fetch.run(job))).folder
        assert folder is not None
        return folder

    assert sorted(content(both("*.json"))) == ["data/train-0.json", "data/train-1.json", "more.json"]
    assert "two of its repositories have files of one name" in refused(both, "data/train-1.json")
    assert not (tmp_path / "work/d/raw").exists()


def mirror_of(folder: Path, record: Listing, files: dict[str, bytes]) -> Path:
    held = folder / f"{record.kind}s" / record.hub / record.commit
    for name, each in files.items():
        (held / name).parent.mkdir(parents=True, exist_ok=True)
        (held / name).write_bytes(each)
    write_listing(held.with_name(f"{record.commit}.json"), record)
    return held


@pytest.mark.parametrize("locked", [False, True])
def test_a_mirror_is_never_passed_by_and_verified_alike(
    hub: Hub, tmp_path: Path, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = tmp_path / "mirror"
    chat, base = hub.push("dataset", "org/chat", CHAT), hub.push("model", "org/base", MODEL)
    records = [ask("here", kind, name, None, print).listing for kind, name in hub.repositories]
    held = [mirror_of(mirror, record, files) for record, files in zip(records, (CHAT, MODEL), strict=True)]
    if locked:
        write_lock(tmp_path, {(record.kind, record.hub): record for record in records})
    monkeypatch.setenv(MIRROR_VARIABLE, str(mirror))
    hub.asked.clear()
    assert content(dataset(tmp_path, chat)) == {name: CHAT[name] for name in CHAT if name.startswith("data/")}
    assert content(model(tmp_path, base)) == {name: MODEL[name] for name in READ}
    # Another commit of the same repository is another folder.
    assert "is not in the mirror" in refused(dataset, tmp_path, "0" * 40)
    (held[0] / "data/train-0.json").write_bytes(CHAT["data/train-1.json"])
    shutil.rmtree(tmp_path / "work")
    assert "data/train-0.json is damaged: run `primum mirror` again" in refused(dataset, tmp_path, chat)
    (held[1] / "config.json").unlink()
    assert "config.json cannot be read (FileNotFoundError): run `primum mirror` again" in refused(model, tmp_path, base)
    assert hub.asked == []
