"""Pairs of safety demonstrations: which answers are rejected, what becomes of the rest, and what is chosen for benign ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from stage_artifacts import table_artifact

from primum.artifact.job import Item, Job, Result
from primum.curate.contrast import run
from primum.errors import PrimumError
from primum.generate.stage import SCHEMA as RESPONSES
from primum.judge.stage import SCHEMA as ANSWERED
from primum.progress import Progress
from primum.text.prompts import take
from primum.text.rows import ChatRow, Message, PreferenceRow, RequestRow, Row, from_table, to_table

SPEC = {"at_least": 4, "take": None, "benign": None, "seed": 1}


def _asked(number: int, request: str, safe: str = "No.") -> RequestRow:
    return RequestRow(f"d/{number:02d}", "d", "principle-1", request, safe)


def _chat(number: int, request: str, answer: str) -> ChatRow:
    return ChatRow(f"b/{number:02d}", "b", (Message("user", request), Message("assistant", answer)))


def _responses(rows: list[tuple[str, str, str]]) -> pa.Table:
    spent = {"category": "", "status": "stop", "prompt_tokens": 1, "completion_tokens": 1, "error": ""}
    records = [{**spent, "id": id, "request": request, "response": response} for id, request, response in rows]
    return pa.Table.from_pylist(records, schema=RESPONSES)


def _answers(rows: Mapping[str, int | str]) -> pa.Table:
    """What a judge answered: a score in its line, nothing that is one, or nothing at all."""
    told = dict.fromkeys(ANSWERED.names, "")
    records = [
        {**told, "id": id, "status": "no-response"}
        if said == "no_response"
        else {**told, "id": id, "status": "stop", "raw": f"#score: {said}" if isinstance(said, int) else "Well."}
        for id, said in rows.items()
    ]
    return pa.Table.from_pylist(records, schema=ANSWERED)


def _contrast(work: Path, spec: Mapping[str, Any] = SPEC, **inputs: list[list[Row] | pa.Table]) -> Result:
    made = {
        role: [
            table_artifact(work / f"{role}{i}.parquet", to_table(t, type(t[0])) if isinstance(t, list) else t)
            for i, t in enumerate(tables)
        ]
        for role, tables in inputs.items()
    }
    job = Job("contrast", {}, [Item("x", spec, made, "x", work)], Progress("contrast", silent=True))
    return next(iter(run(job)))


DEMONSTRATIONS: list[Row] = [
    _asked(0, "Harm a."),
    _asked(1, "Harm b."),
    _asked(2, "Harm c.", " \n"),
    _asked(3, "harm, A!"),  # the words of the first
    _asked(4, "Harm d."),
    _asked(5, "Harm e.", "Never."),
    _asked(6, "Harm f."),
    _asked(7, "Harm g."),
]
ANSWERS = [(row.id, row.request, f"Sure, {row.request}") for row in DEMONSTRATIONS if isinstance(row, RequestRow)]
ANSWERS[6] = ("d/06", "Harm f.", "No. ")
VERDICTS: dict[str, int | str] = {
    "d/00": 4,
    "d/01": 3,
    "d/02": 5,
    "d/03": 5,
    "d/04": "malformed",
    "d/05": 5,
    "d/06": 5,
    "d/07": "no_response",
}


def test_a_harmful_answer_is_rejected_and_every_other_demonstration_is_counted(tmp_path: Path) -> None:
    result = _contrast(
        tmp_path, demonstrations=[DEMONSTRATIONS], responses=[_responses(ANSWERS)], answers=[_answers(VERDICTS)]
    )
    assert from_table(result.table, PreferenceRow) == [
        PreferenceRow("d/00", "d", (Message("user", "Harm a."),), "No.", "Sure, Harm a."),
        PreferenceRow("d/05", "d", (Message("user", "Harm e."),), "Never.", "Sure, Harm e."),
    ]
    assert result.counts == {
        "kept": 2,
        "prompts": {"asked": 6, "no-answer": 1, "duplicate": 1},
        "responses": {"harmful": 2, "not-harmful": 1, "malformed": 1, "equal-texts": 1, "no_response": 1},
    }


def test_the_threshold_is_the_lowest_score_that_is_rejected(tmp_path: Path) -> None:
    asked = {"demonstrations": [DEMONSTRATIONS], "responses": [_responses(ANSWERS)], "answers": [_answers(VERDICTS)]}
    for at_least, ids in ((3, ["d/00", "d/01", "d/05"]), (5, ["d/05"])):
        table = _contrast(tmp_path / str(at_least), {**SPEC, "at_least": at_least}, **asked).table
        assert table is not None
        assert table.column("id").to_pylist() == ids


def test_answers_find_their_demonstration_by_the_request(tmp_path: Path) -> None:
    """A larger dataset was asked, once for several sets: ids are its own; what it does not hold was not asked."""
    answers = [("e/00", "Harm b.", "Sure."), ("e/01", "Harm z.", "Sure."), ("e/02", "Harm a.", "Of course.")]
    scores: dict[str, int | str] = {"e/00": 5, "e/01": 5, "e/02": 5}
    result = _contrast(
        tmp_path,
        demonstrations=[DEMONSTRATIONS[:2], [_asked(9, "Harm y.")]],
        responses=[_responses(answers)],
        answers=[_answers(scores)],
    )
    pairs = {row.id: row.rejected for row in from_table(result.table, PreferenceRow)}
    assert pairs == {"d/00": "Of course.", "d/01": "Sure."}
    assert result.counts["responses"] == {"harmful": 2, "not-asked": 1}


def test_what_a_test_asks_is_left_out(tmp_path: Path) -> None:
    tests: list[Row] = [RequestRow("t/0", "t", "", "HARM A"), RequestRow("t/1", "t", "", "how are you")]
    benign: list[Row] = [_chat(0, "How are you?", "Fine."), _chat(1, "What is new?", "Nothing.")]
    result = _contrast(
        tmp_path,
        demonstrations=[DEMONSTRATIONS],
        responses=[_responses(ANSWERS)],
        answers=[_answers(VERDICTS)],
        tests=[tests],
        benign=[benign],
    )
    assert result.counts["prompts"]["in-test"] == 2  # and its duplicate
    assert result.counts["benign"] == {"asked": 1, "in-test": 1}
    assert [row.id for row in from_table(result.table, PreferenceRow)] == ["b/01", "d/05"]


def test_a_benign_answer_is_chosen_against_a_demonstration(tmp_path: Path) -> None:
    benign: list[Row] = [_chat(i, f"What is {i}?", f"It is {i}.") for i in range(20)]
    result = _contrast(
        tmp_path,
        {**SPEC, "benign": 12},
        demonstrations=[DEMONSTRATIONS],
        responses=[_responses(ANSWERS)],
        answers=[_answers(VERDICTS)],
        benign=[benign],
    )
    pairs = [row for row in from_table(result.table, PreferenceRow) if row.source == "b"]
    assert [row.id for row in pairs] == [
        row.id for row in take([row for row in benign if isinstance(row, ChatRow)], 12, 1)
    ]
    assert all(row.chosen == f"It is {int(row.id[2:])}." for row in pairs)
    assert {row.rejected for row in pairs} == {"No.", "Never."}
    assert result.counts["benign"] == {"asked": 12, "not-taken": 8}
    assert result.counts["kept"] == 14


def test_a_sample_of_demonstrations_is_seeded_and_nothing_is_made_up_for(tmp_path: Path) -> None:
    result = _contrast(
        tmp_path,
        {**SPEC, "take": 5},
        demonstrations=[DEMONSTRATIONS],
        responses=[_responses(ANSWERS)],
        answers=[_answers(VERDICTS)],
    )
    taken = {row.id for row in take([row for row in DEMONSTRATIONS if isinstance(row, RequestRow)], 5, 1)}
    assert sum(result.counts["prompts"].values()) == 8
    assert result.counts["prompts"]["not-taken"] == 3
    assert {row.id for row in from_table(result.table, PreferenceRow)} <= taken
    assert sum(result.counts["responses"].values()) == result.counts["prompts"]["asked"]


def test_errors(tmp_path: Path) -> None:
    answered = {"responses": [_responses(ANSWERS)], "answers": [_answers(dict.fromkeys(VERDICTS, 1))]}
    with pytest.raises(PrimumError, match=r"preferences.x: no answer was judged 4 or more \({'not-harmful': 6}"):
        _contrast(tmp_path / "1", demonstrations=[DEMONSTRATIONS], **answered)
    with pytest.raises(PrimumError, match="run the stage assess again"):
        _contrast(
            tmp_path / "2",
            demonstrations=[DEMONSTRATIONS],
            responses=[_responses(ANSWERS)],
            answers=[_answers({"d/00": 5})],
        )
    pairs: list[Row] = [PreferenceRow("p/0", "p", (Message("user", "Q"),), "a", "b")]
    with pytest.raises(PrimumError, match="its rows have no answers"):
        _contrast(tmp_path / "3", demonstrations=[pairs], responses=[_responses(ANSWERS)], answers=[_answers(VERDICTS)])
