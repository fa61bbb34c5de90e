"""``primum uses``: what an artifact or a raw file reaches, and how far away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traced_results import Made, traced_results

from primum.artifact.graph import read_graph
from primum.cli import main
from primum.trace.find import find_artifacts
from primum.trace.uses import Reach, described, lines, reach


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return traced_results(tmp_path / "results" / "tiny")


def _reached(made: Made, what: str) -> Reach:
    graph = read_graph(made.results)
    return reach(graph, find_artifacts(graph, what))


@pytest.mark.parametrize("what", ["data/raw/exam", "data/raw/exam/data/own/exam.jsonl", "data/own/exam.jsonl"])
def test_a_raw_file_reaches_the_numbers_of_its_benchmark(made: Made, what: str) -> None:
    reached = _reached(made, what)
    assert reached.starts == ["data/raw/exam"]
    assert [(each.name, each.distance) for each in reached.artifacts] == [
        ("data/rows/exam", 1),
        ("scores/base/exam", 2),
        ("scores/sft/exam", 2),
        ("tables/benchmarks", 3),
    ]
    (cells,) = reached.cells
    assert (cells.rows, cells.distance, cells.way, cells.change) == (3, 3, ("read", "score", "tables"), False)
    assert described(cells) == "base, sft x exam x heart"


def test_by_its_sha256_it_reaches_the_same(made: Made) -> None:
    sha256 = made.by_name["data/raw/exam"].files["data/own/exam.jsonl"]
    assert _reached(made, sha256) == _reached(made, "data/raw/exam")
    assert _reached(made, made.by_name["data/raw/exam"].key[:10]) == _reached(made, "data/raw/exam")


def test_the_nearest_way_counts_and_every_model_below_is_reached(made: Made) -> None:
    reached = _reached(made, "data/raw/corpus")
    assert [(each.rows, each.distance, each.way[-3:], list(each.names["model"])) for each in reached.cells] == [
        (1, 5, ("pretrain", "score", "tables"), ["base"]),
        # Its start's score is as near as its own would be, and its own counts: packed from the mixture itself.
        (2, 5, ("sft", "score", "tables"), ["sft"]),
    ]


def test_a_score_reaches_the_change_of_what_started_from_its_model(made: Made) -> None:
    reached = _reached(made, "scores/base/exam")
    assert [(each.change, list(each.names["model"])) for each in reached.cells] == [(False, ["base"]), (True, ["sft"])]
    text = "\n".join(line.text for line in lines(reached))
    assert "benchmarks: the change of sft x exam x heart (2 rows)" in text


def test_a_table_reaches_nothing(made: Made) -> None:
    reached = _reached(made, "tables/benchmarks")
    assert (reached.artifacts, reached.cells) == ([], [])
    assert "reaches nothing" in "\n".join(line.text for line in lines(reached))


def test_a_damaged_manifest_is_said(made: Made) -> None:
    path = made.results / "data/rows/exam.json"
    path.write_text(path.read_text().replace("medqa", "other"))
    assert "damaged, and left out" in "\n".join(line.text for line in lines(_reached(made, "data/raw/exam")))


def test_a_table_that_cannot_be_read_is_said_and_artifacts_are_listed(made: Made) -> None:
    (made.results / "tables/benchmarks.parquet").unlink()
    reached = _reached(made, "data/raw/exam")
    assert (len(reached.artifacts), reached.cells, list(reached.damaged)) == (4, [], ["tables/benchmarks"])


def test_the_json_has_all_of_it(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    main(["uses", "scores/base/exam", "--experiment", str(made.results), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["form", "results", "starts", "artifacts", "cells", "damaged"]
    assert told["artifacts"] == [
        {"name": "tables/benchmarks", "stage": "tables", "distance": 1, "way": ["tables"]},
    ]
    assert [each["change"] for each in told["cells"]] == [False, True]
