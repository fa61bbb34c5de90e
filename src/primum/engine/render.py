"""Conversations as token ids: the same for both engines that run in process.

A model gets its own chat template with the generation prompt, and one without is not asked. A published wording
(:mod:`primum.text.published`) is read as it is, without a template. Either way there is one BOS, where the tokenizer has one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from primum.engine.protocol import REFUSED, Conversation, Response, clean
from primum.errors import PrimumError
from primum.text.chat import harmless, render
from primum.text.published import VERBATIM, is_text
from primum.text.rows import Message

_THINK, _CHANNEL = "<think>", "<|channel|>"
_TAIL = 8  # tokens that hold a template's <think> and the line end behind it, however they are cut


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model's folder, from the disk alone. PrimumError if there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrimumError(f"{folder}: no tokenizer can be loaded ({type(error).__name__}): get it again") from None


def end_tokens(tokenizer: Any, folder: Path) -> list[int]:
    """What ends a turn: ``<|eot_id|>``, the tokenizer's EOS and those of generation_config.json and config.json."""
    found: set[int] = set()
    vocabulary = tokenizer.get_vocab()
    for token in ("<|eot_id|>", tokenizer.eos_token):
        if token in vocabulary:
            found.add(vocabulary[token])
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            ids = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            found.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    if not found:
        raise PrimumError(f"{folder}: no end-of-turn token: name one as eos_token_id in generation_config.json")
    return sorted(found)


def context_length(folder: Path, max_length: int) -> int:
    """``max_length`` tokens, or what the model was made for if that is less."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    limit = config.get("max_position_embeddings")
    return min(max_length, limit) if isinstance(limit, int) else max_length


def prompt_limit(folder: Path, max_length: int, max_tokens: int) -> int:
    """How many tokens a prompt may have so that ``max_tokens`` fit behind it. PrimumError if that leaves none."""
    limit = context_length(folder, max_length) - max_tokens
    if limit < 1:
        raise PrimumError(
            f"{folder}: max_tokens {max_tokens} fills all of {limit + max_tokens} tokens: lower max_tokens"
        )
    return limit


def prompts_within(
    tokenizer: Any, conversations: Sequence[Conversation], limit: int
) -> tuple[dict[int, list[int]], dict[int, Response]]:
    """The token ids of the conversations of at most ``limit`` tokens, by their places; and the responses to all others.

    ``prompt-too-long``, or the error :data:`primum.engine.protocol.REFUSED` where the model's template refuses a conversation.
    PrimumError where it refuses all of them.
    """
    asked: dict[int, list[int]] = {}
    others: dict[int, Response] = {}
    for place, conversation in enumerate(conversations):
        try:
            ids = prompt_ids(tokenizer, conversation)
        except PrimumError:
            if place + 1 == len(conversations) and not asked and all(each.error for each in others.values()):
                raise
            others[place] = Response("", "error", error=REFUSED)
            continue
        if len(ids) > limit:
            others[place] = Response("", "prompt-too-long", len(ids))
        else:
            asked[place] = ids
    return asked, others


def prompt_ids(tokenizer: Any, conversation: Conversation) -> list[int]:
    """The token ids of a conversation, up to and with the generation prompt.

    Special tokens spelled out in a message are broken up (``< |eot_id|>``), so that no text can end its own turn.
    Those of a published wording itself are what its authors mean. PrimumError when the model has no template, or when that
    refuses the roles that a conversation uses.
    """
    turns = [Message(message.role, clean(message.content)[0]) for message in conversation]
    if is_text(turns):
        text = "".join(t.content if t.role == VERBATIM else harmless(tokenizer, t.content) for t in turns)
    elif tokenizer.chat_template is None:
        raise PrimumError(
            f"{tokenizer.name_or_path}: has no chat template: give the model a 'template'; 'bare' asks the request alone"
        )
    else:
        text = render(tokenizer, turns, generation_prompt=True)
    return _one_bos(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])


def answer_text(
    tokenizer: Any, new: Sequence[int], ends: Sequence[int], prompt: Sequence[int] = ()
) -> tuple[str, int | None]:
    """The text of the token ids that followed a prompt, up to the first of ``ends``, and where that was, if at all.

    What marks a model's thinking stays in it: the channels of gpt-oss, which are special tokens, and the ``<think>`` that some
    templates put at the end of the ``prompt``.
    """
    end = next((position for position, token in enumerate(new) if token in ends), None)
    channels = _CHANNEL in tokenizer.get_added_vocab()
    text: str = tokenizer.decode(list(new) if end is None else list(new[:end]), skip_special_tokens=not channels)
    opened = tokenizer.decode(list(prompt[-_TAIL:])).rstrip().endswith(_THINK)
    return (f"{_THINK}{text}" if opened else text), end


def _one_bos(tokenizer: Any, ids: list[int]) -> list[int]:
    bos = tokenizer.bos_token_id
    if bos is None:
        return ids
    start = 0
    while start < len(ids) and ids[start] == bos:
        start += 1
    has_bos = start > 0 or tokenizer("")["input_ids"][:1] == [bos]
    return [bos, *ids[start:]] if has_bos else ids[start:]
