"""Preference pairs as tokens, and what an audit looks for in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.text.audit import Check, ends_turn, has_two_bos, refused_check, rows_check
from primum.text.rows import PreferenceRow
from primum.text.tokens import answer_tokens


def tokenize_pair(tokenizer: Any, row: PreferenceRow, limit: int) -> tuple[dict[str, Any] | None, list[str]]:
    """The pair as tokens, at most ``limit`` a sequence (responses lose their end), and its outcome.

    The prompt is what the two conversations have in common before their responses (:func:`primum.text.tokens.answer_tokens`).
    PrimumError where the chat template refuses one of them.
    """
    sides, starts = [], []
    for response in (row.chosen, row.rejected):
        ids, start = answer_tokens(tokenizer, row.prompt, response)
        sides.append(ids)
        starts.append(start)
    shared = next((i for i, (a, b) in enumerate(zip(*sides, strict=False)) if a != b), min(map(len, sides)))
    start = min(shared, *starts)
    prompt = sides[0][:start]
    if len(prompt) >= limit:
        return None, ["prompt-too-long"]
    responses = [side[start:] for side in sides]
    chosen, rejected = (response[: limit - start] for response in responses)
    if chosen == rejected:
        return None, ["equal-texts"]
    outcome = ["kept", "truncated"] if [chosen, rejected] != responses else ["kept"]
    return {"id": row.id, "prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}, outcome


def faults(tokenizer: Any, record: Mapping[str, Any], truncated: bool) -> Iterator[str]:
    """Which of the checks ``two-bos`` and ``end-unlearned`` a pair's tokens fail; what was cut need not end its turn."""
    responses = [record[f"{side}_ids"] for side in ("chosen", "rejected")]
    if any(has_two_bos(tokenizer, record["prompt_ids"] + response) for response in responses):
        yield "two-bos"
    if not truncated and not all(ends_turn(tokenizer, response) for response in responses):
        yield "end-unlearned"


def pair_checks(every: int, found: Mapping[str, Sequence[str]]) -> list[Check]:
    """The checks in the order in which people read them, from how many pairs there are, and the ids of those found, by outcome.

    A pair is cut, or does not end its turn, where one of its responses is or does not.
    """
    kept, cut = len(found.get("kept", ())), len(found.get("truncated", ()))
    template, longer = "name another chat template with the key 'template' of the reference", "raise max_length"
    return [
        refused_check(found, every, "pairs", " of the reference"),
        rows_check("end-unlearned", found, kept - cut, "pairs that are not cut", template),
        rows_check("two-bos", found, kept, "pairs that are kept", template),
        rows_check("truncated", found, every, "pairs", longer),
        rows_check("prompt-too-long", found, every, "pairs", longer),
        rows_check("equal-texts", found, every, "pairs", "check the pairs"),
    ]
