"""`primum pin` and `primum mirror` of git repositories, with the real git, against a server on this machine."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import git_server
import hub_project
import pytest
from git_server import ADDRESS, DATE, Server
from hub_server import checksum
from stage_artifacts import make_job

from primum.cli import main
from primum.curate import fetch
from primum.dag.dag import Dag
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.hub.mirror import MIRROR_VARIABLE

NAME = "of-a-hub"
CHAT = b'[{"instruction": "What is gout?", "input": "", "output": "Crystals."}]'
FILES = {"data/1.json": CHAT, "data/2.json": CHAT.replace(b"gout", b"a rash"), "README.md": b"# chat\n"}
LOCKED = "git/git.example/lab/chat"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with git_server.served(tmp_path / "served") as running:
        git_server.use(monkeypatch, tmp_path / "settings", running.url)
        yield running


@pytest.fixture
def pinned(server: Server) -> str:
    return server.commit("lab/pinned", FILES)


@pytest.fixture
def project(server: Server, tmp_path: Path, pinned: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of two datasets of one repository without a revision, one of another, and a file of it in a third."""
    server.commit("lab/chat", FILES)
    unknown = {"git": f"{ADDRESS}/lab/chat", "revision": "unknown"}
    known = {"git": f"{ADDRESS}/lab/pinned", "revision": pinned}
    document = hub_project.document({"pinned-chat": pinned, "judge": pinned})
    document["datasets"] = {
        "chat": {"adapter": "instruction", "files": [{"path": "data/*.json"}], **unknown},
        "same-chat": {"adapter": "instruction", "files": [{"path": "data/1.json"}], **unknown},
        "pinned-chat": {"adapter": "instruction", "files": [{"path": "data/*.json"}], **known},
        "exam": {"adapter": "usmle", "files": [{"path": "exam/step1.json"}, {"path": "README.md", **known}]},
    }
    training = {"learning_rate": 0.001, "batch": 2, "steps": 4}
    document["models"] = {"base": {"train": "pretrain", "data": "chats", "optimization": training}}
    document["evaluate"] = {"models": ["base"], "benchmarks": ["exam"]}
    root = hub_project.write(tmp_path / "project", document)
    monkeypatch.chdir(root)
    return root


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(list(words))
    said = capsys.readouterr()
    return said.out + said.err


def pin(*words: str) -> None:
    main(["pin", NAME, *words])


