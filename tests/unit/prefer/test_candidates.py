"""Which of a prompt's responses a ranker sees, and what becomes of the others."""

from __future__ import annotations

import pyarrow as pa
import pytest

from primum.curate.pairs import best_and_worst
from primum.errors import PrimumError
from primum.prefer.candidates import prompt_text, put_before, rows_of_draws
from primum.text.prompts import prompts_of
from primum.text.rows import (
    SAMPLES,
    ChatRow,
    ChoiceRow,
    Message,
    PreferenceRow,
    RankedRow,
    RequestRow,
    TextRow,
    to_table,
)


def draw(*answers: tuple[str, str, str]) -> pa.Table:
    """(prompt id, response, status)"""
    return pa.Table.from_pylist(
        [
            {
                **{"id": name, "source": "d", "prompt": [{"role": "user", "content": f"ask {name}"}]},
                **{"response": text, "status": status, "prompt_tokens": 1, "completion_tokens": 1, "error": ""},
            }
            for name, text, status in answers
        ],
        schema=SAMPLES,
    )


DRAWS = [
    draw(("p/1", "rest", "stop"), ("p/2", "tea", "stop"), ("p/3", "  ", "stop")),
    draw(("p/1", " rest\n", "stop"), ("p/2", "tea and", "length"), ("p/3", "", "error")),
    draw(("p/1", "water", "stop"), ("p/2", "tea", "stop"), ("p/3", "sleep", "stop")),
]


def test_every_response_has_a_status() -> None:
    rows = rows_of_draws(DRAWS)
    assert [(row.id, row.draw, row.status) for row in rows] == [
        ("p/1/000", 0, "candidate"),
        ("p/1/001", 1, "duplicate"),  # but for the white space around it
        ("p/1/002", 2, "candidate"),
        ("p/2/000", 0, "alone"),
        ("p/2/001", 1, "cut"),
        ("p/2/002", 2, "duplicate"),
        ("p/3/000", 0, "empty"),
        ("p/3/001", 1, "no-response"),
        ("p/3/002", 2, "alone"),
    ]
    assert all(row.reward is None for row in rows)


def test_the_ranker_sees_the_candidates_of_a_prompt_together() -> None:
    groups, places = put_before(rows_of_draws(DRAWS))
    assert [(each.id, each.prompt, each.responses) for each in groups] == [
        ("p/1", (Message("user", "ask p/1"),), ("rest", "water"))
    ]
    assert places == [0, 2]


def ranked(*rewards: float | None) -> list[RankedRow]:
    rows = [
        RankedRow(
            f"p/1/{n:03d}",
            "d",
            "p/1",
            n,
            (Message("user", "ask"),),
            f"answer {n}",
            "ranked" if r is not None else "cut",
            r,
        )
        for n, r in enumerate(rewards)
    ]
    return rows[::-1]  # whatever the order


@pytest.mark.parametrize(
    ("rewards", "pair"),
    [
        ((0.5, None, -2.0, 1.5), ("answer 3", "answer 2")),
        ((1.0, 3.0, 3.0, 1.0), ("answer 1", "answer 0")),  # of equals the one that was drawn first
        ((-1.0, -0.5), ("answer 1", "answer 0")),
        ((0.0, -1.0), ("answer 0", "answer 1")),
    ],
)
def test_the_best_response_against_the_worst(rewards: tuple[float | None, ...], pair: tuple[str, str]) -> None:
    found = best_and_worst(ranked(*rewards))
    assert isinstance(found, PreferenceRow)
    assert (found.id, found.chosen, found.rejected) == ("p/1", *pair)


@pytest.mark.parametrize(
    ("rewards", "why"), [((2.0, 2.0, None), "tie"), ((1.0, None), "too-few"), ((None, None), "too-few")]
)
def test_no_pair_and_why(rewards: tuple[float | None, ...], why: str) -> None:
    assert best_and_worst(ranked(*rewards)) == why


def test_prompts_of_every_kind_of_rows() -> None:
    ask, answer, more = Message("user", "ask"), Message("assistant", "answer"), Message("user", "more")
    pair = PreferenceRow("d/1", "d", (ask,), "good", "bad")
    chats = [
        ChatRow("d/1", "d", (ask, answer, more, answer)),
        ChatRow("d/2", "d", (ask,)),  # nobody answers
        ChatRow("d/3", "d", (answer, ask)),  # begins with the answer, so that nothing is asked
    ]
    choice = ChoiceRow("d/1", "d", "", "", "ask", ("yes", "no"), 0)
    request = RequestRow("d/1", "d", "c", "ask")
    for rows, kind, expected in (
        ([pair], PreferenceRow, [(ask,)]),
        (chats, ChatRow, [(ask, answer, more), None, None]),
        ([choice], ChoiceRow, [(Message("user", "ask!"),)]),
        ([request], RequestRow, [(ask,)]),
    ):
        found = prompts_of(to_table(rows, kind), "{{ question }}!")  # type: ignore[arg-type,type-var]
        assert [prompt and prompt.messages for prompt in found] == expected
    with pytest.raises(PrimumError, match="hold no prompts"):
        list(prompts_of(to_table([TextRow("d/1", "d", "text")], TextRow), ""))


def test_a_prompt_as_one_text() -> None:
    assert prompt_text([Message("user", "ask")]) == "ask"
    assert prompt_text([Message("system", "be kind"), Message("user", "ask")]) == "SYSTEM: be kind\nUSER: ask"
