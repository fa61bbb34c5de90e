"""What people name: an artifact by its name, or by the path of its file, its manifest, its folder or its CSV, from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traced_results import traced_results

from primum.artifact.table import read_table
from primum.cli import main
from primum.errors import PrimumError
from primum.trace.find import find_path, located, named_in, placed


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``results/demo`` in a clone, in which the test is."""
    (tmp_path / "config/experiments").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    for name in ("demo", "other"):
        traced_results(tmp_path / "results" / name)
        (tmp_path / "results" / name / "experiment.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results/demo"


@pytest.mark.parametrize(
    ("here", "given", "folder", "name"),
    [
        (".", "results/demo/scores/sft/exam", "results/demo", "scores/sft/exam"),
        (".", "results/demo/scores/sft/exam.parquet", "results/demo", "scores/sft/exam"),
        (".", "results/demo/tables/benchmarks.csv", "results/demo", "tables/benchmarks"),
        (".", "results/other/models/sft/manifest.json", "results/other", "models/sft"),
        (".", "other/models/sft", "results/other", "models/sft"),
        ("results/demo/scores", "sft/exam.json", "..", "scores/sft/exam"),
        ("results/demo", "models/sft", ".", "models/sft"),
        ("config", "demo/models/sft/", "../results/demo", "models/sft"),
    ],
)
def test_a_path_says_in_which_results_it_lies(
    results: Path, monkeypatch: pytest.MonkeyPatch, here: str, given: str, folder: str, name: str
) -> None:
    monkeypatch.chdir(results.parents[1] / here)
    assert located(given) == (Path(folder), name)


@pytest.mark.parametrize("given", ["", ".", "demo", "scores/sft/exam", "results/demo", "nowhere/at/all", "a\nb/c"])
def test_what_is_no_path_into_results(results: Path, given: str) -> None:
    assert located(given) is None


def test_an_experiment_is_no_artifact_of_the_results_that_one_stands_in(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results)
    assert located("demo") is None


def test_a_path_into_other_results_stays_as_it_is(results: Path) -> None:
    assert named_in(results, "results/demo/scores/sft/exam.json") == "scores/sft/exam"
    assert named_in(results, "results/other/scores/sft/exam.json") == "results/other/scores/sft/exam.json"
    assert named_in(results, "scores/sft/exam") == "scores/sft/exam"


def test_a_name_alone_is_of_the_demo(results: Path) -> None:
    assert find_path("scores/sft/exam") == Path("results/demo/scores/sft/exam.json")
    assert placed("scores/sft/exam.csv") == placed("demo/scores/sft/exam") == (Path("results/demo"), "scores/sft/exam")
    assert placed("models/sft/") == (Path("results/demo"), "models/sft")
    assert placed("scores/sft/exams") is placed("demo") is None
    with pytest.raises(PrimumError, match="no such artifact in results/other; nearest: scores/sft/exam"):
        find_path("other/scores/sft/exams")


def test_each_command_takes_both(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("scores/sft/exam", "results/demo/scores/sft/exam.parquet"):
        main(["show", given, "--rows", "0"])
        assert "stage    score" in capsys.readouterr().out
        main(["uses", given])
        assert capsys.readouterr().out.startswith("scores/sft/exam\n  reaches 1 artifact")
        main(["explain", "demo", given])
        assert capsys.readouterr().out.startswith("scores/sft/exam\n")
    main(["explain", "results/demo/scores/sft/exam.json", "--depth", "0"])
    assert capsys.readouterr().out.startswith("scores/sft/exam\n")
    for given in ("benchmarks", "tables/benchmarks", "results/demo/tables/benchmarks.csv"):
        main(["explain", "demo", given, "--model", "sft", "--benchmark", "exam"])
        assert capsys.readouterr().out.startswith("benchmarks: model sft, benchmark exam\n")


def test_two_artifacts_differ_in_rows_and_in_what_made_them(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["diff", "demo/scores/sft/exam", "demo/scores/base/exam"])
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "of 2 rows that both have differ" in said
    # They are of two models, one of which is trained otherwise.
    assert "models/base: made by the stage sft -> pretrain" in said
    with pytest.raises(SystemExit):
        main(["diff", "demo/scores/sft/exam", "demo/scores/base/exam", "--json"])
    columns = json.loads(capsys.readouterr().out)["columns"]
    # What differs as often stands as in the table, whatever the hash seed.
    order = list(read_table(results / "scores/sft/exam.parquet").column_names)
    assert list(columns) == sorted(columns, key=lambda name: (-columns[name], order.index(name)))
    main(["diff", "scores/sft/exam", "other/scores/sft/exam", "--json"])
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_an_artifact_and_a_run_are_not_compared(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for first, second in (("demo/scores/sft/exam", "demo"), ("demo/scores/sft/exam", "demo/models/sft")):
        with pytest.raises(SystemExit) as ended:
            main(["diff", first, second])
        assert ended.value.code == 2
        assert "primum: error: " in capsys.readouterr().err
