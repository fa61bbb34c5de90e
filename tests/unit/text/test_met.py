"""What counts as a verdict about a criterion, and what a judge is asked about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.errors import PrimumError
from primum.text.criteria import criterion_question, transcript
from primum.text.met import KEY, STATUSES, parse_met
from primum.text.rows import Criterion, Message

CRITERIA = (Path(__file__).parents[3] / "data/rubrics/criteria.j2").read_text(encoding="utf-8")
ITEM = Criterion("Says to see a doctor.", -2.5, ("axis:accuracy",))


@pytest.mark.parametrize(
    ("text", "met", "status"),
    [
        ('{"criteria_met": true}', True, "scored"),
        ('{"explanation": "It does not.", "criteria_met": false}', False, "scored"),
        ('```json\n{"criteria_met": true}\n```', True, "scored"),
        ('```\n{"criteria_met": false}\n```', False, "scored"),
        ('```JSON\r\n{"criteria_met": true}\r\n```\r\n', True, "scored"),
        ('<think>{"criteria_met": false}? No.</think>\n{"criteria_met": true}', True, "scored"),
        ('{"inner": {"criteria_met": false}, "criteria_met": true}', True, "scored"),
        ('{"criteria_met": false, "criteria_met": true}', None, "several"),
        ("", None, "malformed"),
        ("true", None, "malformed"),
        ("yes, it is met", None, "malformed"),
        ('{"criteria_met": "true"}', None, "malformed"),
        ('{"criteria_met": 1}', None, "malformed"),
        ('{"criteria_met": null}', None, "malformed"),
        ('{"criteria_met": True}', None, "malformed"),
        ('{"met": true}', None, "malformed"),
        ('[{"criteria_met": true}]', None, "malformed"),
        ('{"inner": {"criteria_met": true}}', None, "malformed"),
        ('{"criteria_met": true', None, "malformed"),
        # A quotation of what the response said, and the judge's own words around it.
        ('The response says {"criteria_met": true}, but that is an instruction. Not met.', None, "malformed"),
        ('{"criteria_met": true}\n{"criteria_met": false}', None, "malformed"),
        ('```json\n{"criteria_met": true}\n```\nNo: not met.', None, "malformed"),
        ('<think>{"criteria_met": true}', None, "malformed"),
        ("[" * 100_000, None, "malformed"),
        ('{"criteria_met": ' + "9" * 10_000 + "}", None, "malformed"),
    ],
)
def test_a_verdict_is_one_object_and_nothing_else(text: str, met: bool | None, status: str) -> None:
    verdict = parse_met(text)
    assert (verdict.met, verdict.status) == (met, status)


def test_the_explanation_is_the_judges_own() -> None:
    assert parse_met('{"explanation": "So.", "criteria_met": true}').explanation == "So."
    assert parse_met('{"explanation": ["x"], "criteria_met": true}').explanation == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([KEY, "x", "y"]), inner, max_size=3),
    max_leaves=6,
)
PIECES = st.lists(
    st.sampled_from(['{"criteria_met": true}', "```", "```json\n", "<think>", "</think>", "\n", "not ", "{", "}", ","])
).map("".join)


@given(st.text() | PIECES | JSON.map(json.dumps))
def test_whatever_is_answered_has_a_status_and_only_a_verdict_is_one(text: str) -> None:
    verdict = parse_met(text)
    assert verdict.status in STATUSES
    assert (verdict.met is not None) == (verdict.status == "scored")


@given(JSON, st.sampled_from(["{}", "```json\n{}\n```", " \n{}\n"]))
def test_only_a_boolean_at_the_top_is_a_verdict(value: object, around: str) -> None:
    verdict = parse_met(around.replace("{}", json.dumps(value)))
    said = value.get(KEY) if isinstance(value, dict) else None
    assert verdict.met is (said if isinstance(said, bool) else None)


# ---- what is asked


def test_a_conversation_as_text() -> None:
    assert transcript([Message("user", "Hello")]) == "Hello"
    turns = [Message("user", "Hello"), Message("assistant", "Hi"), Message("user", "And?")]
    assert transcript(turns) == "user: Hello\n\nassistant: Hi\n\nuser: And?"
    assert transcript([Message("system", "Be kind.")]) == "system: Be kind."


def test_the_template_has_all_that_is_judged_between_marks() -> None:
    (turn,) = criterion_question(CRITERIA, "user: a <b> & {{ c }}", "an answer", ITEM)
    assert turn.role == "user"
    for part in ("user: a <b> & {{ c }}", "an answer", "Says to see a doctor.", "-2.5 points", '"criteria_met"'):
        assert turn.content.count(part) == 1
    marks = [line for line in turn.content.splitlines() if line.startswith("[")]
    assert len(marks) == 4
    assert len({line.rstrip("]").rpartition(" ")[2] for line in marks}) == 1
    (other,) = criterion_question(CRITERIA, "user: a <b> & {{ c }}", "another answer", ITEM)
    assert marks[0] not in other.content


@pytest.mark.parametrize("template", ["{{ policy }}", "{% if %}", "{{ 1 / 0 }}"])
def test_a_template_that_cannot_be_rendered_is_one_line(template: str) -> None:
    with pytest.raises(
        PrimumError, match=r"template cannot be rendered .*: it may use conversation, response, criterion"
    ):
        criterion_question(template, "q", "r", ITEM)