def test_what_has_no_revision_is_pinned_with_all_files(
    project: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", NAME])
    assert f"`primum pin {NAME}` resolves them: datasets.chat, datasets.same-chat\n" in capsys.readouterr().out
    before = Dag(load_experiment(NAME, project), project, "r").job("fetch", "exam").plan.outputs[0].spec
    # A spec speaks of git where there is some, so that no other key moved when git became known.
    assert [sorted(file) for file in before["files"]] == [
        ["hub", "path", "revision", "sha256", "url"],
        ["git", "hub", "path", "revision", "sha256", "url"],
    ]
    assert "git" not in before
    pin()
    now = server.commit("lab/other", FILES)  # the same history elsewhere has the same ids
    assert hub_project.locked(project) == {
        LOCKED: {
            **{"commit": now, "ref": "HEAD", "date": DATE, "license": "", "gated": False},
            "files": {name: [checksum(name, each), len(each)] for name, each in sorted(FILES.items())},
        }
    }
    assert re.search(
        rf"\[1/1\] {LOCKED}  {now[:12]}  2024-05-06  no licence stated  2 of 3 files, 0.0 MB\n",
        capsys.readouterr().out,
    )
    experiment = load_experiment(NAME, project)
    assert [experiment.datasets[name].revision for name in ("chat", "same-chat")] == [now, now]
    assert Dag(experiment, project, "r").job("fetch", "exam").plan.outputs[0].spec == before


def test_a_pin_stays_until_it_is_asked_for(project: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    pin()
    first = hub_project.locked(project)
    server.asked.clear()
    pin()
    assert server.asked == []
    pin("--check")
    assert "as pinned" in capsys.readouterr().out
    moved = server.commit("lab/chat", {**FILES, "data/2.json": b"[]"})
    said = refused(capsys, "pin", NAME, "--check")
    assert f"-> {moved[:12]} of 2024-05-06: 1 of the 2 files that are read differ" in said
    assert hub_project.locked(project) == first
    pin("--update", f"{ADDRESS}/lab/chat")
    assert hub_project.locked(project)[LOCKED]["commit"] == moved
    gone = server.commit("lab/chat", {"README.md": b""})
    assert "has no file data/*.json" in refused(capsys, "pin", NAME, "--update", "chat")
    server.commit("lab/chat", {"data/1.json": CHAT}, **{"data/3.json": "120000 1.json"})
    assert "'data/3.json' is a symbolic link" in refused(capsys, "pin", NAME, "--update", "chat")
    assert gone not in json.dumps(hub_project.locked(project))
    shutil.rmtree(server.folder / "lab")
    assert "is not there, or is private" in refused(capsys, "pin", NAME, "--check")


def fetched(project: Path, work: Path) -> dict[str, dict[str, bytes]]:
    dag = Dag(load_experiment(NAME, project), project, "results")
    found = {}
    for name in ("chat", "same-chat", "pinned-chat", "exam"):
        (output,) = dag.job("fetch", name).plan.outputs
        (result,) = fetch.run(make_job(work, {}, {name: (output.spec, {})}))
        folder: Any = result.folder
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found[name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return found


def test_a_mirror_holds_the_files_and_needs_no_git(
    project: Path,
    server: Server,
    tmp_path: Path,
    pinned: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "mirror"
    assert "2 entries have no revision" in refused(capsys, "mirror", NAME, str(folder))
    pin()
    main(["mirror", NAME, str(folder)])
    assert "2 repositories with 5 files" in capsys.readouterr().err
    held = folder / "git/git.example/lab/pinned"
    assert sorted(path.relative_to(held).as_posix() for path in held.rglob("*") if path.is_file()) == [
        f"{pinned}.json",
        *(f"{pinned}/{name}" for name in ("README.md", "data/1.json", "data/2.json")),
    ]
    with monkeypatch.context() as without_git:
        without_git.setenv("PATH", str(tmp_path))
        main(["mirror", NAME, str(folder)])
    (held / pinned / "data/1.json").write_bytes(b"x" * len(CHAT))
    server.asked.clear()
    main(["mirror", NAME, str(folder)])
    assert not list(folder.rglob(".git"))
    assert len(server.asked) == 2  # the files of one repository
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(MIRROR_VARIABLE, str(folder))
    data = {name: FILES[name] for name in ("data/1.json", "data/2.json")}
    assert fetched(project, tmp_path / "work") == {
        **{"chat": data, "same-chat": {"data/1.json": CHAT}, "pinned-chat": data},
        "exam": {"README.md": FILES["README.md"], "exam/step1.json": hub_project.EXAM},
    }
    (held / pinned / "data/1.json").write_bytes(b"x" * len(CHAT))
    shutil.rmtree(tmp_path / "work")
    with pytest.raises(PrimumError, match=r"data/1\.json is damaged: run `primum mirror` again"):
        fetched(project, tmp_path / "work")


def test_a_folder_that_cannot_be_written_is_one_line(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as changed:
        changed.setattr("tempfile.tempdir", str(tmp_path / "file"))
        assert "set TMPDIR to a folder with more room" in refused(capsys, "pin", NAME)
    pin()
    said = refused(capsys, "mirror", NAME, str(tmp_path / "file"))
    assert "cannot be written: Not a directory" in said


def test_a_repository_that_is_gone_is_told_before_any_file_is_added(
    project: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin()
    shutil.move(server.folder / "lab/chat", tmp_path / "away")
    said = refused(capsys, "mirror", NAME, str(tmp_path / "mirror"))
    assert f"datasets.chat: {ADDRESS}/lab/chat: is not there, or is private" in said
    assert "1 of 2 repositories cannot be read: see above; no file was added" in said
    assert not list((tmp_path / "mirror").rglob("*.json"))
    # What git has fetched by then is used when all is well.
    shutil.move(tmp_path / "away", server.folder / "lab/chat")
    server.asked.clear()
    main(["mirror", NAME, str(tmp_path / "mirror")])
    assert not [line for line in server.asked if "lab/pinned" in line]
