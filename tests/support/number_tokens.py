"""A tokenizer of numbers, for tests that write down tokens by hand."""

from __future__ import annotations

from dataclasses import dataclass

BOS, EOS, BLANK = 1, 2, 9


@dataclass(frozen=True)
class Tokens:
    """1 begins a text, 2 ends a turn, 3 is an added token, 9 is a line end, and all others are words."""

    bos_token_id: int | None = BOS
    eos_token_id: int = EOS

    def get_added_vocab(self) -> dict[str, int]:
        return {"<|end|>": 3}

    def decode(self, ids: list[int], **_: bool) -> str:
        return "\n" if ids == [BLANK] else f"t{ids[0]}"
