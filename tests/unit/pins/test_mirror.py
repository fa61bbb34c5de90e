"""`primum mirror`: a folder from which an experiment's fetch and snapshot run with the network refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hub_project
import hub_server
import pytest
from hub_project import CHAT, EXAM, MODEL, READ
from hub_server import TOKEN, Hub
from shipped import ROOT
from stage_artifacts import make_job

from primum.cli import main
from primum.curate import fetch, snapshot
from primum.dag.dag import STAGES, Dag
from primum.dag.workflow import open_workflow
from primum.errors import PrimumError
from primum.experiment import load_experiment
from primum.hub.mirror import MIRROR_VARIABLE
from primum.pins import mirror as mirroring
from primum.pins.wanted import File, wanted

NAME = "of-a-hub"
WORK = {"fetch": fetch.run, "snapshot": snapshot.run}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.served() as running:
        hub_server.use(monkeypatch, running.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.fixture
def project(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose experiment is pinned."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    root = hub_project.write(tmp_path / "project", hub_project.document(hub_project.fill(hub)))
    main(["pin", NAME])
    return root


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["mirror", *words])
    return capsys.readouterr().err


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> None:
        pytest.fail("went to the network")

    monkeypatch.setattr(socket.socket, "connect", connect)


def fetched(dag: Dag, work: Path) -> dict[str, dict[str, bytes]]:
    """What every job of the target ``fetch`` makes, by its name."""
    found = {}
    for stage in STAGES.values():
        for name in stage.jobs(dag) if stage.target == "fetch" else ():
            (output,) = dag.job(stage.name, name).plan.outputs
            (result,) = WORK[stage.name](make_job(work, {}, {name: (output.spec, {})}))
            assert result.folder is not None
            files = sorted(path for path in result.folder.rglob("*") if path.is_file())
            found[f"{stage.name} {name}"] = {
                path.relative_to(result.folder).as_posix(): path.read_bytes() for path in files
            }
    return found


def test_all_that_an_experiment_reads_comes_from_its_mirror(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mirror"
    main(["mirror", NAME, str(folder)])
    said = capsys.readouterr()
    assert f"{folder} has all that {NAME} reads: --config mirror={folder}" in said.out
    # Two models of 3,001,010 bytes and two datasets with two files of 71 or 73 bytes each; the project's one file.
    assert "4 repositories with 14 files, 6.0 MB, and 1 other files; 0.0 MB of it are there" in said.err
    assert "to fetch: 6.0 MB; free in" in said.err
    # On the cluster: the clone without files that were put in place by hand, no token, and no network.
    shutil.rmtree(project / "exam")
    monkeypatch.delenv("HF_TOKEN")
    no_network(monkeypatch)
    workflow = open_workflow({"experiment": NAME, "mirror": str(folder)}, project)
    monkeypatch.setenv(MIRROR_VARIABLE, str(folder))  # as the line above has set it: now it is unset afterwards
    chat = {name: CHAT[name] for name in CHAT if name.startswith("data/")}
    model = {name: MODEL[name] for name in READ}
    assert fetched(workflow.dag, tmp_path / "of-mirror") == {
        "fetch chat": chat,
        "fetch same-chat": {"data/train-1.json": CHAT["data/train-1.json"]},
        "fetch pinned-chat": chat,
        "fetch exam": {"exam/step1.json": EXAM},
        "snapshot base": model,
        "snapshot judge": model,
    }


def test_a_dataset_may_have_files_of_another_repository(
    project: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = hub_project.fill(hub)
    experiment = hub_project.document(commits)
    more = {"path": "more-*.json", "hub": "org/more", "revision": "unknown"}
    experiment["datasets"]["chat"]["files"] = [{"path": "data/train-*.json"}, more]
    hub_project.write(project, experiment)
    pushed = hub.push("dataset", "org/more", {"more-1.json": b"[]", "less.json": b"[]"})
    main(["check", NAME])
    assert "1 entries have no pinned revision" in (said := capsys.readouterr().out)
    assert said.rstrip().endswith(f"`primum pin {NAME}` resolves them: datasets.chat")
    main(["pin", NAME])
    assert hub_project.locked(project)["datasets/org/more"]["commit"] == pushed
    folder = tmp_path / "mirror"
    main(["mirror", NAME, str(folder), "--datasets-only"])
    no_network(monkeypatch)
    monkeypatch.setenv(MIRROR_VARIABLE, str(folder))
    dag = Dag(load_experiment(NAME, project), project, "results")
    ((_, item),) = json.loads(dag.job("fetch", "chat").spec)["items"]
    (result,) = fetch.run(make_job(tmp_path, {}, {"chat": (item, {})}))
    assert sorted(result.counts.items()) == [("files", 3)]
    assert result.folder is not None
    assert (result.folder / "more-1.json").read_bytes() == b"[]"


def test_a_mirror_changes_no_spec(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mirror"
    main(["mirror", NAME, str(folder)])

    def specs() -> list[str]:
        return [job.spec for job in Dag(load_experiment(NAME, project), project, "results").jobs]

    before = specs()
    monkeypatch.setenv(MIRROR_VARIABLE, str(folder))
    assert specs() == before
    shutil.rmtree(project / "exam")
    assert specs() == before


def test_what_is_whole_is_not_fetched_again_and_what_is_not_is(
    project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mirror"
    hub.damaged.add("tokenizer.model")
    assert "tokenizer.model is not what the hub states of it: run again" in refused(capsys, NAME, str(folder))
    hub.damaged.clear()
    hub.asked.clear()
    main(["mirror", NAME, str(folder)])
    assert hub.fetched().count("tokenizer.model") == 2  # of two models
    assert not [path for path in hub.fetched() if path.startswith("data/")]
    capsys.readouterr()
    hub.asked.clear()
    main(["mirror", NAME, str(folder)])
    assert hub.asked == []  # nothing is missing, and a mirror knows what the hub states
    assert "6.0 MB of it are there, to be verified" in (said := capsys.readouterr().err)
    assert "to fetch: 0.0 MB" in said
    # Another byte, in a file of the same size.
    weights = sorted(folder.rglob("model-00001-of-00002.safetensors"))[0]
    weights.write_bytes(b"\0" * weights.stat().st_size)
    main(["mirror", NAME, str(folder)])
    assert hub.fetched() == ["model-00001-of-00002.safetensors"]
    assert weights.read_bytes() == MODEL[weights.name]
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_datasets_alone(project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mirror"
    main(["mirror", NAME, str(folder), "--datasets-only"])
    assert sorted(path.name for path in folder.iterdir()) == ["datasets", "exam"]
    assert "but for models" in capsys.readouterr().out


def test_entries_without_a_revision_stop_it_before_anything_is_asked(
    project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "config/hub.lock.json").unlink()
    hub.asked.clear()
    error = refused(capsys, NAME, str(tmp_path / "mirror"))
    assert (
        f"3 entries have no revision: run `primum pin {NAME}` first: datasets.chat, datasets.same-chat, models.base"
        in error
    )
    assert hub.asked == []
    assert not (tmp_path / "mirror").exists()


def test_a_full_disk_is_told_before_anything_is_fetched(
    project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=6_000_000))
    assert "6.0 MB are to be fetched, 6.0 MB are free: make room" in refused(capsys, NAME, str(tmp_path / "mirror"))
    assert hub.fetched() == []


def test_a_repository_that_may_not_be_read_stops_it_before_anything_is_fetched(
    project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.repositories.pop(("dataset", "org/chat"))
    error = refused(capsys, NAME, str(tmp_path / "mirror"))
    assert "datasets.chat: org/chat@" in error
    assert f"models.base: org/base: is gated: ask for access at {hub.url}/org/base" in error
    assert "2 of 4 repositories cannot be read: see above; no file was added" in error
    # What neither the lock nor a mirror states is asked for first, and all of it.
    hub.repositories.clear()
    error = refused(capsys, NAME, str(tmp_path / "mirror"))
    assert all(f"{where}: org/" in error for where in ("datasets.pinned-chat", "models.judge"))
    assert "2 of 4 repositories cannot be read: see above; no file was added" in error
    assert hub.fetched() == []


def test_a_file_that_is_neither_on_the_web_nor_in_the_project_is_told_when_all_else_is_there(
    project: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project / "exam")
    folder = tmp_path / "mirror"
    assert "1 files have no address, and are not in the project: put them there" in refused(capsys, NAME, str(folder))
    assert len(hub.fetched()) == 14
    (project / "exam").mkdir()
    (project / "exam/step1.json").write_bytes(EXAM)
    main(["mirror", NAME, str(folder)])
    assert (folder / "exam/step1.json").read_bytes() == EXAM


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/a.csv").write_bytes(b"id\n1\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "web")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_with_addresses_are_mirrored_under_their_paths(
    project: Path, web: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry's address must be https, which a server here cannot serve: the file is put among what the experiment reads."""
    folder = tmp_path / "mirror"
    sha256 = hashlib.sha256(b"id\n1\n").hexdigest()

    def also(*files: File) -> None:
        read = wanted(load_experiment(NAME, project), project)
        monkeypatch.setattr(mirroring, "wanted", lambda *_: replace(read, sources=(), files=files))

    also(
        File("datasets.a", "raw/a.csv", f"{web}/a.csv", sha256), File("datasets.b", "raw/a.csv", f"{web}/a.csv", sha256)
    )
    main(["mirror", NAME, str(folder)])
    assert (folder / "raw/a.csv").read_bytes() == b"id\n1\n"
    assert "0 repositories with 0 files, 0.0 MB, and 1 other files" in capsys.readouterr().err
    (tmp_path / "web/a.csv").write_bytes(b"id\n2\n")
    main(["mirror", NAME, str(folder)])  # whole, and not asked for again
    (folder / "raw/a.csv").write_bytes(b"id")
    assert "datasets.a: raw/a.csv is not what its checksum says" in refused(capsys, NAME, str(folder))
    assert [path.name for path in (folder / "raw").iterdir()] == ["a.csv"]
    also(File("datasets.a", "a", f"{web}/a.csv", sha256), File("datasets.b", "a", f"{web}/b.csv", "0" * 64))
    assert "datasets.b: a is another file than that of datasets.a" in refused(capsys, NAME, str(folder))


