"""Thinking is told from the answer in every form that models write it in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.text.thinking import Said, behind_thinking, separate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Answer: B", Said("Answer: B", "", False)),
        ("<think>A or B?</think>Answer: B", Said("Answer: B", "A or B?", False)),
        ("<think>\n</think>\n\nB", Said("\n\nB", "\n", False)),  # thinking switched off
        ("A or B?</think>B", Said("B", "A or B?", False)),  # the template began it
        ("<think>Answer: A", Said("", "Answer: A", True)),  # cut off
        ("<think>a</think>B<think>c</think>", Said("B", "ac", False)),
        ("<think>a</think>B<think>c", Said("B", "ac", True)),
        ("[THINK]a[/THINK]B", Said("B", "a", False)),
        ("<thinking>a</thinking>B", Said("B", "a", False)),
        (
            "<|channel|>analysis<|message|>A?<|end|><|start|>assistant<|channel|>final<|message|>Answer: B",
            Said("Answer: B", "A?", False),
        ),
        (
            "<|channel|>analysis<|message|>A?<|end|><|start|>assistant<|channel|>commentary to=f<|message|>f()<|call|>",
            Said("", "A?f()", True),
        ),
        ("<|channel|>analysis<|message|>Answer: A", Said("", "Answer: A", True)),
        ("<|channel|>final<|message|>B<|return|>", Said("B", "", False)),
    ],
)
def test_forms(text: str, said: Said) -> None:
    assert separate(text) == said


def test_what_an_endpoint_gives_apart() -> None:
    assert separate("Answer: B", "A or B?") == Said("Answer: B", "A or B?", False)
    assert separate("", "A or B?") == Said("", "A or B?", True)


_TEXT = st.text(st.characters(exclude_characters="<>[]|", codec="utf-8"))


@given(_TEXT, _TEXT)
def test_no_character_is_lost_or_in_both(thinking: str, answer: str) -> None:
    assert separate(f"<think>{thinking}</think>{answer}") == Said(answer, thinking, False)
    channels = f"<|channel|>analysis<|message|>{thinking}<|end|><|start|>assistant<|channel|>final<|message|>{answer}"
    assert separate(channels) == Said(answer, thinking, False)
    assert separate(answer) == Said(answer, "", False)


def test_what_stands_behind_the_last_thought_is_one_piece() -> None:
    assert behind_thinking("plain") == "plain"
    assert behind_thinking("<think>a</think> b <think>c</think>\nd") == "\nd"
    assert behind_thinking("a</think>b") == "b"
    assert behind_thinking("b<think>a") == ""
    assert behind_thinking("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b<|return|>") == "b"
    assert behind_thinking("<|channel|>analysis<|message|>a") == ""
