"""Benchmark rows as tokens, against lm-eval-harness' rule written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.errors import PrimumError
from primum.experiment.types import Benchmark
from primum.rows import ChoiceRow, Message, PreferenceRow
from primum.score.requests import Question, questions

TASK = Benchmark(dataset="b").asked()
ROW = ChoiceRow("b/0", "b", "anatomy", "A trial.", "What helps a cough?", ("rest", "tea and water", "a doctor"), 2)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def _ask(tokenizer: Any, row: ChoiceRow | PreferenceRow = ROW, limit: int = 256, **task: Any) -> Question:
    return questions([row], {**TASK, **task}, tokenizer, limit)[0]


def _texts(tokenizer: Any, question: Question) -> list[str]:
    return [tokenizer.decode(ids) for ids in question.continuations]


def _encode_pair(tokenizer: Any, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """lm-eval-harness 0.4, ``TemplateLM._encode_pair`` for a causal model, line by line."""
    n_spaces = len(context) - len(context.rstrip())
    if n_spaces > 0:
        continuation = context[-n_spaces:] + continuation
        context = context[:-n_spaces]
    special = not context.startswith("<|begin_of_text|>")
    whole_enc = tokenizer.encode(context + continuation, add_special_tokens=special)
    context_enc = tokenizer.encode(context, add_special_tokens=special)
    return context_enc, whole_enc[len(context_enc) :]


_WORDS = st.lists(st.sampled_from(["cough", "3", "tea", "a", "?", "\u00e9"]), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=100, deadline=None)
@given(_WORDS, st.lists(_WORDS, min_size=2, max_size=4), st.sampled_from(["", " ", "\nAnswer: "]), st.booleans())
def test_context_and_continuation_are_split_as_in_lm_eval(
    tokenizer: Any, asked: str, choices: list[str], delimiter: str, chat_template: bool
) -> None:
    row = ChoiceRow("b/0", "b", "", "", asked, tuple(choices), 0)
    if chat_template:
        turns = [{"role": "user", "content": asked}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    else:
        text = asked  # to which the tokenizer adds BOS
    expected = [_encode_pair(tokenizer, text, delimiter + choice) for choice in choices]
    if not all(continuation for _, continuation in expected):
        with pytest.raises(PrimumError, match="no token of its own"):
            _ask(tokenizer, row, delimiter=delimiter, chat_template=chat_template)
        return
    made = _ask(tokenizer, row, delimiter=delimiter, chat_template=chat_template)
    assert [(made.context, continuation) for continuation in made.continuations] == expected
    assert made.characters == [len(choice) for choice in choices]
    assert not made.truncated


@pytest.mark.parametrize(
    ("scoring", "texts", "characters"),
    [
        ("letter", ["A", "B", "C"], [1, 1, 1]),
        ("full_answer", ["rest", "tea and water", "a doctor"], [4, 13, 8]),
        ("letter_and_answer", ["A. rest", "B. tea and water", "C. a doctor"], [7, 16, 11]),
    ],
)
def test_what_is_scored_is_a_switch(tokenizer: Any, scoring: str, texts: list[str], characters: list[int]) -> None:
    made = _ask(tokenizer, scoring=scoring)
    # The generation prompt's blank line is white space at the context's end: it belongs to the continuation.
    assert _texts(tokenizer, made) == [f"\n\n{text}" for text in texts]
    assert made.characters == characters
    assert (made.id, made.subject, made.target) == ("b/0", "anatomy", 2)
    asked = tokenizer.decode(made.context)
    assert asked.endswith("A trial.\nWhat helps a cough?<|eot_id|><|start_header_id|>assistant<|end_header_id|>")
    assert made.context.count(tokenizer.bos_token_id) == 1


def test_the_delimiter_is_scored_and_has_no_characters(tokenizer: Any) -> None:
    made = _ask(tokenizer, delimiter=" ", scoring="letter")
    assert _texts(tokenizer, made) == ["\n\n A", "\n\n B", "\n\n C"]
    assert made.characters == [1, 1, 1]


def test_without_a_template_there_is_one_bos(tokenizer: Any) -> None:
    made = _ask(tokenizer, chat_template=False, delimiter="\n")
    assert tokenizer.decode(made.context) == "<|begin_of_text|>A trial.\nWhat helps a cough?"
    assert _texts(tokenizer, made)[0] == "\nrest"


def test_a_pair_is_a_question_of_whole_turns(tokenizer: Any) -> None:
    row = PreferenceRow("p/0", "p", (Message("user", "A cough?"),), "rest", "tea")
    made = _ask(tokenizer, row, group="preference")
    assert _texts(tokenizer, made) == ["\n\nrest<|eot_id|>", "\n\ntea<|eot_id|>"]
    assert made.characters == [4, 3]
    assert (made.target, made.subject) == (0, "")


def test_a_context_that_is_too_long_loses_its_start(tokenizer: Any) -> None:
    whole = _ask(tokenizer)
    longest = max(map(len, whole.continuations))
    # The model does not read a choice's last token.
    limit = len(whole.context) + longest - 1
    assert not _ask(tokenizer, limit=limit).truncated
    cut = _ask(tokenizer, limit=limit - 1)
    assert (cut.truncated, cut.lost_left, cut.lost_right) == (True, 1, 0)
    assert cut.continuations == whole.continuations
    # Each choice's context loses as much as that choice needs, as in lm-eval: 1 token of the longest's, none of the others'.
    for where, (context, _) in cut.packed():
        lost = {max(0, len(whole.context) + len(whole.continuations[i]) - limit) for i in where}
        assert [context] == [whole.context[each:] for each in lost]
    assert sorted(i for where, _ in cut.packed() for i in where) == [0, 1, 2]
    shortest = _ask(tokenizer, limit=longest)
    assert shortest.lost_left == len(whole.context) - 1
    assert shortest.lost_right == 0


def test_a_choice_that_is_too_long_loses_its_end_and_says_so(tokenizer: Any) -> None:
    whole = _ask(tokenizer)
    longest = max(map(len, whole.continuations))
    cut = _ask(tokenizer, limit=longest - 2)
    assert (cut.truncated, cut.lost_right) == (True, 2)
    assert cut.continuations == [ids[: longest - 2] for ids in whole.continuations]
    assert all(len(context) >= 1 for _, (context, _) in cut.packed())


def test_a_choice_without_tokens_is_an_error(tokenizer: Any) -> None:
    row = ChoiceRow("b/7", "b", "", "", "secret", ("", "tea"), 0)
    with pytest.raises(PrimumError, match=r"b/7: .*no token of its own") as caught:
        _ask(tokenizer, row, chat_template=False, delimiter="")
    assert "secret" not in str(caught.value)


def test_text_cannot_end_its_own_turn(tokenizer: Any) -> None:
    row = ChoiceRow("b/0", "b", "", "", "Hi<|eot_id|>", ("a<|eot_id|>", "b"), 0)
    made = _ask(tokenizer, row)
    end = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    assert made.context.count(end) == 1
    assert not any(end in ids for ids in made.continuations)


def test_an_unknown_name_in_a_prompt_is_an_error_that_lists_the_valid_ones(tokenizer: Any) -> None:
    with pytest.raises(PrimumError, match=r"b/0: doc_to_text: template .*may use subject, context, question, choices"):
        _ask(tokenizer, doc_to_text="{{ qestion }}")
