"""Preference pairs as tokens."""

from __future__ import annotations

from typing import Any

from primum.text.chat import answered, ends_of
from primum.text.rows import PreferenceRow


def tokenize_pair(tokenizer: Any, row: PreferenceRow, limit: int) -> tuple[dict[str, Any] | None, list[str]]:
    """The pair as tokens, at most ``limit`` a sequence (responses lose their end), and its outcome.

    Each conversation is rendered and tokenised as a whole, as a model reads it, and split where its response begins: a
    tokenizer that marks the start of a text (SentencePiece's) would mark that of a response by itself. The prompt is what the
    two have in common before that; a token that reaches over the place belongs to the response.
    """
    sides, starts = [], []
    for response in (row.chosen, row.rejected):
        text, begin = answered(tokenizer, row.prompt, response)
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        sides.append(encoded["input_ids"])
        starts.append(int((ends_of(tokenizer, encoded) <= begin).sum()))
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
