"""Conversations as tokens: the Llama-3 chat format for models made here, and any tokenizer's own template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from jinja2 import TemplateError

from primum.errors import PrimumError
from primum.text.packing import IGNORED, Sample
from primum.text.rows import Message
from primum.text.templates import marks_turns, trained_by

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
_REMEDY = "name another with the key 'template'"


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

    PrimumError when there is no template, when it refuses the roles, or when it leaves out what a turn says.
    """
    return _render(tokenizer, _own(tokenizer), messages, generation_prompt)[0]


def assistant_spans(tokenizer: Any, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    """The rendered conversation and the character spans of what the model is to write: each assistant turn up to its end.

    A span runs from the end of the generation prompt to the end of the turn, ``<|eot_id|>`` included. A template that TRL has
    another of for training is rendered by that one, and so are the spans those that it marks. PrimumError when a template
    renders a conversation's start differently once more turns follow, since then no span can be told, or when the end of a
    turn would not be learned.
    """
    template = _trained_by(tokenizer)
    if not _learns_ends(tokenizer, template):
        raise PrimumError(
            f"{tokenizer.name_or_path}: its chat template leaves the end of a turn out of what is learned, or that end is no "
            f"special token: {_REMEDY}"
        )
    return _spans(tokenizer, template, messages)


def answered(tokenizer: Any, messages: Sequence[Message], response: str) -> tuple[str, int]:
    """The rendered conversation that ends with ``response``, and the character where what the model writes begins.

    In the model's own template where that begins as it does when the model is asked, and ends the turn; else as
    :func:`assistant_spans` has it. PrimumError as there.
    """
    conversation = (*messages, Message("assistant", response))
    own = _own(tokenizer)
    if _can_be_split(tokenizer, own):
        asked = _render(tokenizer, own, messages, True)[0]
        text = _render(tokenizer, own, conversation, False)[0]
        if text.startswith(asked):
            return text, len(asked)
    text, spans = assistant_spans(tokenizer, conversation)
    earlier = sum(message.role == "assistant" for message in messages)
    before = len(assistant_spans(tokenizer, messages)[1]) if earlier else 0
    return text, spans[before][0]


def _own(tokenizer: Any) -> str:
    if tokenizer.chat_template is None:
        raise PrimumError(
            f"{tokenizer.name_or_path}: has no chat template: use a model with one, or name one with the key 'template'"
        )
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError:
        raise PrimumError(f"{tokenizer.name_or_path}: none of its chat templates is the default: {_REMEDY}") from None
    return template


def _trained_by(tokenizer: Any) -> str:
    own = _own(tokenizer)
    return trained_by(own) or own


def _render(
    tokenizer: Any, template: str, messages: Sequence[Message], generation_prompt: bool
) -> tuple[str, list[tuple[int, int]]]:
    """The text, and what the template marks in it as the assistant's."""
    form = _form(tokenizer, template)
    turns = [_turn(message.role, harmless(tokenizer, message.content), form.parts) for message in messages]
    roles = ", ".join(message.role for message in messages) or "none"
    text, spans = _apply(tokenizer, template, turns, generation_prompt)
    remedy = ": set 'fold_system: true'" if any(message.role == "system" for message in messages) else ""
    if text is None:
        raise PrimumError(f"{tokenizer.name_or_path}: its chat template refuses the roles {roles}{remedy}")
    if form.leaves_out_system and remedy:
        raise PrimumError(f"{tokenizer.name_or_path}: its chat template leaves out what a system turn says{remedy}")
    return text, spans


def _turn(role: str, text: str, parts: bool) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}] if parts else text}


def _apply(
    tokenizer: Any, template: str, turns: Sequence[dict[str, Any]], generation_prompt: bool
) -> tuple[str | None, list[tuple[int, int]]]:
    """The text and the marked spans; no text where the template raises an error, of whatever kind."""
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        texts, spans = render_jinja_template(
            conversations=[list(turns)],
            chat_template=template,
            return_assistant_tokens_mask=marks_turns(template),
            add_generation_prompt=generation_prompt,
            strftime_now=lambda _: _DATE,
            **tokenizer.special_tokens_map,
        )
    except (TemplateError, TypeError, ValueError, AttributeError, LookupError):
        return None, []
    return texts[0], [(start, end) for start, end in (spans or [[]])[0] if end > start]


