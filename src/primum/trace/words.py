"""What each stage did, as one sentence made from an artifact's spec and counts, and the settings that the sentence leaves out.

Specs hold prompts, rubrics and policies. No text is told, only how long it is and how its hash begins: what has a space in it
is text, and so is all that is below a key of ``_TEXTS``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from primum.artifact.canonical import canonical_json

# Keys of specs whose values are words to models and judges, or about them, however short.
_TEXTS = frozenset(
    {"template", "policies", "canary", "system", "description", "samples", "process_docs", "process_results"}
    | {
        "doc_to_text",
        "doc_to_target",
        "doc_to_choice",
        "choice_prompt",
        "choice_answer",
        "judges",
        "title",
        "disclaimer",
    }
    | {"request", "response", "functions", "source"}
)
# Names, numbers, addresses and paths; and white space, such as a delimiter.
_NAME = re.compile(r"[\w.:/@+*=,-]{1,120}|\s{1,8}")
_LISTED = 6


@dataclass
class Said:
    """What is known of an artifact, and which of it the ``sentence`` has said. Keys of ``item`` go before those of ``common``."""

    item: Mapping[str, Any]
    common: Mapping[str, Any]
    counts: Mapping[str, Any]
    names: Mapping[str, Sequence[str]]
    sentence: str = ""
    _said: set[str] = field(default_factory=set, init=False)
    _counted: set[str] = field(default_factory=set, init=False)

    def get(self, key: str) -> Any:
        """A setting, which is then said; None where there is none."""
        self._said.add(key)
        return self.item[key] if key in self.item else self.common.get(key)

    def within(self, key: str, name: str) -> Any:
        """The entry ``name`` of a setting that is a mapping, which alone is then said; None where there is none."""
        self._said.add(f"{key}.{name}")
        found = self.item[key] if key in self.item else self.common.get(key)
        return (found or {}).get(name)

    def count(self, key: str) -> int:
        """A count, which is then said; 0 where there is none."""
        self._counted.add(key)
        found = self.counts.get(key, 0)
        return found if isinstance(found, int) else 0

    def of(self, role: str, most: int = 1) -> str:
        """The names of a role's inputs; how many they are beyond ``most``, "nothing" where there are none."""
        found = list(dict.fromkeys(self.names.get(role, ())))
        return ", ".join(found) if 0 < len(found) <= most else f"{len(found)} of {role}" if found else "nothing"

    def left(self) -> dict[str, Any]:
        """All settings; :meth:`is_said` knows by its path which were said."""
        return {**self.common, **self.item}

    def is_said(self, path: str) -> bool:
        """Whether the setting at ``path`` (``sampling.temperature``) was said."""
        return path in self._said

    def left_counts(self) -> dict[str, Any]:
        """The counts that were not said."""
        return {key: value for key, value in self.counts.items() if key not in self._counted}


def number(value: float) -> str:
    """A number as people read it: thousands apart, at most six digits of a fraction."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def hidden(value: Any) -> str:
    """How long a text is and how its hash begins; of several texts together."""
    if isinstance(value, str):
        text, what = value, "a text"
    else:
        text, what = canonical_json(value), plural(len(value), "text")
    return f"{what} of {len(text):,} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def told(value: Any) -> str:
    """A setting as it is printed. Text is not: see the module's head."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str):
        return (value if value.strip() else json.dumps(value)) if _NAME.fullmatch(value) else hidden(value)
    if isinstance(value, list | tuple):
        shown = ", ".join(told(each) for each in value[:_LISTED])
        return f"[{shown}{f' and {len(value) - _LISTED} more' if len(value) > _LISTED else ''}]"
    return hidden(json.dumps(value, sort_keys=True))


def settings(said: Said) -> dict[str, str]:
    """The settings that a sentence left out, each under its path (``sampling.temperature``). What is empty is left out, too."""
    found: dict[str, str] = {}

    def add(path: str, value: Any) -> None:
        if value is None or value in ("", [], {}) or said.is_said(path):
            return
        key = path.rpartition(".")[2]
        if key in _TEXTS:
            if value not in ({"default": ""}, "choices", "target"):
                found[path] = hidden(value) if isinstance(value, str | list | dict) else told(value)
        elif isinstance(value, Mapping):
            for name, each in value.items():
                add(f"{path}.{told(name)}" if path else told(name), each)
        elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
            found[path] = hidden(value)
        else:
            found[path] = told(value)

    add("", said.left())
    return found


def counted(said: Said) -> dict[str, Any]:
    """The counts that a sentence left out, but for zeros; those within others under their path."""
    found: dict[str, Any] = {}
    for key, value in said.left_counts().items():
        if isinstance(value, Mapping):
            found |= {
                f"{told(key)}.{told(name)}": each for name, each in value.items() if isinstance(each, int) and each
            }
        elif isinstance(value, int | float) and value:
            found[told(key)] = value
    return found
