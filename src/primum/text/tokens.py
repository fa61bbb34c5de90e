"""Conversations as tokens, and which of them a model is to write."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from primum.errors import PrimumError
from primum.text.chat import answered, assistant_spans
from primum.text.packing import IGNORED, Sample
from primum.text.rows import Message


def answer_tokens(tokenizer: Any, messages: Sequence[Message], response: str) -> tuple[list[int], int]:
    """The token ids of the conversation that ends with ``response``, and how many of them come before it.

    It is rendered and tokenised as a whole, as a model reads it, and split where the response begins: a tokenizer that marks
    the start of a text (SentencePiece's) would mark that of a response by itself. A token that reaches over the place belongs to
    the response. PrimumError as :func:`answered`.
    """
    text, begin = answered(tokenizer, messages, response)
    (encoding,) = _encoded(tokenizer, [text])
    return encoding.ids, _tokens_up_to(tokenizer, encoding, begin)


def tokenize_conversations(
    tokenizer: Any, conversations: Iterable[Sequence[Message]], train_on_inputs: bool
) -> list[Sample | None]:
    """Of each conversation its token ids with exactly the template's BOS, and labels on the assistant's tokens (or on all).

    None of one that :func:`assistant_spans` refuses.
    """
    rendered: list[tuple[str, list[tuple[int, int]]] | None] = []
    for messages in conversations:
        try:
            rendered.append(assistant_spans(tokenizer, messages))
        except PrimumError:
            rendered.append(None)
    texts = [each[0] for each in rendered if each is not None]
    encodings = iter(_encoded(tokenizer, texts) if texts else ())
    return [
        None if each is None else _sample(tokenizer, next(encodings), each[1], train_on_inputs) for each in rendered
    ]


def _encoded(tokenizer: Any, texts: list[str]) -> list[Any]:
    """Encodings of the tokenizers library."""
    found: list[Any] = tokenizer(texts, add_special_tokens=False, return_attention_mask=False).encodings
    return found


def _sample(tokenizer: Any, encoding: Any, spans: Sequence[tuple[int, int]], train_on_inputs: bool) -> Sample:
    ids = np.array(encoding.ids, dtype=np.int32)
    if train_on_inputs:
        return Sample(ids, ids)
    labels = np.full(len(ids), IGNORED, dtype=np.int32)
    for span in spans:
        first, last = (_tokens_up_to(tokenizer, encoding, place) for place in span)
        labels[first:last] = ids[first:last]
    return Sample(ids, labels)


def _tokens_up_to(tokenizer: Any, encoding: Any, place: int) -> int:
    """How many of the tokens of ``encoding`` (of the tokenizers library) end at or before a character's ``place`` in the text.

    Told by where tokens end: tokenizers that trim their offsets report a space as starting where it ends. Without the white
    space that a special token may swallow behind it, as Phi-3's do: that is the beginning of what follows.
    """
    # Ends ascend, so a few of them tell; as a list of pairs all of them would take a tenth of the time of tokenising.
    lengths = _swallowing(tokenizer)
    ids = encoding.ids if lengths else ()

    def end(token: int) -> int:
        first: int
        last: int
        first, last = encoding.token_to_chars(token)
        return min(last, first + lengths[ids[token]]) if lengths and ids[token] in lengths else last

    return bisect_right(range(len(encoding)), place, key=end)


@lru_cache(maxsize=4)
def _swallowing(tokenizer: Any) -> dict[int, int]:
    return {id: len(str(token)) for id, token in tokenizer.added_tokens_decoder.items() if token.rstrip}
