"""Replay, without running anything: crates that are damaged or hostile, plans that differ, and what is taken from a crate."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.folder import file_sha256, folder_files, folder_hash
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.store import Store
from primum.artifact.table import content_hash, write_table
from primum.errors import PrimumError
from primum.reproduce import replay
from primum.reproduce.crate import Recorded, open_crate

RAW = "results/tiny/data/raw/own/manifest.json"
VERDICTS = "results/tiny/judgements/harm.json"
TABLE = "results/tiny/judgements/harm.parquet"


def manifest(kind: Any, stage: str, item: dict[str, Any], content: str, **values: Any) -> Manifest:
    spec = {"stage": stage, "code": "c", "libraries": {}, "common": values.pop("common", {}), "item": item}
    job = json.dumps({"stage": stage, "code": "c", "libraries": {}, "common": spec["common"], "items": [["a", item]]})
    return Manifest(kind, stage, spec, {}, artifact_key(spec, {}), content, {}, job=job, sensitive=False, **values)


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    """A crate with a workflow of one file, a raw file, and the answers of a judge behind an endpoint."""
    folder = tmp_path / "crate"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow/Snakefile").write_text("rule all:\n")
    raw = folder / RAW
    (raw.parent / "data/own").mkdir(parents=True)
    (raw.parent / "data/own/a.csv").write_text("a,b\n")
    files = folder_files(raw.parent)
    item = {"files": [{"path": "data/own/a.csv", "url": None}], "hub": None}
    save_manifest(manifest("folder", "fetch", item, folder_hash(files), files=files), raw)
    answers = folder / VERDICTS
    answers.parent.mkdir(parents=True)
    table = pa.table({"id": ["1"]})
    write_table(table, answers.with_suffix(".parquet"), {})
    paid = {"engine": {"kind": "openai"}}
    save_manifest(manifest("table", "judge", {}, content_hash(table), common=paid), answers)
    (folder / "results/tiny/experiment.json").write_text("{}")
    return listed(folder)


def listed(folder: Path) -> Path:
    """The metadata of all files that are in the crate now."""
    graph = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "ro-crate-metadata.json"):
        name = path.relative_to(folder).as_posix()
        node = {"@id": name, "@type": "File", "sha256": file_sha256(path)}
        about = {"about": {"@id": "#x"}} if name in (RAW, VERDICTS) else {}
        graph.append({**node, **about})
    (folder / "ro-crate-metadata.json").write_text(json.dumps({"@graph": graph}))
    return folder


def test_a_crate_is_read_with_its_manifests(crate: Path) -> None:
    recorded = open_crate(crate)
    assert recorded.name == "tiny"
    assert list(recorded.manifests) == [RAW, VERDICTS]
    assert all(recorded.has_data(path) for path in recorded.manifests)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("workflow/Snakefile", "was changed, or damaged on the way"),
        ("results/tiny/judgements/harm.parquet", "was changed, or damaged on the way"),
        (RAW, "was changed, or damaged on the way"),
    ],
)
def test_one_changed_byte_is_found(crate: Path, path: str, said: str) -> None:
    content = bytearray((crate / path).read_bytes())
    content[len(content) // 2] ^= 1
    (crate / path).write_bytes(content)
    with pytest.raises(PrimumError, match=f"{path}: .*{said}"):
        open_crate(crate)


def test_a_file_that_is_missing_or_a_link_is_found(crate: Path, tmp_path: Path) -> None:
    file = crate / "workflow/Snakefile"
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(PrimumError, match=r"Snakefile: is in the crate's list, and missing"):
        open_crate(crate)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrimumError, match=r"Snakefile: is in the crate's list, and missing"):
        open_crate(crate)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "workflow/../../outside", "file:///etc/passwd", "%2e%2e/outside"]
)
def test_a_path_that_leads_out_of_the_crate_is_refused(crate: Path, name: str) -> None:
    path = crate / "ro-crate-metadata.json"
    metadata = json.loads(path.read_text())
    metadata["@graph"].append({"@id": name, "@type": "File", "sha256": "0" * 64})
    path.write_text(json.dumps(metadata))
    with pytest.raises(PrimumError, match="is not the metadata of a crate of primum"):
        open_crate(crate)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"@graph": []}', '{"@graph": [1]}', '{"@graph": [{"about": 1}]}'])
def test_other_metadata_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(PrimumError, match="cannot be read: name the folder of a crate"):
        open_crate(tmp_path)
    (tmp_path / "ro-crate-metadata.json").write_text(text)
    with pytest.raises(PrimumError, match="export it again"):
        open_crate(tmp_path)


def rewritten(folder: Path, name: str, **fields: Any) -> None:
    save_manifest(replace(load_manifest(folder / name), **fields), folder / name)


def software(folder: Path, version: str) -> None:
    (folder / "workflow/envs").mkdir(exist_ok=True)
    (folder / "workflow/envs/cpu.lock").write_text("numpy==2.0\n")
    properties = [
        {"name": "primum:lock", "value": "cpu.lock"},
        {"name": "primum:lock-sha256", "value": file_sha256(folder / "workflow/envs/cpu.lock")},
    ]
    components = [{"name": "numpy", "version": version, "type": "library"}, {"name": "sft", "type": "data"}]
    text = json.dumps({"metadata": {"properties": properties}, "components": components})
    (folder / "sbom.cdx.json").write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda at: (at / RAW).with_name("data").joinpath("own/a.csv").write_text("a,c\n"),
            "a.csv: is not what its mani",
        ),
        (
            lambda at: write_table(pa.table({"id": ["2"]}), at / TABLE, {}),
            "harm.parquet: is not what its manifest desc",
        ),
        (lambda at: rewritten(at, VERDICTS, job=""), "harm.json: its key or its job is not that of its spec"),
        (lambda at: rewritten(at, RAW, spec={"item": {}}), "manifest.json: its key or its job is not that of its spec"),
        (lambda at: software(at, "1.0"), r"sbom.cdx.json: names other software than workflow/envs/cpu.lock"),
        (lambda at: (at / "sbom.cdx.json").write_text("[]"), "sbom.cdx.json: is no list of software of primum"),
    ],
)
def test_what_was_changed_together_with_the_list_is_found(
    crate: Path, change: Callable[[Path], object], said: str
) -> None:
    software(crate, "2.0")
    assert open_crate(listed(crate)).manifests
    change(crate)
    with pytest.raises(PrimumError, match=said):
        open_crate(listed(crate))


def plan(recorded: Recorded) -> dict[str, dict[str, Any]]:
    return {path: {"spec": each.job, "key": each.key} for path, each in recorded.manifests.items()}


def test_the_first_difference_of_a_plan_is_named(crate: Path) -> None:
    recorded = open_crate(crate)
    planned = plan(recorded)
    assert replay.first_difference(planned, recorded.manifests) == ""
    spec = json.loads(planned[VERDICTS]["spec"])
    spec["common"]["engine"]["kind"] = "vllm"
    other = {**planned, VERDICTS: {**planned[VERDICTS], "spec": json.dumps(spec)}}
    said = replay.first_difference(other, recorded.manifests)
    assert said == f"{VERDICTS}: its job is planned with another spec: common.engine.kind: 'openai' -> 'vllm'"
    other = {**planned, RAW: {**planned[RAW], "key": "f" * 64}}
    had = recorded.manifests[RAW].key[:12]
    assert f"{RAW}: has the key ffffffffffff here, and had {had}" in replay.first_difference(other, recorded.manifests)
    assert "is planned here, and was not recorded" in replay.first_difference(planned, {RAW: recorded.manifests[RAW]})
    assert "was recorded, and is not planned here" in replay.first_difference({RAW: planned[RAW]}, recorded.manifests)


def test_raw_files_and_paid_answers_are_taken_and_nothing_else(
    crate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = open_crate(crate)
    computed = replace(recorded.manifests[VERDICTS], stage="score", key="d" * 64)
    computed.spec["common"] = {"engine": {"kind": "transformers"}}
    more = "results/tiny/judgements/copy.json"
    files = {**recorded.files, more.replace(".json", ".parquet"): "0"}
    # The specs of the two are one object.
    paid = open_crate(crate).manifests[VERDICTS]
    known = Recorded(crate, "tiny", files, {RAW: recorded.manifests[RAW], VERDICTS: paid, more: computed})
    target = tmp_path / "again"
    assert replay._seed(known, target) == {RAW, VERDICTS}
    store = Store(target / "results/.store")
    assert store.find(recorded.manifests[RAW].key)
    assert store.find(paid.key)
    assert store.find("d" * 64) is None
    # The project's own file is where its fetch looks for it, and where a plan takes its checksum.
    assert (target / "data/own/a.csv").read_text() == "a,b\n"
    said = capsys.readouterr().out
    assert f"{VERDICTS}: answers of a model behind an endpoint: those in the crate are taken" in said
    assert "1 sets of raw files and fetched models, 1 of paid answers" in said


def test_what_is_sensitive_stays_its_owners(crate: Path, tmp_path: Path) -> None:
    save_manifest(replace(open_crate(crate).manifests[RAW], sensitive=True), crate / RAW)
    replay._seed(open_crate(listed(crate)), tmp_path / "again")
    copies = list((tmp_path / "again").rglob("a.csv"))
    assert len(copies) == 2  # in the store, and where the plan looks for it
    assert all(path.stat().st_mode & 0o077 == 0 for path in copies)


def test_what_is_lost_is_said_before_anything_runs(
    crate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (crate / "results/tiny/data/raw/own/data/own/a.csv").unlink()
    with pytest.raises(
        PrimumError, match=r"data/own/a.csv has no address, and is neither in the crate nor in the clone"
    ):
        replay.replay(listed(crate), tmp_path / "again", 1, dry_run=False)
    assert not (tmp_path / "again").exists()


def test_a_raw_file_of_the_clone_is_taken_only_if_it_is_the_same(
    crate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    (clone / "config/experiments").mkdir(parents=True)
    (clone / "Snakefile").touch()
    (clone / "data/own").mkdir(parents=True)
    monkeypatch.chdir(clone)
    own = crate / "results/tiny/data/raw/own/data/own/a.csv"
    (clone / "data/own/a.csv").write_text("other\n")
    own.rename(tmp_path / "kept")
    assert [path for path, _, _ in replay._wanting(open_crate(listed(crate)))] == [RAW]
    (tmp_path / "kept").rename(clone / "data/own/a.csv")
    recorded = open_crate(crate)
    assert not list(replay._wanting(recorded))
    assert RAW not in replay._seed(recorded, tmp_path / "again")
    assert (tmp_path / "again/data/own/a.csv").read_text() == "a,b\n"


def test_paid_answers_that_were_left_out_are_not_paid_for_again(
    crate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (crate / VERDICTS).with_suffix(".parquet").unlink()
    with pytest.raises(PrimumError, match="holds answers of a model behind an endpoint, and is not in the crate"):
        replay.replay(listed(crate), tmp_path / "again", 1, dry_run=False)


@pytest.mark.parametrize("dry_run", [True, False])
def test_other_libraries_than_those_of_the_lock_are_one_line(crate: Path, tmp_path: Path, dry_run: bool) -> None:
    recorded = open_crate(crate).manifests[VERDICTS]
    job = json.dumps({**json.loads(recorded.job), "libraries": {"pyarrow": "0.1"}})
    save_manifest(replace(recorded, job=job), crate / VERDICTS)
    with pytest.raises(
        PrimumError, match=r"pyarrow \S+ is installed, the lock says 0.1: .*: pip install -r .*/envs/cpu.lock$"
    ):
        replay.replay(listed(crate), tmp_path / "again", 1, dry_run)
    assert not (tmp_path / "again").exists()


def test_a_workflow_that_cannot_be_planned_leaves_nothing(crate: Path, tmp_path: Path) -> None:
    with pytest.raises(PrimumError):
        replay.replay(crate, tmp_path / "again", 1, dry_run=False)  # its workflow is one line, without a package
    assert not (tmp_path / "again").exists()


def test_a_folder_that_is_in_use_is_refused(crate: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "again/file").touch()
    with pytest.raises(PrimumError, match="is there already: name another folder with --folder"):
        replay.replay(crate, tmp_path / "again", 1, dry_run=False)


def test_a_verdict_is_by_the_content(crate: Path, tmp_path: Path) -> None:
    recorded = open_crate(crate).manifests[VERDICTS]
    path = tmp_path / "made.json"
    assert replay.verdict(recorded, path, False) == "not made"
    save_manifest(recorded, path)
    assert replay.verdict(recorded, path, False) == "same"
    assert replay.verdict(recorded, path, True) == "taken"
    save_manifest(replace(recorded, content="e" * 64), path)
    assert replay.verdict(recorded, path, True) == "different"
