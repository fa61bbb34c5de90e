"""What the page says of judges: which are not shown, and why; relatives, bounds, what the labels say."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import study

from primum.artifact.manifest import Artifact
from primum.report.data import Study, read_study
from primum.report.figures import harm_figure
from primum.report.grids import Cell, harm_grid, refusal_grid
from primum.report.headline import headlines
from primum.report.judges import agreement_grid, confusion_grid, pairs_of_judges

Example = tuple[dict[str, Any], dict[str, list[Artifact]]]
# What these pages are not about.
NOTHING = dict.fromkeys(
    ("benchmarks", "scores", "graded", "mixtures", "packed", "trained", "audited", "pairs", "sampled"), ()
)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return study.example(tmp_path_factory.mktemp("study"))


def read(
    example: Example, folder: Path, change: Mapping[str, Any], **inputs: Any
) -> tuple[dict[str, Any], list[Artifact], Study]:
    """The study's safety, with a part of its spec and inputs replaced."""
    roles = ("generations", "judgements", "agreements", "canaries", "labels")
    common = {**example[0], **NOTHING, **change}
    tables = study.make_tables(common, {**{role: example[1][role] for role in roles}, **inputs}, folder)
    told = {"experiment": "e", "title": "", "description": "", "disclaimer": "", "tables": list(study.TABLES)}
    return common, tables, read_study({**common, **told}, tables)


def said(found: Study) -> str:
    return " ".join(sentence for finding in headlines(found) for sentence in finding.sentences)


@pytest.fixture(scope="module")
def always_four(
    example: Example, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], list[Artifact], Study]:
    """The study, whose judge of harm gave every labelled response a 4."""
    folder = tmp_path_factory.mktemp("four")
    rows = [{**row, "score": 4, "status": "scored"} for row in study._agreement(random.Random(1))]
    agreements = [study.save_table(rows, study.AGREEMENT, folder / "four.json")]
    return read(example, folder, {}, agreements=agreements)


def test_a_judge_that_always_says_four_is_refused_in_words(
    always_four: tuple[dict[str, Any], list[Artifact], Study], tmp_path: Path
) -> None:
    common, tables, found = always_four
    assert {row.status for row in found.safety if row.judge == "harm"} == {"gated"}
    grid = harm_grid(found, "id")
    assert grid is not None
    assert {cell.text for row in grid.groups[0].rows for cell in row.cells[::2]} == {"refused"}
    assert harm_figure(found) is None
    page = study.make_report(common, tables, tmp_path).read_text(encoding="utf-8")
    why = "The scores of harm are not shown: against 80 labelled responses its alpha is \u22120."
    assert page.count(why) == 2, "among the findings, and where the judges are"
    assert "quadratic kappa 0.00" in said(found)
    assert "must lie above its gate of 0.7" in said(found)
    assert "lowered the harm" not in said(found)
    assert "4.00\u20134.00" not in page
    assert study.SECRET not in page


def test_what_labels_and_relatives_say(example: Example, tmp_path: Path) -> None:
    """Of the study's thirty labelled refusals the phrases find two thirds; the base model is a relative of the judge."""
    _, _, found = read(example, tmp_path, {})
    assert "The judge <em>refusal</em> finds 66.7% of the labelled refusals" in said(found)
    assert "seem to refuse less" in said(found)
    grid = harm_grid(found, "id")
    assert grid is not None
    base = next(row for row in grid.groups[0].rows if row.sub == "base")
    assert base.cells[0].text.endswith("\u2021§")
    assert "whatever the others are" in base.cells[0].tip
    assert any("a relative of the model (same lineage)" in note for note in grid.notes)
    refusals = refusal_grid(found, "id")
    assert refusals is not None
    assert any(note.startswith("Of labelled refusals refusal finds 66.7%") for note in refusals.notes)
    checked = agreement_grid(found, "id")
    assert checked is not None
    assert [(row.title, row.cells[-4].extra) for row in checked.groups[0].rows] == [
        ("harm", "passed"),
        ("refusal", "passed"),
    ]
    # Of four canaries one is followed and one has no score; stock phrases can be told nothing.
    assert [[cell.text for cell in row.cells[-3:]] for row in checked.groups[0].rows] == [
        ["4", "25.0", "1"],
        [Cell().text] * 3,
    ]
    cells = confusion_grid(found, "id")
    assert cells is not None
    assert [group.title for group in cells.groups] == ["harm", "refusal"]
    phrases = {row.title: [cell.text for cell in row.cells] for row in cells.groups[1].rows}
    assert phrases["3 refusal"] == ["10", "0", "20", "", "", "0"]
    assert pairs_of_judges(found, "id") is None, "no two judges score the same"


def test_blocks_and_empty_answers_are_counted(example: Example, tmp_path: Path) -> None:
    """One response of model a was filtered and two are blank: all three are said beside both tables, and are no refusals."""
    rows = [study.generation(f"h/{i}", "c") for i in range(9)]
    rows[0] |= {"status": "error", "error": "content-filter"}
    rows[1]["response"] = rows[2]["response"] = ""
    change = {
        **{"generations": [["base", "advbench"]], "judgements": [["refusal", "base", "advbench"]]},
        **dict.fromkeys(("agreements", "canaries", "labelled", "labels"), ()),
    }
    scores = [None, None, None, 1, 1, 1, 0, 0, 0]
    _, _, found = read(
        example,
        tmp_path,
        change,
        generations=[study.save_table(rows, study.GENERATION, tmp_path / "g.json")],
        judgements=[
            study.save_table(
                [study.judgement(f"h/{i}", "c", s) for i, s in enumerate(scores)], study.JUDGEMENT, tmp_path / "j.json"
            )
        ],
        agreements=[],
        canaries=[],
        labels=[],
    )
    grid = refusal_grid(found, "id")
    assert grid is not None
    assert grid.groups[0].rows[0].cells[0].text == "50.0\u2021"
    assert any(note.startswith("1 response was stopped by a provider's content filter") for note in grid.notes)
    assert any(note.startswith("2 responses were empty") for note in grid.notes)
