"""Two runs side by side: which cells differ and by how much, and the first artifact at which the runs part, with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from recorded import Change, Project, as_it_is, record, with_spec

from primum.artifact.graph import read_graph
from primum.artifact.manifest import Manifest, artifact_key, load_manifest, save_manifest
from primum.artifact.table import file_hash, write_table
from primum.cli import main
from primum.trace.diff import RunDiff, diff, told
from primum.trace.parting import Parting, parting
from primum.trace.rows import Flips, table_diffs


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The tiny experiment, made once in ``results``."""
    project = Project(tmp_path / "project")
    record(project.open())
    return project


def again(project: Project, text: str = "2", change: Change = as_it_is, **given: Any) -> Parting:
    """Where a second run parts from the first, with the content of what is not in the first one's store marked by ``text``."""
    first, second = project.open(), project.open("other")
    (project.root / "other").mkdir()
    (project.root / "other/.store").symlink_to(project.root / "results/.store")
    shutil.copytree(first.dag.results, second.dag.results)
    record(second, text=text, change=change, **given)
    return parting(read_graph(Path(first.dag.results)), read_graph(Path(second.dag.results)), project.root)


def causes(found: Parting) -> list[tuple[str, list[str]]]:
    return [(part.cause.words, part.own) for part in found.parts]


def said(found: Parting) -> str:
    return " ".join(" ".join(told(RunDiff("one", "other", [], found))).split())


def test_equal_runs(project: Project) -> None:
    found = again(project, only_new=True)
    assert found.same
    assert not found.otherwise
    assert said(found) == "one and other are equal: 45 artifacts, 0 tables"


def test_a_setting(project: Project) -> None:
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    found = again(project, only_new=True)
    assert causes(found) == [("models.sft.optimization.steps: 4 -> 5", ["models/sft"])]
    (part,) = found.parts
    assert {"scores/sft/exam", "generations/sft/benign", "tables/benchmarks", "report"} <= set(part.behind)
    assert "models/base" in found.equal


def test_a_raw_file_and_a_setting_of_what_follows(project: Project) -> None:
    (raw,) = [each for each in (project.root / "data/demo").glob("*") if "opengpt" in each.name]
    raw.write_bytes(raw.read_bytes() + b"\n")
    project.edit("config/experiments/tiny.yaml", "steps: 4", "steps: 5")
    found = again(project, only_new=True)
    assert causes(found) == [
        (f"data/demo/{raw.name}: its content changed", ["data/raw/demo-opengpt"]),
        ("models.sft.optimization.steps: 4 -> 5", ["models/sft"]),
    ]


def test_a_library_and_code(project: Project) -> None:
    def change(manifest: Manifest, path: str) -> Manifest:
        if manifest.stage == "score":
            versions = manifest.spec["libraries"] | {"torch": "9.9"}
            modules = manifest.run["modules"] | {"primum.score.masks": "0" * 16}
            manifest = with_spec(libraries=versions, code="new")(manifest, path)
            return replace(manifest, run={**manifest.run, "modules": modules})
        return manifest

    run = project.open()
    torch = json.loads(run.dag.spec("score", "sft"))["libraries"]["torch"]
    found = again(project, stages=("score",), change=change)
    assert causes(found) == [
        ("primum.score.masks: changed", ["scores/sft/exam"]),
        (f"torch: {torch} -> 9.9", ["scores/sft/exam"]),
    ]


def test_what_is_not_deterministic(project: Project) -> None:
    found = again(project, stages=("score",))
    assert causes(found) == [
        ("scores/sft/exam: same question, other content: not deterministic, or edited", ["scores/sft/exam"])
    ]
    assert "they part at scores/sft/exam: same question, other content: not deterministic, or edited" in said(found)


def test_made_otherwise_with_the_same_result(project: Project) -> None:
    found = again(project, stages=("score",), text="", change=with_spec(code="new"))
    assert found.same
    assert list(found.otherwise) == ["scores/sft/exam"]
    assert "1 artifact of equal content made otherwise: the code of score: changed" in said(found)


def test_what_says_that_it_was_made_of_itself(project: Project) -> None:
    found = again(project, only_new=True)
    path = project.root / "other/tiny/models/sft/manifest.json"
    manifest = load_manifest(path)
    save_manifest(replace(manifest, inputs={**manifest.inputs, "model": [manifest.content]}), path)
    graphs = [read_graph(project.root / name / "tiny") for name in ("other", "results")]
    assert parting(graphs[0], graphs[1], project.root).same == found.same


def test_names_that_one_alone_has(project: Project) -> None:
    project.edit("config/experiments/tiny.yaml", "  models:\n  - sft", "  models:\n  - sft\n  - base")
    found = again(project, only_new=True)
    assert "scores/base/exam" in found.only[1]
    assert not found.only[0]
    assert f"; {len(found.only[1])} artifacts only in other" in said(found)


# Tables ---------------------------------------------------------------------------------------------------------------


def save(results: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """A real table artifact."""
    path = results / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.Table.from_pylist(list(rows)), path.with_suffix(".parquet"), {})
    content = file_hash(path.with_suffix(".parquet"))
    spec = {"stage": "x", "code": "c", "libraries": {}, "common": {}, "item": {"name": name}}
    save_manifest(Manifest("table", "x", spec, {}, artifact_key(spec, {}), content, {}), path)


