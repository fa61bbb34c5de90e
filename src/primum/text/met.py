"""The strict parser of a judge's answer about one criterion. What is not a verdict is never taken for "not met"."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

KEY = "criteria_met"
STATUSES = ("scored", "malformed", "several")
# What a reasoning model thought before it answered is no answer.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\Z", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Met:
    """``met`` is None unless ``status`` is ``scored``; ``explanation`` is the judge's own, empty where it gave none."""

    met: bool | None
    status: str
    explanation: str = ""


def parse_met(text: str) -> Met:
    """The verdict in a judge's answer: the whole of it is one JSON object whose ``criteria_met`` is true or false.

    It may stand in one fence of Markdown, and behind one closed ``<think>``. The key twice is ``several``; everything else is
    ``malformed``: "true" as text, 1, an object within other words. Those might be a quotation of the response that is judged.
    """
    stripped = _THOUGHT.sub("", text, count=1).strip()
    fenced = _FENCED.match(stripped)
    found: list[Any] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        # Called for inner objects before the outer one.
        found[:] = [value for key, value in members if key == KEY]
        return dict(members)

    try:
        record = json.loads(fenced[1] if fenced else stripped, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return Met(None, "malformed")
    if not isinstance(record, dict):
        return Met(None, "malformed")
    explanation = record.get("explanation")
    reason = explanation if isinstance(explanation, str) else ""
    if len(found) > 1:
        return Met(None, "several", reason)
    met = record.get(KEY)
    return Met(met, "scored", reason) if isinstance(met, bool) else Met(None, "malformed", reason)
