"""The values that the page's script draws, and the table of trainings: derived by hand from a few rows."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
import study

from primum.report.data import Study, read_study
from primum.report.judged import Confusion
from primum.report.judges import confusion_pictures
from primum.report.numbers import NONE
from primum.report.parts import Model, Named
from primum.report.pictures import Picture, Point, as_json, thinned
from primum.report.records import Step
from primum.report.stage import render
from primum.report.training import curve_pictures, training_grid


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    common, inputs = study.example(folder / "in")
    words = {"experiment": "x", "title": "", "description": "", "disclaimer": "", "tables": list(study.TABLES)}
    return read_study({**common, **words}, study.make_tables(common, inputs, folder))


def bare(**fields: Any) -> Study:
    return Study(**{name: fields.get(name, ()) for name in Study.__slots__})


def model(name: str, kind: str, data: str | None = None) -> Model:
    return Model(name, name.upper(), "small", kind, None, data, True, {})


def step(name: str, number: int, loss: float | None = None, **more: float) -> Step:
    rewards = {f"{side}reward_{what}": None for side in ("", "held_out_") for what in ("accuracy", "margin")}
    return Step(**{"model": name, "step": number, "loss": loss, "held_out_loss": None, **rewards, **more})


TRAINED = bare(
    models=(model("a", "sft", "facts"), model("b", "dpo"), model("c", "hub"), model("d", "sft")),
    steps=(
        step("a", 0, held_out_loss=5.0),
        *(step("a", 1, 4.0), step("a", 2, 3.0, held_out_loss=2.5), step("a", 10, 1.25)),
        step("b", 1, 0.75, reward_accuracy=0.5, reward_margin=0.0),
        step("b", 2, 0.5, reward_accuracy=0.875, reward_margin=1.5, held_out_reward_accuracy=0.75),
        *(step("d", 1, math.nan), step("d", 2, math.inf)),
    ),
)


def test_long_curves_are_means_and_end_where_they_end() -> None:
    points = [(number, float(number)) for number in range(1, 11)]
    assert thinned(points, 10) == tuple(points)
    # Four places for ten values: the last one, and three means over three each, at their last steps.
    assert thinned(points, 4) == ((3, 2.0), (6, 5.0), (9, 8.0), (10, 10.0))
    # Five places: blocks of ceil(9 / 4) = 3 again.
    assert thinned(points, 5) == thinned(points, 4)
    assert thinned([(1, 2.0), (2, math.nan), (3, math.inf)], 4) == ((1, 2.0),)
    assert len(thinned([(number, 0.0) for number in range(12_345)], 400)) <= 400


def test_curves_of_all_models_are_together_and_dpo_apart() -> None:
    pictures = {picture.id: picture for picture in curve_pictures(TRAINED)}
    assert list(pictures) == ["loss", "dpo-loss", "reward-accuracy", "reward-margin"]
    first, broken = pictures["loss"].curves
    assert (first.name, first.values) == ("A", ((1, 4.0), (2, 3.0), (10, 1.25)))
    assert first.held_out == ((0, 5.0), (2, 2.5))
    assert (broken.name, broken.values) == ("D", ())
    assert "A from 4 to 1.25" in pictures["loss"].label
    assert "D without a finite value" in pictures["loss"].label
    (dpo,) = pictures["reward-accuracy"].curves
    assert (dpo.values, dpo.held_out) == (((1, 0.5), (2, 0.875)), ((2, 0.75),))
    # Where DPO starts, the policy is the reference: a loss of -log(1/2), every second pair, no margin.
    assert [pictures[name].reference for name in list(pictures)[1:]] == [pytest.approx(0.693147), 0.5, 0.0]
    assert curve_pictures(bare(models=TRAINED.models)) == ()


def test_the_table_of_trainings_has_both_ends() -> None:
    grid = training_grid(TRAINED, "id")
    assert grid is not None
    rows = {row.title: [cell.text for cell in row.cells] for row in grid.groups[0].rows}
    assert rows == {
        "A": ["10", "4.000", "1.250", "5.000", "2.500", NONE, NONE],
        "B": ["2", "0.750", "0.500", NONE, NONE, "87.5", "1.50"],
        "D": ["2", "not finite", "not finite", NONE, NONE, NONE, NONE],
    }
    assert grid.groups[0].rows[1].cells[5].extra == "held out 75.0"
    assert grid.groups[0].rows[0].tag == "on facts"
    assert training_grid(bare(models=TRAINED.models), "id") is None


def test_a_matrix_has_shares_of_the_label() -> None:
    rows = [("harm", 1, 1, 3), ("harm", 1, 2, 1), ("harm", 2, None, 2), ("no", 1, 1, 1), ("no", 3, 1, 1)]
    confusion = tuple(Confusion(*row) for row in rows)
    judges = (Named("harm", "rubric"), Named("no", "refusal"))
    harm, refusal = confusion_pictures(bare(confusion=confusion, judges=judges))
    assert [(s.label, s.score, s.count, s.share) for s in harm.squares] == [
        *(("1", "1", 3, 0.75), ("1", "2", 1, 0.25), ("2", "none", 2, 1.0)),
    ]
    assert harm.label == "harm: 3 of 6 responses got the score of their label"
    assert [(s.label, s.score) for s in refusal.squares] == [("1 compliance", "1"), ("3 refusal", "1")]


def test_values_are_short_and_no_word_ends_the_script() -> None:
    point = Point("</script>", 1 / 3, 0.0, "é", hollow=False)
    (found,) = json.loads(as_json([Picture("a", "<b>", "", others=(point,), reference=0.0)]))
    assert "<" not in as_json([Picture("a", "<b>", "", others=(point,))])
    assert found == {
        **{"id": "a", "title": "<b>", "reference": 0.0, "named": True, "height": 300},
        "others": [{"model": "</script>", "x": 0.333333, "y": 0.0, "tip": "é", "hollow": False}],
    }


def test_each_picture_has_its_room_on_the_page(whole: Study) -> None:
    page = render(whole)
    text = page.partition('id="pictures">')[2].partition("</script>")[0]
    heights = {each["id"]: each["height"] for each in json.loads(text)}
    pictures = re.findall(r'data-picture="(.+?)"', page)
    rooms = re.findall(r'style="--room: (\d+)px"', page)
    assert len(pictures) == len(set(pictures))
    assert dict(zip(pictures, map(int, rooms), strict=True)) == heights
    # By hand: labels 1 to 5 of the confusion, a curve, a scatter.
    assert [heights[id_] for id_ in ("confusion-0", "loss", "trade-0")] == [62 + 34 * 5, 270, 300]
    assert {"dpo-loss", "reward-accuracy", "reward-margin"} <= set(pictures)
    assert page.count("<noscript><p") == 2, "what a script draws is in tables, too"
    without = render(read_without_training(whole))
    assert 'id="training"' not in without


def read_without_training(whole: Study) -> Study:
    return Study(**{**{name: getattr(whole, name) for name in Study.__slots__}, "steps": ()})
