"""How the page shows accuracy: intervals, ties, what was not answered or was trained on, and the best of each column."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import study
from study import SCORES, save_table

from primum.report.data import BenchmarkGroup, Study, read_study
from primum.report.figures import comparison_figure
from primum.report.headline import headlines
from primum.report.numbers import NONE, interval
from primum.report.skill import CUT, SILENT, TIED, accuracy_grid, clean_grid, comparison_grid

Made = tuple[dict[str, Any], list[Any]]
WORDS: dict[str, Any] = {"experiment": "x", "title": "", "description": "", "disclaimer": "", "tables": study.TABLES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The study with two benchmarks as parts of a mean, and a model that answers by generation and lacks ToxiGen."""
    folder = tmp_path_factory.mktemp("study")
    common, inputs = study.example(folder / "in")
    common["benchmarks"] = [
        entry | {"part_of": "Exams" if entry["name"] in ("medqa", "usmle") else ""} for entry in common["benchmarks"]
    ]
    kept = []
    for names, artifact in zip(common["scores"], inputs["scores"], strict=True):
        if names == ["dpo-3", "toxigen"]:
            continue
        if names[0] == "dpo-3":
            rows = [row | {"method": "generation"} for row in artifact.table().to_pylist()]
            kept.append((names, save_table(rows, SCORES, folder / "written" / f"{names[1]}.json")))
        else:
            kept.append((names, artifact))
    common["scores"] = [names for names, _ in kept]
    return common, study.make_tables(common, {**inputs, "scores": [artifact for _, artifact in kept]}, folder)


@pytest.fixture(scope="module")
def read(made: Made) -> Study:
    return read_study({**made[0], **WORDS}, made[1])


def test_a_mean_has_a_column_after_its_parts(read: Study) -> None:
    names = [name for name, _ in read.columns("benchmark")]
    assert names == ["medmcqa", "medqa", "mmlu", "mmlu-pro", "usmle", "Exams", "pubmedqa", "toxigen", "average"]
    grid = accuracy_grid(read, "benchmark", "id", "caption")
    assert grid is not None
    assert [column.title for column in grid.columns][4:6] == ["USMLE", "Exams"]
    assert grid.columns[5].sub == "160 items, macro"


def test_a_group_has_a_column_in_the_place_of_its_tasks(read: Study) -> None:
    groups = [
        BenchmarkGroup("all-mmlu", "All of MMLU", ("mmlu", "mmlu-pro"), weight_by_size=True),
        BenchmarkGroup("rest", "", ("medmcqa", "toxigen"), weight_by_size=False),
    ]
    labels = dict(replace(read, groups=tuple(groups)).columns("benchmark"))
    assert list(labels) == ["medqa", "all-mmlu", "usmle", "Exams", "pubmedqa", "rest", "average"]
    assert (labels["all-mmlu"], labels["rest"]) == ("All of MMLU", "rest")


def test_cells_have_their_interval_and_are_tied_as_the_table_says(read: Study) -> None:
    grid = accuracy_grid(read, "benchmark", "id", "caption")
    assert grid is not None
    names = [name for name, _ in read.columns("benchmark")]
    rows = {row.sub: row for row in grid.groups[0].rows}
    cells = {(model, name): cell for model, row in rows.items() for name, cell in zip(names, row.cells, strict=True)}
    best = {row.benchmark: row.other for row in read.comparisons if row.group == "benchmark" and row.against == "best"}
    tied = {
        (row.model, row.benchmark)
        for row in read.comparisons
        if row.group == "benchmark" and row.against == "best" and row.tied
    }
    assert set(best) == set(names)
    assert {key for key, cell in cells.items() if TIED in cell.flags} == tied
    assert tied
    assert all(cells[model, name].mark == "best" for name, model in best.items())
    assert ("base", "medmcqa") not in tied, "no model at chance is tied with one that learned"
    value = read.whole("benchmark", "sft", "medqa")
    assert value is not None
    assert cells["sft", "medqa"].extra == interval(value.ci_low, value.ci_high, scale=100)


