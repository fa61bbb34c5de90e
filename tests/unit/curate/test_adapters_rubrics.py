"""HealthBench's upstream form, by hand: what becomes a row, and each reason why a record does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream_files import Upstream, reasons

from primum.curate.adapters import ADAPTERS
from primum.errors import PrimumError
from primum.experiment.judges import WITH_CRITERIA
from primum.text.prompts import prompts_of
from primum.text.rows import Criterion, Message, RubricRow, from_table, to_table


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path)


def turns(*said: str) -> list[dict[str, str]]:
    return [{"content": text, "role": ("user", "assistant")[n % 2]} for n, text in enumerate(said)]


def item(points: object = 5, criterion: object = "Says so.", tags: object = ("axis:accuracy",)) -> dict[str, object]:
    return {"criterion": criterion, "points": points, "tags": list(tags) if isinstance(tags, tuple) else tags}


def record(id: str, **changed: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "example_tags": ["theme:hedging", "physician_agreed_category:not-enough"],
        "ideal_completions_data": {"ideal_completion": "x", "ideal_completions_group": "Group 1"},
        "prompt": turns("Q"),
        "prompt_id": id,
        "rubrics": [item()],
        "canary": "healthbench:x",
    }
    return {**whole, **changed}


def test_a_record_becomes_a_conversation_with_criteria(upstream: Upstream) -> None:
    criteria = [item(7), item(-3.5, "Is rude. ", ("level:example", "axis:communication_quality"))]
    upstream.lines("2025_oss_eval.jsonl", record("a", prompt=turns("Q", "A", " R "), rubrics=criteria))
    (row,) = upstream.read("healthbench")
    assert row == RubricRow(
        "d/a",
        "d",
        "hedging",
        (Message("user", "Q"), Message("assistant", "A"), Message("user", "R")),
        (
            Criterion("Says so.", 7.0, ("axis:accuracy",)),
            Criterion("Is rude.", -3.5, ("level:example", "axis:communication_quality")),
        ),
        ("theme:hedging", "physician_agreed_category:not-enough"),
    )
    assert from_table(to_table([row], RubricRow), RubricRow) == [row]
    (prompt,) = prompts_of(to_table([row], RubricRow), "")
    assert prompt is not None
    assert (prompt.messages, prompt.category) == (row.messages, "hedging")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt": []}, "bad-roles"),
        ({"prompt": turns("Q", "A")}, "bad-roles"),
        ({"prompt": [*turns("Q"), *turns("Q")]}, "bad-roles"),
        ({"prompt": [{"role": "tool", "content": "x"}]}, "bad-roles"),
        ({"prompt": [{"role": "system", "content": "x"}]}, "bad-roles"),
        ({"prompt": turns(" ")}, "empty-text"),
        ({"rubrics": []}, "no-criteria"),
        ({"rubrics": None}, "no-criteria"),
        ({"rubrics": [item(), item(criterion="")]}, "empty-criterion"),
        ({"rubrics": [item(), item("5")]}, "bad-points"),
        ({"rubrics": [item(), item(None)]}, "bad-points"),
        ({"rubrics": [item(True)]}, "bad-points"),
        ({"rubrics": [item(float("nan"))]}, "bad-points"),
        ({"rubrics": [item(10**400)]}, "bad-points"),
        ({"rubrics": [item(-1), item(0)]}, "no-positive-points"),
        ({"rubrics": [item(tags=("a", "a"))]}, "bad-tags"),
        ({"rubrics": [item(tags=("",))]}, "bad-tags"),
        ({"example_tags": ["x", "x"]}, "bad-tags"),
    ],
)
def test_what_cannot_be_scored_is_dropped_with_its_reason(
    upstream: Upstream, changed: dict[str, object], reason: str
) -> None:
    upstream.lines("x.jsonl", record("a", **changed), record("b"))
    assert reasons(upstream.read("healthbench")) == [reason, ""]


def test_tags_and_themes_may_be_missing(upstream: Upstream) -> None:
    upstream.lines("x.jsonl", record("a", example_tags=None, rubrics=[item(tags=None)]))
    (row,) = upstream.read("healthbench")
    assert (row.category, row.tags, row.criteria[0].tags) == ("", (), ())


def test_a_system_turn_may_come_first(upstream: Upstream) -> None:
    upstream.lines("x.jsonl", record("a", prompt=[{"role": "system", "content": "Be kind."}, *turns("Q")]))
    (row,) = upstream.read("healthbench")
    assert [message.role for message in row.messages] == ["system", "user"]


def test_an_odd_form_is_one_line(upstream: Upstream) -> None:
    upstream.lines("x.jsonl", record("a", rubrics=[item(tags="axis:accuracy")]))
    with pytest.raises(PrimumError, match=r"x.jsonl row 1: column 'rubrics' holds tags that are not a list"):
        upstream.read("healthbench")


def test_the_experiment_knows_which_adapters_have_criteria() -> None:
    assert {name for name, adapter in ADAPTERS.items() if adapter.row_type is RubricRow} == WITH_CRITERIA


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(-1e6, 1e6), st.lists(st.text(max_size=2))), max_size=4))
def test_rows_come_back_from_a_table(criteria: list[tuple[str, float, list[str]]]) -> None:
    own = tuple(Criterion(text, points, tuple(tags)) for text, points, tags in criteria)
    rows = [RubricRow("d/1", "d", "t", (Message("user", "Q"),), own, ("a", "b")), RubricRow("d/2", "d", "", (), ())]
    assert from_table(to_table(rows, RubricRow), RubricRow) == rows
