"""Commands that need the project find it from wherever they are run, or say where they looked."""

from __future__ import annotations

from pathlib import Path

import pytest

from primum.cli import main
from primum.errors import PrimumError
from primum.project import project_root, results_folder

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "config/experiments/demo.yaml")


@pytest.mark.parametrize(
    "words",
    [["check", "demo"], ["check", "own.yaml"], ["plan"], ["plan", "demo"], ["table4"], ["table4", "--check"]],
    ids=" ".join,
)
def test_outside_a_clone_they_say_where_they_looked(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("name: own\n")
    with pytest.raises(SystemExit) as stopped:
        main(words)
    said = f"{tmp_path}: is in no clone of primum: run this inside one, or give the path of a file in one"
    assert stopped.value.code == 1
    assert capsys.readouterr() == ("", f"primum: error: {said}\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "own.yaml"]


@pytest.mark.parametrize("words", [["check", "demo"], ["plan", "demo"], ["table4", "--check"]], ids=" ".join)
def test_a_folder_in_the_clone_will_do(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PRIMUM_STORE", raising=False)
    monkeypatch.chdir(ROOT)
    main(words)
    at_the_top = capsys.readouterr().out
    monkeypatch.chdir(ROOT / "data/demo")
    main(words)
    assert capsys.readouterr().out.replace("../../results", "results") == at_the_top


@pytest.mark.parametrize("words", [["check", DEMO], ["plan", DEMO]], ids=["check", "plan"])
def test_outside_the_path_of_an_experiment_will_do(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(words)
    assert capsys.readouterr().out.startswith("demo")
    assert list(tmp_path.iterdir()) == []


def test_the_current_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for clone in ("here", "there"):
        (tmp_path / clone / "config/experiments").mkdir(parents=True)
        (tmp_path / clone / "Snakefile").touch()
    there = tmp_path / "there/results/demo"
    monkeypatch.chdir(tmp_path / "here/config")
    assert project_root(there) == tmp_path / "here"
    monkeypatch.chdir(tmp_path)
    assert project_root(None, there) == tmp_path / "there"
    (tmp_path / "there/Snakefile").unlink()
    with pytest.raises(PrimumError, match="is in no clone"):
        project_root(there)


def test_results_are_named_by_their_experiment_or_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    (clone / "config/experiments").mkdir(parents=True)
    (clone / "Snakefile").touch()
    (clone / "results/tiny").mkdir(parents=True)
    (clone / "docs").mkdir()
    monkeypatch.chdir(clone / "docs")
    assert results_folder("tiny") == Path("../results/tiny")
    assert results_folder("../results/none") == Path("../results/none")
    with pytest.raises(PrimumError, match=r"^\.\./results/none: no such results folder: give an experiment"):
        results_folder("none")
    # What lies here goes before what has its name there, if it is one.
    (clone / "docs/tiny").mkdir()
    (clone / "docs/tiny/experiment.json").touch()
    assert results_folder("tiny") == Path("tiny")
