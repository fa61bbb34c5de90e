"""Conversations as a model reads them: the Llama-3 chat format for models made here, and any tokenizer's own template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

from primum.errors import PrimumError
from primum.text.rows import Message
from primum.text.templates import is_folded, marks_turns, trained_by

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
_THOUGHT = re.compile(r"</?think>")


@lru_cache(maxsize=4)
def _specials(tokenizer: Any) -> tuple[str, ...]:
    found = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    return tuple(sorted(token for token in found if len(token) > 1))


@lru_cache(maxsize=16)
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
    check_spans(tokenizer)
    return _spans(tokenizer, _trained_by(tokenizer), messages)


def check_spans(tokenizer: Any) -> None:
    """PrimumError where :func:`assistant_spans` can take no conversation at all, whatever it says."""
    if not _learns_answers(tokenizer, _trained_by(tokenizer)):
        raise PrimumError(
            f"{tokenizer.name_or_path}: its chat template leaves an answer or the end of a turn out of what is learned, or that "
            f"end is no special token: {_REMEDY}"
        )


def check_answers(tokenizer: Any) -> None:
    """PrimumError where :func:`answered` can take no conversation at all, whatever it says."""
    if not _can_be_split(tokenizer, _own(tokenizer)):
        check_spans(tokenizer)


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
    tokenizer: Any, template: str, messages: Sequence[Message], generation_prompt: bool, thoughts: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """The text, and what the template marks in it as the assistant's.

    With ``thoughts`` what stands before ``</think>`` must be in it too, which many templates leave out of earlier turns.
    """
    parts = _takes_parts(tokenizer, template)
    texts = [harmless(tokenizer, message.content) for message in messages]
    turns = [_turn(message.role, text, parts) for message, text in zip(messages, texts, strict=True)]
    roles = [message.role for message in messages]
    text, spans = _apply(tokenizer, template, turns, generation_prompt)
    remedy = ": set 'fold_system: true'" if roles[:2] == ["system", "user"] and not is_folded(template) else ""
    if text is None:
        missing = ", and the tokenizer has no end token" if tokenizer.eos_token is None else ""
        raise PrimumError(
            f"{tokenizer.name_or_path}: its chat template refuses the roles {', '.join(roles) or 'none'}{missing}{remedy}"
        )
    left_out = _left_out(text, list(zip(roles, texts, strict=True)), thoughts)
    if left_out is not None:
        remedy = remedy if roles[left_out] == "system" and remedy else f": {_REMEDY}"
        raise PrimumError(
            f"{tokenizer.name_or_path}: its chat template leaves out some of turn {left_out + 1} ({roles[left_out]}){remedy}"
        )
    return text, spans


def _left_out(text: str, turns: Sequence[tuple[str, str]], thoughts: bool) -> int | None:
    """The first turn (role and text) that is not in ``text``, in the order of turns; a system turn may be anywhere."""
    place = 0
    for number, (role, said) in enumerate(turns):
        pieces = _THOUGHT.split(said) if thoughts else [said.rpartition("</think>")[2]]
        for piece in filter(None, map(str.strip, pieces)):
            found = text.find(piece, 0 if role == "system" else place)
            if found < 0:
                return number
            if role != "system":
                place = found + len(piece)
    return None


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
    except (TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return None, []
    return texts[0], [(start, end) for start, end in (spans or [[]])[0] if end > start]


_PROBE = (Message("user", "Word of the user"), Message("assistant", "Word of the model"))


@lru_cache(maxsize=16)
def _takes_parts(tokenizer: Any, template: str) -> bool:
    """Whether a message's text is to be a list of parts: templates of models that see images drop a string, and say nothing."""
    for parts in (False, True):
        text = _apply(tokenizer, template, [_turn(each.role, each.content, parts) for each in _PROBE], False)[0]
        if text is not None and all(message.content in text for message in _PROBE):
            return parts
    return False  # whoever renders is told what is wrong


def _spans(tokenizer: Any, template: str, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
    text, marked = _render(tokenizer, template, messages, False, thoughts=True)
    asked = [i for i, message in enumerate(messages) if message.role == "assistant"]
    prompts = [_render(tokenizer, template, messages[:i], True)[0] for i in asked]
    if marks_turns(template):
        # Some mark the header too, which a model is given and does not write.
        given = [len(prompt) for prompt in prompts if text.startswith(prompt)]
        return text, [(max([start, *(place for place in given if start < place < end)]), end) for start, end in marked]
    spans = []
    for index, start in zip(asked, prompts, strict=True):
        end = text if index + 1 == len(messages) else _render(tokenizer, template, messages[: index + 1], False)[0]
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
        return _learns_answers(tokenizer, template)
    except PrimumError:
        return False


@lru_cache(maxsize=16)
def _learns_answers(tokenizer: Any, template: str) -> bool:
    """Whether a model trained by ``template`` learns each answer, its end with it, and nothing that it is told: the last token of
    what it writes must be a special token, before another turn and at the end. PrimumError as in :func:`assistant_spans`, but for
    turns that are rewritten."""
    try:
        text, spans = _spans(tokenizer, template, (*_PROBE, *_PROBE))
    except PrimumError:
        text, spans = _spans(tokenizer, template, _PROBE)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    tokens = list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))
    ends = {tokenizer.eos_token_id, *tokenizer.get_added_vocab().values()}
    asked, said = (message.content for message in _PROBE)
    place = 0
    for behind in text.split(said)[1:]:
        start = text.index(said, place)
        place = start + len(said)
        stop = place + len(behind.partition(asked)[0])
        written = [
            token for token, (a, b) in tokens if place <= a < stop and text[a:b].strip() and _inside(spans, b - 1, b)
        ]
        if not _inside(spans, start, place) or not written or written[-1] not in ends:
            return False
    return not any(text.find(asked, start, end) >= 0 for start, end in spans)


def _inside(spans: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    return any(a <= start and end <= b for a, b in spans)
