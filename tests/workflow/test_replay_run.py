"""A crate of a run that is really made: valid by its profiles, the same bytes twice, and replayed to the same hashes."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tiny
from crate_contexts import offline, problems
from project import copy_project
from runs import contents
from shipped import ROOT

from primum.cli import main

# One model on one benchmark: no more than makes every kind of entity of a crate.
SMALL = {
    **{key: tiny.TINY[key] for key in ("title", "seed", "catalogs", "benchmarks", "engine")},
    "name": "small",
    "mixtures": {"text": tiny.TINY["mixtures"]["text"]},
    "models": {"base": tiny.TINY["models"]["base"]},
    "evaluate": {"models": ["base"], "benchmarks": ["exam"]},
}


def primum(project: Path, *words: str) -> str:
    """What a command prints that is run in the copy."""
    return tiny.printed(project, [sys.executable, "-m", "primum.cli", *words], fails=False, timeout=600)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the small experiment has run."""
    copy = copy_project(tmp_path_factory.mktemp("replay") / "project")
    shutil.copy(ROOT / "CITATION.cff", copy)
    tiny.write(copy, SMALL)
    tiny.snakemake(copy, experiment="small")
    return copy


@pytest.fixture(scope="module")
def crate(project: Path) -> Path:
    """Its crate with data."""
    folder = project.parent / "crate"
    said = primum(project, "export", "results/small", "--format", "crate", "--with-data", "--output", str(folder))
    assert "Left out" not in said
    return folder


def test_it_is_valid_by_its_profile_and_those_that_it_includes(
    crate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    profile = "provenance-run-crate"
    assert problems(crate, profile, tmp_path / "http") == []
    # What must be there is looked for: without the workflow's language it is not valid.
    broken = tmp_path / "broken"
    shutil.copytree(crate, broken)
    metadata = json.loads((broken / "ro-crate-metadata.json").read_text())
    next(node for node in metadata["@graph"] if node["@id"] == "workflow/Snakefile").pop("programmingLanguage")
    (broken / "ro-crate-metadata.json").write_text(json.dumps(metadata))
    assert any("language" in problem for problem in problems(broken, profile, tmp_path / "http"))


def test_the_same_results_are_the_same_bytes(project: Path, crate: Path) -> None:
    again = project.parent / "again"
    primum(project, "export", "results/small", "--format", "crate", "--with-data", "--output", str(again))
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (crate, again)
    )
    assert one == two


def test_an_action_says_what_was_read_and_made_and_when(project: Path, crate: Path) -> None:
    graph = {node["@id"]: node for node in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    action = graph["#job/score/base"]
    assert action["instrument"] == {"@id": "#stage/score"}
    assert action["result"] == {"@id": "results/small/scores/base/exam.parquet"}
    read = {each["@id"] for each in action["object"]}
    assert {"results/small/models/base/", "results/small/data/rows/demo-usmle-sample-exam.parquet"} <= read
    recorded = json.loads((project / "results/small/scores/base/exam.json").read_text())
    assert action["endTime"].replace("+00:00", "Z") == recorded["run"]["finished"]
    assert action["startTime"] <= action["endTime"]
    assert graph["results/small/scores/base/exam.parquet"]["identifier"] == [
        f"primum:key/{recorded['key']}",
        f"primum:content/{recorded['content']}",
    ]
    raw = graph["results/small/data/raw/demo-corpus/"]
    assert raw["license"] == "Apache-2.0"
    assert graph["#run"]["instrument"] == {"@id": "workflow/Snakefile"}


def test_what_is_damaged_or_of_another_workflow_is_refused_and_nothing_is_written(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    output = tmp_path / "out" / "crate"
    words = ["export", "results/small", "--format", "crate", "--with-data", "--output", str(output)]
    table = project / "results/small/scores/base/exam.parquet"
    whole = table.read_bytes()
    table.unlink()  # its data is a hard link into the store
    table.write_bytes(whole[:-1])
    said = refused(words, capsys)
    assert "scores/base/exam.parquet" in said
    table.write_bytes(whole)
    experiment = project / "config/experiments/small.yaml"
    text = experiment.read_text()
    experiment.write_text(text.replace("learning_rate: 0.001", "learning_rate: 0.002"))
    assert "models/base/manifest.json: was made by other code, settings or versions" in refused(words, capsys)
    experiment.write_text(text)
    assert not list(output.parent.iterdir())
    for more, why in (
        (["--mixture", "text"], "belong to --format dataset"),
        (["--format", "sbom"], "do not belong to --format sbom"),
        (["--format", "hf"], "--with-data belongs to --format crate"),
    ):
        assert why in refused([*words, *more], capsys)
    harmful = [word for word in words if word != "--with-data"]
    assert "needs --with-data" in refused([*harmful, "--include-harmful-text", "i-understand"], capsys)
    assert not list(output.parent.iterdir())


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line with which a command ends in this process."""
    with pytest.raises(SystemExit):
        main(words)
    return capsys.readouterr().err.splitlines()[-1]


def test_a_replay_ends_in_the_same_hashes(project: Path, crate: Path) -> None:
    target = project.parent / "elsewhere"
    said = primum(project, "replay", str(crate), "--folder", str(target), "--cores", "2")
    assert "2 sets of raw files and fetched models, 0 of paid answers" in said
    assert contents(target / "results") == contents(project / "results")
    verdicts = json.loads((target / "replay.json").read_text())["artifacts"]
    # Nothing that a job computes came from the crate.
    assert {path for path, said in verdicts.items() if said == "taken"} == {
        f"results/small/data/raw/{name}/manifest.json" for name in ("demo-corpus", "demo-usmle-sample-exam")
    }
    assert set(verdicts.values()) == {"taken", "same"}