def test_every_stage_that_fetches_is_known_to_the_mirror(project: Path) -> None:
    read = wanted(load_experiment(NAME, project), project)
    assert [(source.where, source.kind) for source in read.sources] == [
        *((f"datasets.{name}", "dataset") for name in ("chat", "same-chat", "pinned-chat")),
        *((f"models.{name}", "model") for name in ("base", "judge")),
    ]
    assert [file.path for file in read.files] == ["exam/step1.json"]


def test_a_folder_that_cannot_be_written_is_one_line(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mirror").write_text("a file")
    error = refused(capsys, NAME, str(tmp_path / "mirror"))
    assert "cannot be written" in error.splitlines()[-1]


def test_an_interrupt_ends_a_download_at_its_next_piece(
    project: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C does not wait for files of gigabytes: here for one that takes a minute."""
    hub.slow.add("model-00001-of-00002.safetensors")

    def interrupted(*_: Any, **__: Any) -> None:
        assert hub.begun.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr("primum.hub.transfer.wait", interrupted)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    experiment = hub_project.document(hub_project.fill(hub))
    experiment["evaluate"] = {"models": ["judge"], "benchmarks": ["exam"]}
    hub_project.write(project, experiment)
    with pytest.raises(SystemExit) as caught:
        main(["mirror", NAME, str(tmp_path / "mirror")])
    assert caught.value.code == 130
    assert "model-00001-of-00002.safetensors" in hub.fetched()
    assert "model-00001-of-00002.safetensors" not in hub.sent
    assert not list((tmp_path / "mirror").rglob("model-00001*"))


def test_an_entry_of_several_repositories_is_named_once(tmp_path: Path) -> None:
    for part in ("config", "envs"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("hub.lock.json"))
    with pytest.raises(PrimumError) as error:
        mirroring.mirror(tmp_path, "med42-v2-8b", tmp_path / "mirror", models=True)
    names = str(error.value).rpartition(": ")[2].split(", ")
    assert "datasets.slim-orca-cot" in names
    assert len(set(names)) == len(names)
