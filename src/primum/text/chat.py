"""Conversations as tokens: the Llama-3 chat format for models made here, and any tokenizer's own template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jinja2 import TemplateError

from primum.errors import PrimumError
from primum.text.packing import IGNORED, Sample
from primum.text.rows import Message

BOS, EOS, EOT = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
HEADER = ("<|start_header_id|>", "<|end_header_id|>")
SPECIAL_TOKENS = (BOS, EOS, *HEADER, EOT)
# The format of the Llama 3 model card: one BOS, then header, blank line, text and <|eot_id|> for every turn.
LLAMA3_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)


# Some templates (Llama 3.2's) put today's date into the system turn; the result must not depend on the day.
_DATE = "26 Jul 2024"


@lru_cache(maxsize=4)
def _specials(tokenizer: Any) -> tuple[str, ...]:
    found = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted(token for token in found if len(token) > 1))


def harmless(tokenizer: Any, text: str) -> str:
    """``text`` with special tokens that it spells out broken up (``< |eot_id|>``), so that it cannot end its own turn."""
    for token in _specials(tokenizer):
        if token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def render(tokenizer: Any, messages: Sequence[Message], generation_prompt: bool) -> str:
    """The conversation as text in ``tokenizer``'s own chat template, special tokens included.

    PrimumError when there is no template, or when it refuses the roles.
    """
    if tokenizer.chat_template is None:
        raise PrimumError(f"{tokenizer.name_or_path}: has no chat template: use a model with one")
    turns = [{"role": message.role, "content": harmless(tokenizer, message.content)} for message in messages]
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=generation_prompt, strftime_now=lambda _: _DATE
        )
    except TemplateError:
        roles = ", ".join(message.role for message in messages) or "none"
        raise PrimumError(f"{tokenizer.name_or_path}: its chat template refuses the roles {roles}") from None
    return text


def assistant_spans(tokenizer: Any, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    """The rendered conversation and the character spans of what the model is to write: each assistant turn up to its end.

    A span runs from the end of the generation prompt to the end of the turn, ``<|eot_id|>`` included. PrimumError when
    the template renders a conversation's start differently once more turns follow, since then no span can be told.
    """
    full = render(tokenizer, messages, generation_prompt=False)
    spans = []
    for index, message in enumerate(messages):
        if message.role != "assistant":
            continue
        start = render(tokenizer, messages[:index], generation_prompt=True)
        end = render(tokenizer, messages[: index + 1], generation_prompt=False)
        if not (full.startswith(end) and end.startswith(start)):
            raise PrimumError(
                f"{tokenizer.name_or_path}: its chat template rewrites earlier turns: loss spans are unclear"
            )
        spans.append((len(start), len(end)))
    return full, spans


def tokenize_conversation(tokenizer: Any, messages: Sequence[Message], train_on_inputs: bool) -> Sample:
    """Token ids with exactly the template's BOS, and labels on the assistant's tokens (or on all)."""
    # Spans are told by where tokens end: tokenizers that trim their offsets report a space as starting where it ends.
    text, spans = assistant_spans(tokenizer, messages)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = np.array(encoded["input_ids"], dtype=np.int32)
    if train_on_inputs:
        return Sample(ids, ids)
    labels = np.full(len(ids), IGNORED, dtype=np.int32)
    ends = np.array([end for _, end in encoded["offset_mapping"]], dtype=np.int64)
    for start, end in spans:
        inside = (ends > start) & (ends <= end)
        labels[inside] = ids[inside]
    return Sample(ids, labels)
