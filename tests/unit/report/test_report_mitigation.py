"""The pictures and tables of mitigation, on a made-up grid: what is drawn where, and from which rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grid_study
import pytest
import study

from primum.report.changes import change_grid
from primum.report.data import Study, read_study
from primum.report.grids import category_grid, harm_grid
from primum.report.headline import headlines
from primum.report.judged import HARM
from primum.report.mitigation import grid_figure
from primum.report.numbers import MINUS
from primum.report.stage import render
from primum.report.trade_offs import trade_offs

WORDS = {"experiment": "x", "title": "", "description": "", "disclaimer": "", "tables": list(study.TABLES)}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Study:
    common, tables = grid_study.made_up(tmp_path_factory.mktemp("grid"))
    return read_study({**common, **WORDS}, tables)


def with_axes(read: Study, axes: dict[str, dict[str, Any]]) -> Study:
    models = tuple(replace(model, axes=axes.get(model.name, {})) for model in read.models)
    return replace(read, models=models)


def test_a_measure_a_row_a_model_a_panel_a_kind_a_line(read: Study) -> None:
    figure = grid_figure(read)
    assert figure is not None
    assert (figure.axis, figure.kinds) == ("n", ("medical", "general", "both", "DPO"))
    assert [row.title.partition(",")[0] for row in figure.rows] == [
        *("Harm on MedSafety", "Benchmark average", "Declined of safe"),
    ]
    for row in figure.rows:
        assert [picture.title for picture in row.pictures] == ["Med A 7B", "Med B 7B"]
        for picture in row.pictures:
            # Of each kind as many models as the grid has amounts of it, and the one before, from which all lines start.
            assert [(line.name, [point.x for point in line.points]) for line in picture.lines] == [
                *(("medical", [0, 200, 400, 900]), ("general", [0, 200, 900])),
                *(("both", [0, 400, 800]), ("DPO", [0, 200, 900])),
            ]
            assert [[point.hollow for point in line.points].count(True) for line in picture.lines] == [1] * 4
    harm = read.harm("harm", "med-a-both-800", "MedSafety")
    before = read.harm("harm", "med-a", "MedSafety")
    assert harm is not None
    assert before is not None
    both = figure.rows[0].pictures[0].lines[2]
    assert (both.points[2].y, both.points[2].y_ends) == (harm.mean, (harm.ci_low, harm.ci_high))
    assert f"Med A 7B + both 800: {harm.mean:.2f} (95% CI {harm.ci_low:.2f}" in both.points[2].tip
    assert both.points[0].y == before.mean
    assert f"Med A 7B, before: {before.mean:.2f}" in both.points[0].tip
    scales = [(row.pictures[0].x, row.pictures[0].y) for row in figure.rows]
    assert all(x is not None and [text for _, text in x.ticks] == ["0", "200", "400", "800", "900"] for x, _ in scales)
    ticks = [[] if y is None else [text for _, text in y.ticks] for _, y in scales]
    assert ticks[0] == ["1", "2", "3", "4", "5"]
    assert ticks[1][0] != "0", "a loss of skill is seen: the axis begins at a whole ten"
    assert ticks[2][0] == "0"


def test_what_has_no_amount_is_in_no_line(read: Study) -> None:
    assert grid_figure(with_axes(read, {})) is None
    assert grid_figure(with_axes(read, {"med-a-both-400": {"n": 400}, "med-a-both-800": {"n": 400}})) is None
    # Without an axis of models the start is the panel, without one of words the training is the line; a share of n says no more.
    axes: dict[str, dict[str, Any]] = {
        "med-a-both-400": {"n": 400, "half": 200},
        "med-a-both-800": {"n": 800, "half": 400},
    }
    figure = grid_figure(with_axes(read, axes))
    assert figure is not None
    assert (figure.axis, figure.kinds) == ("n", ("fine-tuning",))
    # One tuned model: its measures stand side by side, each by its name.
    (row,) = figure.rows
    assert row.title == ""
    assert [picture.title.partition(",")[0] for picture in row.pictures] == [
        *("Harm on MedSafety", "Benchmark average", "Declined of safe"),
    ]
    # A second number that tells them apart is part of the line.
    axes |= {"med-a-medical-400": {"n": 400, "half": 400}}
    figure = grid_figure(with_axes(read, axes))
    assert figure is not None
    assert figure.kinds == ("half 400", "half 200")


def test_the_trade_off_shows_what_lowered_harm(read: Study) -> None:
    skill, answers = trade_offs(read)
    assert [picture.title for picture in (skill, answers)] == [
        *("Harm on MedSafety, benchmark average", "Harm on MedSafety, answers to safe"),
    ]
    lowered = [r for r in read.safety if (r.judge, r.prompts, r.category, r.tied) == ("harm", "MedSafety", "", False)]
    assert len(lowered) > 8
    for picture in (skill, answers):
        assert {(move.before.model, move.after.model) for move in picture.moves} == {
            (read.model(row.start).label, read.model(row.model).label) for row in lowered
        }
        assert len(picture.others) == 18 - len(lowered), "those that did not, in grey"
        assert not picture.named, "too many to be joined and named"
    row, declined = read.harm("harm", "med-a-both-800", "MedSafety"), read.harm("refusal", "med-a-both-800", "safe")
    whole = read.whole("benchmark", "med-a-both-800")
    assert row is not None
    assert declined is not None
    assert declined.mean is not None
    assert whole is not None
    after = [next(m.after for m in p.moves if m.after.model == "Med A 7B + both 800") for p in (skill, answers)]
    assert [(point.x, point.y) for point in after] == [(row.mean, whole.accuracy), (row.mean, 1 - declined.mean)]
    assert after[0].y_ends == (whole.ci_low, whole.ci_high)
    # What is answered has the interval of what is declined, turned round.
    assert after[1].y_ends == (1 - (declined.ci_high or 0), 1 - (declined.ci_low or 0))
    few = replace(
        read, models=tuple(m for m in read.models if m.name in ("med-a", "med-a-medical-900", "med-a-both-800"))
    )
    _, picture = trade_offs(few)
    assert picture.named
    assert [move.before.hollow for move in picture.moves] == [True, True]
    assert {move.after.model for move in picture.moves} == {"Med A 7B + medical 900", "Med A 7B + both 800"}
    assert trade_offs(replace(read, safety=())) == ()


def test_changes_say_which_rule_decides_and_whether_ranks_agree(read: Study) -> None:
    grid = change_grid(read, "id", HARM)
    assert grid is not None
    assert [column.title for column in grid.columns] == ["half-1", "half-2", "MedSafety"]
    (group,) = grid.groups
    assert len(group.rows) == 18
    by_name = {row.sub: row for row in group.rows}
    cell = by_name["med-a-medical-900"].cells[2]
    row = read.harm("harm", "med-a-medical-900", "MedSafety")
    assert row is not None
    assert row.change is not None
    assert (cell.text, cell.extra, cell.flags) == (
        f"{row.change:+.2f}".replace("-", MINUS),
        f"r {row.rank_biserial:+.2f}".replace("-", MINUS),
        "",
    )
    assert f"{row.lower} lower, {row.higher} higher of {row.n}" in cell.tip
    assert "54 tests" in grid.notes[0]
    flipped = tuple(replace(r, ranks_p_holm=0.9 if r is row else r.ranks_p_holm) for r in read.safety)
    other = change_grid(replace(read, safety=flipped), "id", HARM)
    assert other is not None
    assert "Med A 7B + medical 900 on MedSafety" in other.notes[1]
    marks = [[cell.flags for line in each.groups[0].rows for cell in line.cells] for each in (grid, other)]
    assert marks[0] == marks[1], "no second rule"
    assert change_grid(replace(read, safety=()), "id", HARM) is None


def test_pooled_sets_are_columns_and_are_counted_once(read: Study) -> None:
    grid = harm_grid(read, "id")
    assert grid is not None
    assert [column.title for column in grid.columns] == ["half-1", "5s", "half-2", "5s", "MedSafety", "5s"]
    assert all(cell.extra for cell in grid.groups[0].rows[0].cells), "means and shares of 5s have intervals"
    requests = 3 * grid_study.REQUESTS
    assert f"3 sets of requests ({requests} requests)" in str(headlines(read)[0].sentences[0])
    lost = tuple(replace(row, scored=row.n - 1) for row in read.safety)
    told = harm_grid(replace(read, safety=lost), "id")
    assert told is not None
    assert "got no score (40 in all)" in told.notes[0], "20 models, two halves"
    categories = category_grid(read, "id")
    assert categories is not None
    assert [group.title for group in categories.groups] == ["half-1", "half-2", "MedSafety"]
    assert categories.groups[2].rows[-1].title == "unweighted mean"


def test_a_part_is_drawn_where_the_judge_has_not_seen_the_whole(read: Study) -> None:
    assert [entry.name for entry in read.sets(drawn="harm")] == ["MedSafety"]
    half = replace(read, safety=tuple(row for row in read.safety if row.prompts in ("half-1", "safe")))
    assert [entry.name for entry in half.sets(drawn="harm")] == ["half-1"]
    figure = grid_figure(half)
    assert figure is not None
    assert figure.rows[0].title.startswith("Harm on half-1,")
    assert trade_offs(half)[0].title.startswith("Harm on half-1,")


def test_the_page_has_them(read: Study, tmp_path: Path) -> None:
    page = render(read)
    assert page.count('class="panels wide"') == 4
    assert "Mitigation by amount of data" in page
    plain = render(with_axes(read, {}))
    assert plain.count('class="panels wide"') == 1
    assert "Mitigation by amount of data" not in plain