@dataclass(frozen=True)
class _Form:
    """How a template takes a message's text: as a string or in parts; and whether it leaves a system turn's out."""

    parts: bool
    leaves_out_system: bool


_PROBE = (Message("user", "Word of the user"), Message("assistant", "Word of the model"))
_SYSTEM = Message("system", "Word of the system")


@lru_cache(maxsize=16)
def _form(tokenizer: Any, template: str) -> _Form:
    """Found by rendering: templates of models that see images drop a text that is not in parts, and say nothing."""

    def said(messages: Sequence[Message], parts: bool) -> str | None:
        return _apply(tokenizer, template, [_turn(each.role, each.content, parts) for each in messages], False)[0]

    texts = {parts: said(_PROBE, parts) for parts in (False, True)}
    for parts, text in texts.items():
        if text is not None and all(message.content in text for message in _PROBE):
            with_system = said((_SYSTEM, *_PROBE), parts)
            return _Form(parts, with_system is not None and _SYSTEM.content not in with_system)
    if texts[False] is None:  # it refuses the roles, which whoever renders is told
        return _Form(False, False)
    raise PrimumError(f"{tokenizer.name_or_path}: its chat template leaves out what a turn says: {_REMEDY}")


def _spans(tokenizer: Any, template: str, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    text, marked = _render(tokenizer, template, messages, False)
    asked = [i for i, message in enumerate(messages) if message.role == "assistant"]
    prompts = [_render(tokenizer, template, messages[:i], True)[0] for i in asked]
    if marks_turns(template):
        # Some mark the header too, which a model is given and does not write.
        given = [len(prompt) for prompt in prompts if text.startswith(prompt)]
        return text, [(max([start, *(place for place in given if start < place < end)]), end) for start, end in marked]
    spans = []
    for index, start in zip(asked, prompts, strict=True):
        end = _render(tokenizer, template, messages[: index + 1], False)[0]
        if not end.startswith(start):
            raise PrimumError(
                f"{tokenizer.name_or_path}: its chat template rewrites what was asked once it is answered: {_REMEDY}"
            )
        if not text.startswith(end):
            raise PrimumError(f"{tokenizer.name_or_path}: its chat template rewrites earlier turns: {_REMEDY}")
        spans.append((len(start), len(end)))
    return text, spans


@lru_cache(maxsize=16)
def _can_be_split(tokenizer: Any, template: str) -> bool:
    """Whether an answer begins where what was asked ends, and ends its turn."""
    try:
        return _learns_ends(tokenizer, template)
    except PrimumError:
        return False


@lru_cache(maxsize=16)
def _learns_ends(tokenizer: Any, template: str) -> bool:
    """Whether a model trained by ``template`` learns to end a turn, before another and at the end: the last token of what it
    writes must be one of its special tokens. PrimumError as in :func:`assistant_spans`, but for turns that are rewritten."""
    try:
        text, spans = _spans(tokenizer, template, (*_PROBE, *_PROBE))
    except PrimumError:
        text, spans = _spans(tokenizer, template, _PROBE)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    learned = [
        (start, token)
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if text[start:end].strip() and any(a < end <= b for a, b in spans)
    ]
    ends = {tokenizer.eos_token_id, *tokenizer.get_added_vocab().values()}
    turns = text.split(_PROBE[1].content)
    place = 0
    for before, behind in pairwise(turns):
        place += len(before) + len(_PROBE[1].content)
        stop = place + len(behind.partition(_PROBE[0].content)[0])
        tokens = [token for start, token in learned if place <= start < stop]
        if not tokens or tokens[-1] not in ends:
            return False
    return True


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
