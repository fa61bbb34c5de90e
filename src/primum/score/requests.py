"""A benchmark's rows as (context, continuation) token pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from primum.errors import PrimumError
from primum.score.documents import (
    Document,
    choices,
    cluster,
    continuation,
    documents,
    right_input,
    several_inputs,
    target,
)
from primum.score.fewshot import Examples, Turn, pool
from primum.score.rows import Packed
from primum.text.chat import harmless, render
from primum.text.rows import ChoiceRow, DocumentRow, Message, PreferenceRow

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Question:
    """One item, asked after the examples of one seed: token ids of its context and of each choice's continuation.

    ``characters`` and ``bytes`` (of UTF-8) measure each choice's text. ``drops`` is how many tokens the context loses at its
    start before each choice, ``lost_right`` how many the longest choice has lost at its end. Of a task with several inputs
    ``contexts`` has one a choice, and ``context`` is the longest. ``fields`` is the document, for ``process_results`` alone.
    """

    id: str
    subject: str
    context: list[int]
    continuations: list[list[int]]
    characters: list[int]
    bytes: list[int]
    target: int
    drops: list[int]
    lost_right: int = 0
    item: str = ""
    seed: int = 0
    contexts: list[list[int]] = field(default_factory=list)
    fields: Mapping[str, Any] = field(default_factory=dict)
    cluster: str | None = None

    @property
    def lost_left(self) -> int:
        return max(self.drops)

    @property
    def truncated(self) -> bool:
        return self.lost_left > 0 or self.lost_right > 0

    def packed(self) -> list[tuple[list[int], Packed]]:
        """(positions of the choices, their context and continuations), once for each context as it is cut."""
        if self.contexts:
            parts = zip(self.contexts, self.continuations, self.drops, strict=True)
            return [([place], (context[drop:], [ids])) for place, (context, ids, drop) in enumerate(parts)]
        result = []
        for drop in dict.fromkeys(self.drops):
            where = [position for position, each in enumerate(self.drops) if each == drop]
            result.append((where, (self.context[drop:], [self.continuations[position] for position in where])))
        return result


@dataclass(frozen=True, slots=True)
class _Text:
    """A question before it is encoded: ``text`` up to the answer, and what follows it for each choice.

    Where ``inputs`` has a text up to the answer for each choice, it is in the place of ``text``.
    """

    question: Question
    text: str
    answers: list[str]
    inputs: list[str] = field(default_factory=list)


def questions(
    rows: Sequence[ChoiceRow | DocumentRow | PreferenceRow],
    task: Mapping[str, Any],
    tokenizer: Any,
    limit: int,
    fewshot: Sequence[ChoiceRow | DocumentRow] = (),
) -> list[Question]:
    """Every row as a Question for ``task`` (``Benchmark.asked``), once for each seed of its few-shot examples.

    As in lm-eval-harness (``TemplateLM._encode_pair``, ``HFLM.tok_encode``): white space at the context's end and the
    delimiter belong to the continuation; context and continuation are encoded together, and what comes after the context's
    own length is the continuation. The tokenizer adds the special tokens that it is made to add, unless the text begins with
    BOS already. An empty context is BOS. What the model reads, all but a choice's last token, is at most ``limit`` tokens:
    a context that is too long loses its start, for each choice as much as it needs.

    A choice of more than ``limit`` tokens, which lm-eval refuses, loses its end: of one item in thousands that is better
    reported (``lost_right``) than the whole benchmark lost.

    A held-out preference pair is a question with the choices (chosen, rejected), in that order, each a whole turn with its
    end, as in DPO's own sums: whether a response stops where it does is part of what is preferred.
    PrimumError naming the row when a choice adds no token of its own, or a template does not fit it.
    """
    asked = list(
        _preferences(rows, task, tokenizer) if task["group"] == "preference" else _asked(rows, task, tokenizer, fewshot)
    )
    result = []
    for start in range(0, len(asked), _BATCH):
        batch = asked[start : start + _BATCH]
        encoded = iter(_encode(tokenizer, [text for each in batch for text in _joined(each)]))
        result += [_split(each, encoded, tokenizer, limit) for each in batch]
    return result


def _asked(rows: Sequence[Any], task: Mapping[str, Any], tokenizer: Any, fewshot: Sequence[Any]) -> Iterator[_Text]:
    examples = Examples(pool(fewshot, task), task)
    asked = documents(rows, task)
    several = bool(asked) and several_inputs(asked[0], task)
    delimiter = _delimiter(task)
    for seed in examples.seeds:
        for document in asked:
            before = examples.before(document, seed)
            offered = choices(document, task)
            right = right_input(document, task, offered) if several else target(document, task, offered)
            id = document.id if len(examples.seeds) == 1 else f"{document.id}+{seed:04d}"
            made = replace(_question(id, offered, right), subject=document.subject, item=document.id, seed=seed)
            made = replace(made, cluster=cluster(document, task))
            if task.get("process_results"):
                made = replace(made, fields=document.fields)
            if several:
                inputs = [_context(tokenizer, task, examples, document, before, each) for each in offered]
                answer = delimiter + harmless(tokenizer, continuation(document, task))
                yield _Text(made, "", [answer] * len(inputs), inputs)
            else:
                text = _context(tokenizer, task, examples, document, before)
                yield _Text(made, text, [delimiter + harmless(tokenizer, answer) for answer in offered])


def _delimiter(task: Mapping[str, Any]) -> str:
    """What stands before the answers that are scored."""
    usual = task["target_delimiter"]
    if task["chat_template"]:
        # Under a chat template lm-eval puts nothing there, since the template ends the question itself.
        begun = task.get("gen_prefix", "")
        usual = usual if begun and not begun[-1].isspace() else ""
    delimiter: str = usual if task["delimiter"] is None else task["delimiter"]
    return delimiter


def _context(
    tokenizer: Any,
    task: Mapping[str, Any],
    examples: Examples,
    document: Document,
    before: Sequence[Turn],
    given: str | None = None,
) -> str:
    messages, plain = examples.messages(document, before, given)
    if not task["chat_template"]:
        return harmless(tokenizer, plain)
    if messages[-1].role != "assistant":
        return render(tokenizer, messages, generation_prompt=True)
    # A gen_prefix: the model goes on with what it is taken to have begun.
    return render(tokenizer, messages[:-1], generation_prompt=True) + harmless(tokenizer, messages[-1].content)


def _preferences(rows: Sequence[Any], task: Mapping[str, Any], tokenizer: Any) -> Iterator[_Text]:
    for row in rows:
        pair = [row.chosen, row.rejected]
        if task["chat_template"]:
            text = render(tokenizer, row.prompt, generation_prompt=True)
            answers = [_turn(tokenizer, row.prompt, text, response, row.id) for response in pair]
        else:
            text = harmless(tokenizer, "\n".join(message.content for message in row.prompt))
            answers = [(task["delimiter"] or "") + harmless(tokenizer, response) for response in pair]
        yield _Text(replace(_question(row.id, pair, 0), item=row.id), text, answers)


def _question(id: str, answers: Sequence[str], right: int) -> Question:
    characters, octets = [len(answer) for answer in answers], [len(answer.encode()) for answer in answers]
    return Question(id, "", [], [], characters, octets, right, [])


def _turn(tokenizer: Any, messages: Sequence[Message], prompt: str, response: str, row: str) -> str:
    """The response as the chat template renders it, its end included."""
    full = render(tokenizer, (*messages, Message("assistant", response)), generation_prompt=False)
    if not full.startswith(prompt):
        raise PrimumError(f"{row}: the chat template rewrites the prompt once it is answered: set chat_template: false")
    return full.removeprefix(prompt)


def _joined(asked: _Text) -> list[str]:
    """The context alone, then with each choice behind it; of several inputs each alone, then each with what follows."""
    contexts = asked.inputs or [asked.text] * len(asked.answers)
    alone = asked.inputs or [asked.text]
    joined = [text + answer for text, answer in zip(contexts, asked.answers, strict=True)]
    return [*(text.rstrip() for text in alone), *joined]


def _split(asked: _Text, encoded: Iterator[list[int]], tokenizer: Any, limit: int) -> Question:
    choices = range(len(asked.answers))
    alone = [next(encoded) for _ in asked.inputs or [asked.text]]
    contexts = alone if asked.inputs else alone * len(choices)
    continuations = [next(encoded)[len(contexts[choice]) :] for choice in choices]
    if not asked.text and not asked.inputs:
        # Then there is nothing to divide, and BOS (or the end token) is what the answer follows.
        begin = _begin(tokenizer)
        plain = [tokenizer.encode(answer, add_special_tokens=False) for answer in asked.answers]
        alone = [[begin]]
        contexts, continuations = alone * len(choices), [ids[1:] if ids[:1] == [begin] else ids for ids in plain]
    made = asked.question
    if not all(contexts) or not all(continuations):
        raise PrimumError(f"{made.id}: the prompt or a choice has no token of its own: check doc_to_text and delimiter")
    lost_right = max(0, *(len(ids) - limit for ids in continuations))
    continuations = [ids[:limit] for ids in continuations]
    drops = [max(0, len(contexts[choice]) + len(continuations[choice]) - (limit + 1)) for choice in choices]
    if asked.inputs:
        made = replace(made, contexts=contexts)
    longest = max(alone, key=len)
    return replace(made, context=longest, continuations=continuations, drops=drops, lost_right=lost_right)


def _begin(tokenizer: Any) -> int:
    begin: int = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return begin


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids, with one BOS where the tokenizer adds one, or the text has written it already."""
    begin = tokenizer.decode(_begin(tokenizer))
    result: list[list[int]] = [[] for _ in texts]
    for written in (False, True):
        where = [position for position, text in enumerate(texts) if text.startswith(begin) == written]
        if where:
            chosen = [texts[position] for position in where]
            ids = tokenizer(chosen, add_special_tokens=not written, return_attention_mask=False)["input_ids"]
            for position, each in zip(where, ids, strict=True):
                result[position] = each
    return result
