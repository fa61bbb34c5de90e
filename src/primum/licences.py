"""What licences ask of whoever trains on the data, or from the model, that they are of.

By the identifiers of SPDX (https://spdx.org/licenses) and those that the Hugging Face hub has besides. No advice on law: what a
licence asks stands in its own text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Identifiers, without their versions, that ask for no more than to name whom something is from, and to keep the notice.
_OPEN = frozenset(
    (
        "apache",
        "mit",
        "bsd",
        "isc",
        "zlib",
        "unlicense",
        "cc0",
        "pddl",
        "wtfpl",
        "afl",
        "cc-by",
        "odc-by",
        "cdla-permissive",
    )
)
_CONDITIONS = {
    "nc": "forbid commercial use",
    "nd": "forbid to pass on what is changed",
    "sa": "ask that what is made of it is passed on under the same licence",
}
_OWN = "have terms of their own"
_UNKNOWN = "have no licence that is known"
# Each condition with the mark that it has where there is no room for its words.
MARKS = {**{words: part.upper() for part, words in _CONDITIONS.items()}, _OWN: "own", _UNKNOWN: "?"}


def conditions(licence: str) -> tuple[str, ...]:
    """What ``licence`` asks for beyond a notice, in words; nothing for an open one.

    Creative Commons' parts are read off its name. GPL and ODbL ask for the same licence. Any other name is of terms of its own.
    """
    name = licence.strip().lower()
    if name in ("", "unknown", "other", "cc"):
        return (_UNKNOWN,)
    stem = re.sub(r"-v?\d.*$", "", name)
    if re.fullmatch(r"cc-by(-(nc|nd|sa))+", stem):
        parts = stem.split("-")
        return tuple(words for part, words in _CONDITIONS.items() if part in parts)
    if re.fullmatch(r"[al]?gpl|odbl", stem):
        return (_CONDITIONS["sa"],)
    return () if stem in _OPEN else (_OWN,)


def asking(entries: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Condition -> the entries (name, licence) that ask for it, each with its licence; no condition that none asks for."""
    found: dict[str, list[str]] = {words: [] for words in MARKS}
    for name, licence in entries:
        for words in conditions(licence):
            found[words].append(name if words == _UNKNOWN else f"{name} ({licence})")
    return {words: names for words, names in found.items() if names}


def told(entries: Iterable[tuple[str, str]]) -> list[str]:
    """A line a condition: how many entries ask for it, and which, each with its licence. None where all are open."""
    return [f"{len(names)} {words}: {', '.join(names)}" for words, names in asking(entries).items()]
