"""lm-eval's filters (``lm_eval.filters`` 0.4.13): what of an answer is compared with its target.

A pipeline turns the answers to one question (as many as it was asked times) into one text.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from primum.errors import PrimumError

INVALID = "[invalid]"
_NUMBER = r"#### (\-?[0-9\.\,]+)"
Step = Callable[[list[str], Mapping[str, Any]], list[str]]


def read(
    pipeline: Sequence[Mapping[str, Any]], answers: Sequence[str], document: Mapping[str, Any]
) -> tuple[str, bool]:
    """What the filters make of ``answers``, and whether it is what one of them falls back to where it finds nothing."""
    found = list(answers)
    fallbacks = set()
    for given in pipeline:
        options = {key: value for key, value in given.items() if key != "function"}
        if given["function"] in ("regex", "multi_choice_regex"):
            fallbacks.add(str(options.get("fallback", INVALID)))
        found = _FILTERS[given["function"]](**options)(found, document)
    return found[0], found[0] in fallbacks


def _regex(regex_pattern: str = _NUMBER, group_select: int = 0, fallback: str = INVALID) -> Step:
    pattern = _compiled(regex_pattern)

    def one(answer: str) -> str:
        found = _match(pattern, answer, group_select)
        return fallback if found is None else found

    return lambda answers, _: [one(answer) for answer in answers]


def _match(pattern: re.Pattern[str], text: str, select: int, empty: str | None = None) -> str | None:
    """The match number ``select``, of several groups the first that is not empty; ``empty`` where all of them are."""
    if not (found := pattern.findall(text)):
        return None
    if not -len(found) <= select < len(found):
        raise PrimumError(f"group_select {select}: there are {len(found)} matches: lm-eval fails here too")
    match = found[select]
    if isinstance(match, tuple):
        match = next((group for group in match if group), empty)
    return None if match is None else str(match).strip()


def _multi_choice_regex(
    regex_pattern: str = _NUMBER,
    group_select: int = 0,
    fallback: str = INVALID,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    regexes_to_ignore: Sequence[str] | None = None,
) -> Step:
    """By the pattern; else by the text of one of the document's ``choices``; else by a letter behind a colon."""
    pattern = _compiled(regex_pattern)

    def without(text: str) -> str:
        for each in regexes_to_ignore or ():
            text = re.sub(each, "", text)
        text = text.lower() if ignore_case else text
        return text.translate(_punctuation()) if ignore_punctuation else text

    def one(answer: str, options: Sequence[str]) -> str:
        lettered = [f"({chr(ord('A') + place)})" for place in range(len(options))]
        by_text = dict(zip((without(option.strip()) for option in options), lettered, strict=True))
        texts = sorted((without(option.strip()) for option in options), key=len, reverse=True)
        letters = {letter[1]: letter for letter in lettered}
        if found := _match(pattern, answer, group_select, empty=""):
            return found
        if found := _match(_alternatives(tuple(texts), ""), without(answer), group_select, empty=""):
            return by_text.get(found, found)
        if found := _match(_alternatives(tuple(letters), r":[\s]*"), answer, group_select, empty=""):
            return letters.get(found, found)
        return fallback

    return lambda answers, document: [one(answer, document["choices"]) for answer in answers]


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _alternatives(texts: tuple[str, ...], before: str) -> re.Pattern[str]:
    alternatives = "|".join(map(re.escape, texts))
    return re.compile(f"{before}({alternatives})" if before else alternatives)


@cache
def _punctuation() -> dict[int, None]:
    return dict.fromkeys(n for n in range(sys.maxunicode) if unicodedata.category(chr(n)).startswith("P"))


def _map(mapping_dict: Mapping[Any, Any], default_value: Any = None) -> Step:
    return lambda answers, _: [str(mapping_dict.get(answer, default_value)) for answer in answers]


def _take_first_k(k: int) -> Step:
    return lambda answers, _: answers[:k]


def _plain(change: Callable[[str], str]) -> Callable[[], Step]:
    return lambda: lambda answers, _: [change(answer) for answer in answers]


_FILTERS: Mapping[str, Callable[..., Step]] = {
    "regex": _regex,
    "multi_choice_regex": _multi_choice_regex,
    "map": _map,
    "remove_whitespace": _plain(str.strip),
    "lowercase": _plain(str.lower),
    "uppercase": _plain(str.upper),
    "take_first": lambda: lambda answers, _: answers[:1],
    "take_first_k": _take_first_k,
    # Of equally many the one that was there first.
    "majority_vote": lambda: lambda answers, _: [Counter(answers).most_common(1)[0][0]],
}