def test_what_is_not_as_it_should_be_is_told_with_its_counts(read: Study) -> None:
    grid = accuracy_grid(read, "benchmark", "id", "caption")
    assert grid is not None
    notes = " ".join(grid.notes)
    assert f"{CUT} The prompt was cut to fit the model's context: Tiny base on pubmedqa, 3 of 60." in notes
    assert f"{SILENT} Items without a valid answer count as wrong: Tiny base on toxigen, 2 of 60." in notes
    assert "Tiny DPO 3, average: unequal sets: lacks toxigen" in notes
    assert "a paired test on the same items" in notes
    assert "Wilson's" in notes
    rows = {row.sub: row for row in grid.groups[0].rows}
    assert [name for name, row in rows.items() if row.tag] == ["dpo-3"]
    assert rows["dpo-3"].tag == "by generation"
    assert rows["dpo-3"].cells[-1].text == NONE
    flags = [cell.flags for cell in rows["base"].cells]
    assert [CUT in flag for flag in flags].index(True) == 6
    assert SILENT in flags[7]
    # Nothing of the kind is said where there is nothing of the kind.
    other = accuracy_grid(read, "preference", "id", "caption")
    assert other is not None
    assert len(other.notes) == 2, "intervals, and that one model is by generation"


def test_the_clean_subset_is_beside_the_full_one(read: Study) -> None:
    grid = clean_grid(read, "clean")
    assert grid is not None
    # Means that hold unknown items have no clean value; MedQA's eighth items are flagged for two models.
    assert [row.sub for row in grid.groups[0].rows] == ["medical", "medical-safe"]
    assert grid.columns[0].title == "MedQA"
    cell = grid.groups[0].rows[0].cells[0]
    assert cell.tip.startswith("10 of 80 items flagged; clean: 70, 95% CI ")
    row = read.whole("benchmark", "medical", "medqa")
    assert row is not None
    assert row.clean_accuracy is not None
    assert cell.text == f"{100 * row.clean_accuracy:.1f}"
    plain = {name: getattr(read, name) for name in Study.__slots__}
    plain["accuracy"] = tuple(
        type(row)(**({n: getattr(row, n) for n in type(row).__slots__} | {"flagged": 0})) for row in read.accuracy
    )
    assert clean_grid(Study(**plain), "clean") is None


def test_points_behind_the_best(read: Study) -> None:
    grid = comparison_grid(read, "benchmark", "id")
    assert grid is not None
    row = next(row for row in grid.groups[0].rows if row.sub == "base")
    found = next(r for r in read.comparisons if (r.model, r.benchmark, r.against) == ("base", "medmcqa", "best"))
    assert row.cells[0].extra == "p < 0.001"
    assert found.p_holm is not None
    assert found.p_holm < 0.001
    assert "Holm p = " in row.cells[0].tip
    tie = next(cell for row in grid.groups[0].rows for cell in row.cells if cell.flags == TIED)
    assert "would have been seen at 80% power" in tie.tip
    assert grid.columns[0].sub == read.model(found.other).label
    drawn = str(comparison_figure(read, "benchmark"))
    # A hollow mark for the best of each column, and a whisker for every comparison that was made.
    compared = [
        r for r in read.comparisons if r.group == "benchmark" and r.against == "best" and r.difference is not None
    ]
    assert drawn.count('class="hollow') == 9
    assert drawn.count('class="whisker') == len(compared)


def test_the_headline_names_the_ties(read: Study) -> None:
    said = " ".join(str(sentence) for finding in headlines(read) for sentence in finding.sentences)
    tied = [model for (model, name), row in read.against("best", "benchmark").items() if name == "average" and row.tied]
    named = re.search(r"Statistically tied with it: ([^.]*)\.", said)
    assert named is not None
    labels = {read.model(m).label for m in tied if read.whole("benchmark", m).accuracy is not None}  # type: ignore[union-attr]
    assert labels
    assert all(label in named[1] for label in labels)


def test_the_page_holds_it_all(made: Made, tmp_path: Path) -> None:
    page = study.make_report(*made, tmp_path).read_text(encoding="utf-8")
    assert page.count('class="sortable stacked"') == 12, (
        "five of skill, harm, its categories, refusals, what changed in either, judges, and trainings"
    )
    assert '<span class="sub">by generation</span>' in page
    assert study.SECRET not in page
