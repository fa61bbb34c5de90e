"""A judge's answer as it was kept (stages ``judge`` and ``assess``), read: its verdict, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.text.refusal import refusal_phrase
from primum.text.verdict import Verdict, parse

NO_RESPONSE, EMPTY = "no_response", "empty"
# What the engine's status of a judge's answer says where there is no verdict in it.
_NO_VERDICT = {"length": "cut", "prompt-too-long": "too_long", "no-response": NO_RESPONSE, "empty": EMPTY}
_ERRORS = {"content-filter": "filtered", "timeout": "timeout"}


def read_judgement(row: Mapping[str, Any], shown: str, highest: int = 5) -> Verdict:
    """The verdict in a row of a judge's answers; ``shown`` is the request and the response that it saw, and may quote.

    Scores are from 1 to ``highest``.

    Beside the statuses of :mod:`primum.text.verdict`: ``cut``, ``too_long``, ``filtered``, ``timeout``, ``error``,
    ``refused_by_judge``, ``no_response`` and ``empty``.
    """
    if row["status"] != "stop":
        # An answer that was cut is no verdict, whatever its last line says.
        return Verdict(None, "", _NO_VERDICT.get(row["status"]) or _ERRORS.get(row["error"], "error"))
    verdict = parse(row["raw"], row["nonce"], shown, highest)
    if verdict.status == "malformed" and row["repair_status"] == "stop":
        again = parse(row["repair"], row["nonce"], shown, highest)
        if again.status != "malformed":
            return Verdict(again.score, verdict.reason or again.reason, again.status)
    refused = verdict.status == "malformed" and refusal_phrase(row["raw"])
    return Verdict(verdict.score, verdict.reason, "refused_by_judge" if refused else verdict.status)
