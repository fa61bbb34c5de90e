"""One conversation at a time, as tests ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from primum.text.chat import assistant_spans
from primum.text.packing import Sample
from primum.text.rows import Message
from primum.text.tokens import tokenize_conversations


def tokenize_conversation(tokenizer: Any, messages: Sequence[Message], train_on_inputs: bool) -> Sample:
    """The sample of one conversation; raises where the chat template refuses it."""
    (sample,) = tokenize_conversations(tokenizer, [messages], train_on_inputs)
    if sample is None:
        assistant_spans(tokenizer, messages)
    assert sample is not None
    return sample
