"""What was made of what, by the manifests of a results folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from primum.artifact.graph import manifest_paths, read_graph
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.store import Store, table_file
from primum.artifact.table import write_table
from primum.errors import PrimumError


def _put(path: Path, value: int, spec: str, inputs: dict[str, list[Manifest]]) -> Manifest:
    """A table of one number under ``path`` (its manifest), made of ``inputs``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = write_table(pa.table({"id": ["0"], "n": [value]}), path.with_suffix(".parquet"), {})
    asked, contents = {"item": spec}, {role: [each.content for each in of] for role, of in inputs.items()}
    keys = {role: [each.key for each in of] for role, of in inputs.items()}
    key = artifact_key(asked, contents)
    manifest = Manifest("table", spec, asked, contents, key, content, {}, run={"input_keys": keys})
    save_manifest(manifest, path)
    return manifest


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """raw -> two equal rows under different keys -> a score of each."""
    folder = tmp_path / "results" / "tiny"
    raw = _put(folder / "data" / "raw.json", 1, "raw", {})
    first = _put(folder / "data" / "rows" / "a.json", 2, "rows a", {"raw": [raw]})
    second = _put(folder / "data" / "rows" / "b.json", 2, "rows b", {"raw": [raw]})
    _put(folder / "scores" / "a.json", 3, "score a", {"rows": [first]})
    _put(folder / "scores" / "b.json", 4, "score b", {"rows": [second]})
    for other in (
        "requests/score.json",
        "logs/score.json",
        "benchmarks/x.json",
        "experiment.json",
        "verification.json",
        ".hidden.json",
    ):
        (folder / other).parent.mkdir(exist_ok=True)
        (folder / other).write_text("{}")
    return folder


def test_artifacts_are_found_and_what_a_run_writes_beside_them_is_none(results: Path) -> None:
    graph = read_graph(results)
    names = [graph.name(artifact) for artifact in graph.artifacts]
    assert names == ["data/raw", "data/rows/a", "data/rows/b", "scores/a", "scores/b"]
    assert not graph.unreadable


def test_an_input_is_found_by_its_key_where_two_have_its_content(results: Path) -> None:
    graph = read_graph(results)
    by_name = {graph.name(artifact): artifact for artifact in graph.artifacts}
    (read,) = graph.inputs(by_name["scores/b"])
    assert read.artifact == by_name["data/rows/b"]
    # Whoever reads the content of one reads that of the other: a change of either reaches both.
    assert graph.readers(by_name["data/rows/a"]) == [by_name["scores/a"], by_name["scores/b"]]
    assert graph.readers(by_name["data/raw"]) == [by_name["data/rows/a"], by_name["data/rows/b"]]


def test_a_lost_input_is_told_by_another_of_its_content_or_by_the_store(results: Path) -> None:
    (results / "data" / "rows" / "b.json").unlink()
    graph = read_graph(results)
    by_name = {graph.name(artifact): artifact for artifact in graph.artifacts}
    assert graph.inputs(by_name["scores/b"])[0].artifact == by_name["data/rows/a"]

    store = Store(results.parent / ".store")
    raw = by_name["data/raw"].manifest
    filled = store.new_folder()
    write_table(by_name["data/raw"].table(), table_file(filled), {})
    store.add(filled, raw)
    (results / "data" / "raw.json").unlink()
    graph = read_graph(results)
    rows = next(each for each in graph.artifacts if graph.name(each) == "data/rows/a")
    (read,) = graph.inputs(rows)
    assert (read.artifact, read.stored) == (None, raw)


def test_a_damaged_manifest_is_listed_and_hides_nothing_else(results: Path) -> None:
    path = results / "scores" / "a.json"
    path.write_text(path.read_text().replace("score a", "score c"))
    graph = read_graph(results)
    assert list(graph.unreadable) == [path]
    assert "damaged" in graph.unreadable[path]
    assert len(graph.artifacts) == 4


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PrimumError, match="no such results folder"):
        list(manifest_paths(tmp_path / "none"))


def test_of_a_folder_without_artifacts_nothing_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "requests").mkdir()
    with pytest.raises(PrimumError, match="has no artifact: it is no results folder, or nothing was made yet"):
        read_graph(tmp_path)


def test_a_folder_of_results_folders_is_none(results: Path) -> None:
    (results / "experiment.json").write_text("{}")
    with pytest.raises(PrimumError, match=r"holds the results of experiments: name one, such as .*tiny"):
        read_graph(results.parent)
    assert read_graph(results).artifacts


def test_the_store_is_beside_the_folder_however_that_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    (results.parent / ".store").mkdir()
    monkeypatch.chdir(results / "scores")
    for named in ("..", "../", "../../tiny", str(results)):
        store = read_graph(Path(named)).store
        assert store is not None, named
    monkeypatch.chdir(results)
    store = read_graph(Path()).store
    assert store is not None
    assert store.root.samefile(results.parent / ".store")


@pytest.mark.parametrize(
    "run",
    [
        {"seconds": "a minute"},
        {"seconds": None},
        {"finished": 7},
        {"finished": "yesterday"},
        {"adopted": ["yes"]},
        {"adopted": [{"by": "ann", "at": "2026-01-02"}]},
        {"input_keys": "none"},
        {"input_keys": {"rows": []}},
        {"modules": ["primum"]},
        {"gpus": "two"},
        {"commit": 3},
        {"cost": 3},
    ],
)
def test_a_history_that_no_job_writes_is_damage(results: Path, run: dict[str, Any]) -> None:
    """Its checksum fits: somebody wrote it with the project's own means."""
    path = results / "scores" / "a.json"
    manifest = load_manifest(path)
    assert manifest.inputs["rows"], "there is an input whose key can be missing"
    save_manifest(replace(manifest, run={**manifest.run, **run}), path)
    graph = read_graph(results)
    (name,) = run
    assert list(graph.unreadable.values()) == [
        f"{path}: damaged: its {name!r} under 'run' is none that a job writes: delete it and run again"
    ]
