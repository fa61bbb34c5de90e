"""Which functions of a module differ: what counts for a result, and nothing else."""

from __future__ import annotations

import pytest

from primum.trace.functions import changed_parts

OLD = '''"""A module."""
import json
from primum.errors import PrimumError

LIMIT = 3


def one(x):
    """Says."""
    return x + LIMIT


def two(x):
    if x < 0:
        raise PrimumError(f"{x}: too small")
    return x


class Kind:
    size = 1

    def grow(self):
        return self.size + 1

    def shrink(self):
        return self.size - 1
'''


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x + LIMIT", "x - LIMIT", ["function one changed"]),
        ("LIMIT = 3", "LIMIT = 4", ["constant LIMIT changed"]),
        ("import json", "import csv", ["its imports changed"]),
        ("self.size + 1", "self.size + 2", ["method Kind.grow changed"]),
        ("size = 1", "size = 2", ["class Kind changed"]),
        ("class Kind:", "class Kind(dict):", ["class Kind changed"]),
        ("\n\ndef two(x):", "\n\ndef three(x):", ["function three is new", "function two is gone"]),
        ("    def grow(", "    def grew(", ["method Kind.grew is new", "method Kind.grow is gone"]),
        # What does not count beside what does: a docstring, the words of an error, a comment.
        ('"""Says."""\n    return x + LIMIT', '"""Tells."""\n    return x + LIMIT  # so', []),
    ],
)
def test_what_changed(old: str, new: str, said: list[str]) -> None:
    assert old in OLD
    assert [text for text, _ in changed_parts(OLD, OLD.replace(old, new))] == said


def test_words_beside_code_are_left_out() -> None:
    new = OLD.replace("too small", "below zero").replace("x + LIMIT", "x - LIMIT")
    assert changed_parts(OLD, new) == [("function one changed", 8)]


def test_words_alone_are_told() -> None:
    # They made another digest only because somebody reads them.
    assert changed_parts(OLD, OLD.replace("too small", "below zero")) == [("function two changed", 13)]


def test_what_is_no_python_is_not_told() -> None:
    assert changed_parts(OLD, "def (") == []