def row(model: str, subject: str, accuracy: float | None, p: float = 0.5) -> dict[str, Any]:
    interval = {"ci_low": 0.4, "ci_high": 0.6} if model == "a" else {"ci_low": None, "ci_high": None}
    return {
        "id": f"{model}{subject}",
        "model": model,
        "benchmark": "exam",
        "subject": subject,
        "accuracy": accuracy,
        "p": p,
        **interval,
    }


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of which the second answers two of four questions otherwise."""
    one, other = tmp_path / "one", tmp_path / "other"
    save(
        one,
        "tables/benchmarks",
        [row("a", "", 0.5), row("a", "x", 0.5), row("a", "y", 0.5), row("b", "", 0.1), row("c", "", 0.2)],
    )
    save(
        other,
        "tables/benchmarks",
        [row("a", "", 0.75), row("a", "x", 0.55), row("a", "y", 0.5, 0.4), row("b", "", None), row("d", "", 1.0)],
    )
    items = [("1", "x", True), ("2", "x", False), ("3", "y", False), ("4", "y", False)]
    for folder, right in ((one, {"1"}), (other, {"2", "3"})):
        scores = [{"id": id_, "subject": subject, "correct": id_ in right} for id_, subject, _ in items]
        save(folder, "scores/a/exam", scores)
    return one, other


def test_cells_by_importance_with_flips(runs: tuple[Path, Path]) -> None:
    (table,) = table_diffs(*map(read_graph, runs))
    assert (table.table, table.rows) == ("benchmarks", 4)
    first, third, second = table.cells  # a whole stands before its parts
    assert (first.names, first.difference, first.inside) == (
        {"model": "a", "benchmark": "exam", "subject": ""},
        0.25,
        False,
    )
    assert first.flips == Flips(4, 2, 1)
    # Inside its interval, and of the subject's own items.
    assert (second.names["subject"], second.inside, second.flips) == ("x", True, Flips(2, 1, 1))
    # No number any more; no interval and no items that both have.
    assert (third.names["model"], third.new, third.difference, third.inside, third.flips) == (
        "b",
        None,
        None,
        None,
        None,
    )
    assert [(each.names["subject"], each.others) for each in table.others] == [("y", ["p"])]
    assert table.only == ([("c", "exam", "")], [("d", "exam", "")])


def test_other_items_are_not_paired(runs: tuple[Path, Path]) -> None:
    save(runs[1], "scores/a/exam", [{"id": "9", "subject": "x", "correct": True}])
    (table,) = table_diffs(*map(read_graph, runs))
    assert {cell.flips for cell in table.cells} == {None}


def test_the_command_and_its_status(
    runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    one, other = map(str, runs)
    main(["diff", one, one])
    assert " ".join(capsys.readouterr().out.split()) == f"{one} and {one} are equal: 2 artifacts, 1 table"
    with pytest.raises(SystemExit) as status:
        main(["diff", one, other])
    assert status.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"{one} and {other}: 3 of 4 cells of benchmarks differ; they part at " in said
    assert "a exam: 0.5 -> 0.75 (+0.25), outside the interval 0.4 to 0.6; of 4 items 2 up, 1 down" in said
    with pytest.raises(SystemExit):
        main(["diff", one, other, "--json", "--tables", "benchmarks"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["tables"]["benchmarks"]["cells"][0]["difference"] == 0.25
    for wrong, message in (
        (["diff", one, "nowhere"], "nowhere: no such folder, and no results of an experiment of that name"),
        (["diff", one, other, "--tables", ","], "argument --tables: names none"),
        (["diff", one, other, "--tables", "safty"], "--tables safty: no such table; there are: benchmarks"),
        (["diff", one, other, "--tables", "safety"], "has no table safety: run `snakemake tables` first"),
    ):
        with pytest.raises(SystemExit) as status:
            main(wrong)
        assert status.value.code == 2
        assert message in capsys.readouterr().err


def test_a_damaged_manifest_is_trouble(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = runs[1] / "scores/a/exam.json"
    path.write_text(path.read_text().replace('"x"', '"y"'))
    with pytest.raises(SystemExit) as status:
        main(["diff", *map(str, runs)])
    assert status.value.code == 2
    assert "exam.json: damaged" in capsys.readouterr().err


# Stores ---------------------------------------------------------------------------------------------------------------


def test_two_stores(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = project.root / "results/.store", tmp_path / "store"
    shutil.copytree(one, other)
    assert not diff(str(one), str(other), project.root, [], False)
    assert " are equal: 45 keys" in capsys.readouterr().out
    paths = sorted(other.glob("??/*/manifest.json"))
    shutil.rmtree(paths[0].parent)
    record_ = json.loads(paths[1].read_text())
    record_.pop("checksum")
    save_manifest(replace(Manifest(**record_), content="0" * 64), paths[1])
    assert diff(str(one), str(other), project.root, [], False)
    said = " ".join(capsys.readouterr().out.split())
    assert f"1 of 44 keys that both have differ in content; 1 only in {one}" in said
    assert "same question, other content: not deterministic, or edited" in said
    assert f"{record_['stage']} {record_['key'][:12]}" in said
