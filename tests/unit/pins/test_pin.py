"""`primum pin` with the real client, against a hub on this machine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_project
import hub_server
import pytest
from hub_project import CHAT, MODEL
from hub_server import TOKEN, Hub, checksum
from shipped import ROOT

from primum.cli import main
from primum.dag.dag import Dag
from primum.experiment import load_experiment
from primum.hub.lock import LOCK

NAME = "of-a-hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.served() as running:
        hub_server.use(monkeypatch, running.url)
        yield running


@pytest.fixture
def commits(hub: Hub) -> dict[str, str]:
    return hub_project.fill(hub)


@pytest.fixture
def project(tmp_path: Path, commits: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return hub_project.write(tmp_path, hub_project.document(commits))


def refused(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["pin", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_what_has_no_revision_is_pinned_with_what_the_hub_states(
    project: Path, commits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pin", NAME])
    lock = hub_project.locked(project)
    # What is pinned by hand, and what is not used, is not in it; two entries of one repository share a record.
    assert list(lock) == ["datasets/org/chat", "models/org/base"]
    assert lock["datasets/org/chat"] == {
        "commit": commits["chat"],
        "ref": "main",
        "date": "2024-05-06T07:08:09Z",
        "license": "mit",
        "gated": False,
        "files": {name: [checksum(name, content), len(content)] for name, content in sorted(CHAT.items())},
    }
    base = lock["models/org/base"]
    assert (base["commit"], base["gated"]) == (commits["base"], True)
    assert base["files"] == {name: [checksum(name, content), len(content)] for name, content in MODEL.items()}
    out = capsys.readouterr().out
    assert re.search(r"\[1/2\] datasets/org/chat  [0-9a-f]{12}  2024-05-06  mit  2 of 3 files, 0.0 MB", out)
    # 3,001,010 bytes, of five files: neither another program's weights, nor pickled ones.
    assert "5 of 8 files, 3.0 MB" in out
    assert "2 of 2 repositories" in out


def test_a_pin_is_the_revision_of_every_entry_that_has_none(project: Path, commits: dict[str, str]) -> None:
    before = Dag(load_experiment(NAME, project), project, "results")
    by_hand = {job: before.job(*job).spec for job in (("fetch", "pinned-chat"), ("snapshot", "judge"))}
    main(["pin", NAME])
    pinned = load_experiment(NAME, project)
    assert {name: entry.revision for name, entry in pinned.datasets.items()} == {
        **{"chat": commits["chat"], "same-chat": commits["chat"], "pinned-chat": commits["pinned-chat"]},
        **{"unused": "unknown", "exam": None},
    }
    after = Dag(pinned, project, "results")
    # The commit is all that a spec sees of the lock: what is pinned by hand keeps its keys.
    assert {job: after.job(*job).spec for job in by_hand} == by_hand
    assert commits["base"] in after.job("snapshot", "base").spec
    assert checksum("config.json", MODEL["config.json"]).partition(":")[2] not in after.job("snapshot", "base").spec


def test_nothing_moves_until_it_is_asked_for(
    project: Path, hub: Hub, commits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pin", NAME])
    first = (project / LOCK).read_bytes()
    # Only a file that nobody reads has changed of the model, and one of two that are read of the dataset.
    moved = hub.push("dataset", "org/chat", {**CHAT, "data/train-1.json": b"[]"})
    base = hub.push("model", "org/base", {**MODEL, "README.md": b"new"}, gated=True)
    hub.asked.clear()
    main(["pin", NAME])
    assert hub.asked == []
    assert (project / LOCK).read_bytes() == first
    capsys.readouterr()
    assert refused("--check", NAME) == 1
    said = capsys.readouterr()
    assert (
        f"moved: {commits['chat'][:12]} -> {moved[:12]} of 2024-05-06: 1 of the 2 files that are read differ"
        in said.out
    )
    assert f"{base[:12]} of 2024-05-06: what is read of it is the same" in said.out
    assert "2 of 2 repositories are not as pinned" in said.err
    assert (project / LOCK).read_bytes() == first
    # One of them, by the name of any of its entries; then the other by its id.
    main(["pin", NAME, "--update", "datasets.same-chat"])
    assert [hub_project.locked(project)[name]["commit"] for name in ("datasets/org/chat", "models/org/base")] == [
        moved,
        commits["base"],
    ]
    main(["pin", "--update", "org/base", NAME])
    assert hub_project.locked(project)["models/org/base"]["commit"] == base
    capsys.readouterr()
    main(["pin", "--check", NAME])
    assert capsys.readouterr().out.count("as pinned") == 2
    # The order of the lock is that of names, whatever was pinned last.
    assert (project / LOCK).read_text().index("datasets/org/chat") < (project / LOCK).read_text().index(
        "models/org/base"
    )


def test_update_names_an_entry_that_the_lock_pins(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(NAME, "--update", "nothing") == 1
    assert (
        "no such entry; without a revision of their own are: datasets.chat, datasets.same-chat"
        in capsys.readouterr().err
    )
    assert refused(NAME, "--update", "pinned-chat") == 1
    assert "datasets.pinned-chat gives its revision itself" in capsys.readouterr().err
    assert refused(NAME, "--update", "chat", "--check") == 1
    assert "do not go together" in capsys.readouterr().err


def test_without_a_name_all_that_is_in_the_catalogs_is_pinned_and_one_that_is_gone_fails_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused() == 1
    said = capsys.readouterr()
    assert "datasets.unused: org/gone: is not on the hub, or is private" in said.out
    assert "1 of 3 repositories could not be pinned" in said.err
    assert list(hub_project.locked(project)) == ["datasets/org/chat", "models/org/base"]
    # What it says of it at last, too.
    assert refused("--check") == 1
    assert "datasets/org/gone  not pinned: run `primum pin`" in capsys.readouterr().out


def test_a_gated_repository_is_pinned_and_the_page_and_the_variable_are_named(
    project: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gated = f"is gated: ask for access at {hub.url}/org/base, then set HF_TOKEN"
    main(["pin", NAME])
    assert gated in capsys.readouterr().out
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    main(["pin", NAME, "--update", "base"])
    said = capsys.readouterr()
    assert "is gated:" not in said.out
    assert TOKEN not in said.out + said.err + (project / LOCK).read_text()


def test_a_renamed_repository_is_pinned_and_its_new_name_said(
    project: Path, hub: Hub, commits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["dataset", "lab/chats"] = hub.repositories.pop(("dataset", "org/chat"))
    hub.renamed["org/chat"] = "lab/chats"
    main(["pin", NAME])
    assert "was renamed: write lab/chats into datasets.chat, datasets.same-chat" in capsys.readouterr().out
    assert hub_project.locked(project)["datasets/org/chat"]["commit"] == commits["chat"]


def test_a_busy_hub_is_waited_for_as_long_as_it_asks_for(
    project: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited = hub_server.waits(monkeypatch)
    hub.busy, hub.retry_after = 1, 1
    main(["pin", NAME])
    assert waited == [2]  # as asked, and a second more
    assert "the hub is busy: asking again in 2 s" in capsys.readouterr().err
    assert hub.busy == 0
    assert len(hub_project.locked(project)) == 2


def test_a_hub_that_stays_busy_or_asks_for_hours_is_an_error(
    project: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.busy, hub.retry_after = 1000, 7200
    assert refused(NAME) == 1
    assert "the hub is asked too often: run again in 7200 s" in capsys.readouterr().out
    assert len(hub.asked) == 2  # once a repository
    assert not (project / LOCK).exists()


def test_pickled_weights_alone_are_not_pinned_and_the_revision_with_safetensors_is_named(
    project: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    del hub.repositories["model", "org/base"]
    pickled = {"pytorch_model.bin": b"pickled", "config.json": b"{}"}
    hub.push("model", "org/base", pickled)
    assert refused(NAME) == 1
    assert "org/base has pickled weights alone, no safetensors" in (out := capsys.readouterr().out)
    assert "it has no other revision" in out
    hub.push("model", "org/base", {**pickled, "README.md": b"card"}, ref="refs/pr/1")
    assert refused(NAME) == 1
    assert "none of the 1 other revisions looked at has" in capsys.readouterr().out
    commit = hub.push("model", "org/base", {**pickled, "model.safetensors": b"w"}, ref="refs/pr/2")
    assert refused(NAME) == 1
    assert f"refs/pr/2 has: its commit is {commit}" in capsys.readouterr().out
    # Nobody has looked at a pull request: it is named, never taken.
    assert list(hub_project.locked(project)) == ["datasets/org/chat"]


def test_a_dataset_whose_files_are_on_the_parquet_branch_is_pinned_to_it(
    project: Path, hub: Hub, commits: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    branch = "refs/convert/parquet"
    hub.push("dataset", "org/chat", {"load.py": b"pass"})
    assert refused(NAME) == 1
    assert "datasets.chat: org/chat has no file data/train-*.json" in capsys.readouterr().out
    converted = hub.push("dataset", "org/chat", CHAT, ref=branch)
    main(["pin", NAME])
    record = hub_project.locked(project)["datasets/org/chat"]
    assert (record["commit"], record["ref"]) == (converted, branch)
    assert f"from {branch}" in capsys.readouterr().out
    # What has moved is the branch that the pin is of.
    hub.push("dataset", "org/chat", {"load.py": b"pass", "README.md": b"card"})
    main(["pin", "--check", NAME])
    hub.push("dataset", "org/chat", {**CHAT, "more": b""}, ref=branch)
    assert refused("--check", NAME) == 1


def test_without_network_one_line_says_so_at_once(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        hub_server.use(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
    waited = hub_server.waits(monkeypatch)
    assert refused(NAME) == 1
    assert waited == []
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be reached (ConnectError): no network? `primum mirror EXPERIMENT FOLDER`" in error


def test_the_address_and_offline_mode_are_the_client_s_own(project: Path, hub: Hub, commits: dict[str, str]) -> None:
    """In a process of its own, where the variables are set as people set them."""

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        command = [sys.executable, "-m", "primum.cli", "pin", NAME]
        return subprocess.run(command, cwd=project, env=kept | variables, capture_output=True, text=True, check=False)

    done = run(HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert hub.asked == []
    done = run(HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert hub_project.locked(project)["models/org/base"]["commit"] == commits["base"]


def test_the_demo_leaves_nothing_to_a_lock(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("went to the network"))
    before = (ROOT / LOCK).read_bytes()
    main(["pin", "demo"])
    assert "nothing is left to the lock" in capsys.readouterr().out
    assert (ROOT / LOCK).read_bytes() == before
