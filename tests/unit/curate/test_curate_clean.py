"""Cleaning, and the words that texts are compared by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.curate.clean import clean_row, clean_text, words
from primum.text.rows import ChatRow, Message, TextRow


def test_clean_text_by_hand() -> None:
    # CRLF, a byte order mark, two tabs, a no-break space, three blank lines, spaces at line ends, e + combining acute.
    dirty = "\ufeff one\t\ttwo\u00a0three \r\n\r\n\r\n\r\n cafe\u0301\x00 \n"
    assert clean_text(dirty) == "one two three\n\ncaf\u00e9"


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert once == once.strip()
    assert "\n\n\n" not in once
    assert "\r" not in once


def _chat(*turns: tuple[str, str]) -> ChatRow:
    return ChatRow("d/1", "d", tuple(Message(*turn) for turn in turns))


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (_chat(("user", "a"), ("assistant", "b")), True),
        (_chat(("system", " "), ("user", "a"), ("assistant", "b")), True),
        (_chat(("user", "a"), ("assistant", " \n")), False),
        (_chat(("user", ""), ("assistant", "b")), False),
        (_chat(("user", "a")), False),
        (_chat(("user", "a"), ("assistant", "b"), ("user", "\x00"), ("assistant", "c")), False),
        (TextRow("d/1", "d", "\u200b "), False),
        (TextRow("d/1", "d", "x"), True),
    ],
)
def test_rows_with_nothing_to_learn_are_dropped(row: ChatRow | TextRow, kept: bool) -> None:
    assert (clean_row(row) is not None) is kept


def test_an_empty_system_turn_goes_and_the_rest_stays() -> None:
    cleaned = clean_row(_chat(("system", " "), ("user", " a "), ("assistant", "b")))
    assert cleaned == _chat(("user", "a"), ("assistant", "b"))


def test_words_ignore_case_accents_and_punctuation() -> None:
    assert words("Na\u00efve caf\u00e9s: 5-HT, it's.") == ["naive", "cafes", "5", "ht", "it", "s"]
    assert words("STRASSE") == words("stra\u00dfe") == ["strasse"]


def test_words_keep_every_script() -> None:
    assert words("TNF-\u03b1 vs TNF-\u03b2") == ["tnf", "\u03b1", "vs", "tnf", "\u03b2"]
    assert words("\u53d1\u70e7\uff0c\u54b3\u55fd") == ["\u53d1\u70e7", "\u54b3\u55fd"]
    assert words("\u043a\u0430\u0448\u0435\u043b\u044c") == ["\u043a\u0430\u0448\u0435\u043b\u044c"]
    assert words("?! ...") == []
