"""Benchmark rows as tokens, against lm-eval-harness' rule written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.score.requests import Question, questions
from primum.text.rows import ChoiceRow, Message, PreferenceRow

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


# Few-shot -----------------------------------------------------------------------------------------------------------

POOL = [ChoiceRow(f"p/{i}", "p", "ab"[i % 2], "", f"Q{i}?", ("no", "yes"), i % 2) for i in range(8)]


def _fewshot(**keys: Any) -> dict[str, Any]:
    return {"k": 2, "sampler": "first_n", "seeds": [0], "same_subject": False, "multiturn": True, **keys}


def _contexts(tokenizer: Any, rows: list[ChoiceRow], pool: list[ChoiceRow], **task: Any) -> list[str]:
    made = questions(rows, {**TASK, "chat_template": False, **task}, tokenizer, 4096, pool)
    return [tokenizer.decode(each.context[1:]) for each in made]


def test_examples_stand_before_the_question_with_their_answers(tokenizer: Any) -> None:
    row = ChoiceRow("b/0", "b", "a", "", "Mine?", ("no", "yes"), 1)
    assert _contexts(tokenizer, [row], POOL, fewshot=_fewshot()) == ["Q0? no\n\nQ1? yes\n\nMine?"]
    same = _fewshot(same_subject=True)
    assert _contexts(tokenizer, [row], POOL, fewshot=same) == ["Q0? no\n\nQ2? no\n\nMine?"]
    changed = _contexts(
        tokenizer, [row], POOL, fewshot=_fewshot(), delimiter="=", scoring="letter", description="Exam. "
    )
    assert changed == ["Exam. Q0?=A\n\nQ1?=B\n\nMine?"]


def test_a_question_is_never_its_own_example(tokenizer: Any) -> None:
    """Not under another id either: what counts is what it says."""
    twin = ChoiceRow(
        "twin", "other", *(getattr(POOL[1], key) for key in ("subject", "context", "question", "choices", "target"))
    )
    asked = _contexts(tokenizer, [*POOL[:3], twin], POOL, fewshot=_fewshot())
    assert asked == [
        "Q1? yes\n\nQ2? no\n\nQ0?",
        "Q0? no\n\nQ2? no\n\nQ1?",
        "Q0? no\n\nQ1? yes\n\nQ2?",
        "Q0? no\n\nQ2? no\n\nQ1?",
    ]
    with pytest.raises(PrimumError, match=r"p/0: fewshot.k: 8 examples are wanted, its dataset has 7"):
        _contexts(tokenizer, [POOL[0]], POOL, fewshot=_fewshot(k=8))


def test_all_questions_of_a_seed_have_the_same_examples(tokenizer: Any) -> None:
    rows = [ChoiceRow(f"b/{i}", "b", "a", "", f"Mine {i}?", ("no", "yes"), 1) for i in range(3)]
    fewshot = _fewshot(sampler="random", seeds=[5, 6, 7])
    made = questions(rows, {**TASK, "fewshot": fewshot}, tokenizer, 4096, POOL)
    assert [(each.id, each.item, each.seed) for each in made] == [
        (f"b/{i}+{seed:04d}", f"b/{i}", seed) for seed in (5, 6, 7) for i in range(3)
    ]
    drawn = {each.seed: tokenizer.decode(each.context).partition("Mine")[0] for each in made}
    assert all(tokenizer.decode(each.context).startswith(drawn[each.seed]) for each in made)
    assert len(set(drawn.values())) > 1
    again = questions(rows, {**TASK, "fewshot": fewshot}, tokenizer, 4096, POOL)
    assert again == made


def test_a_cluster_is_what_items_have_in_common_as_a_hash(tokenizer: Any) -> None:
    rows = [
        ChoiceRow(f"b/{i}", "b", "a", passage, f"{i}?", ("no", "yes"), 1)
        for i, passage in enumerate(("x", "y", "x", ""))
    ]
    first, second, third, alone = (
        each.cluster for each in questions(rows, {**TASK, "cluster": "context"}, tokenizer, 256)
    )
    assert first == third != second
    assert alone is None, "what has no passage shares none"
    assert first is not None
    assert "x" not in first
    template = {**TASK, "cluster": "{{ context }}"}
    assert [each.cluster for each in questions(rows, template, tokenizer, 256)] == [first, second, third, alone]
    assert {each.cluster for each in questions(rows, TASK, tokenizer, 256)} == {None}
    with pytest.raises(
        PrimumError, match="b/0: cluster: has no column 'passage'; there are: subject, context, question"
    ):
        questions(rows, {**TASK, "cluster": "passage"}, tokenizer, 256)


def test_a_task_without_clusters_is_scored_as_before_there_were_any() -> None:
    assert "cluster" not in Benchmark(dataset="b").asked()
    assert Benchmark(dataset="b", cluster="context").asked()["cluster"] == "context"
    with pytest.raises(ValueError, match="preference pairs have no columns"):
        Benchmark(dataset="b", cluster="context", group="preference")


@pytest.mark.parametrize(("multiturn", "turns"), [(True, 6), (False, 2)])
def test_examples_under_a_chat_template(tokenizer: Any, multiturn: bool, turns: int) -> None:
    """Turns of their own, or the start of the only question: 2 x (question, answer), question, and the answer's header."""
    fewshot = _fewshot(multiturn=multiturn)
    (made,) = questions([ROW], {**TASK, "fewshot": fewshot}, tokenizer, 4096, POOL)
    assert tokenizer.decode(made.context).count("<|start_header_id|>") == turns
    assert made.context.count(tokenizer.bos_token_id) == 1


def test_bos_is_added_once_or_not_at_all(tokenizer: Any, tmp_path: Path) -> None:
    """A tokenizer that adds BOS, a text that has it, a tokenizer that adds none, and an empty context."""
    from transformers import AutoTokenizer

    row = ChoiceRow("b/0", "b", "", "", "Hi", ("no", "yes"), 0)
    bos = tokenizer.bos_token_id
    assert _ask(tokenizer, row, chat_template=False).context[0] == bos
    assert _ask(tokenizer, row, chat_template=False).context.count(bos) == 1
    assert _ask(tokenizer, row).context.count(bos) == 1
    empty = _ask(tokenizer, row, chat_template=False, doc_to_text="")
    assert empty.context == [bos]
    assert _texts(tokenizer, empty) == [" no", " yes"]
    tokenizer.save_pretrained(tmp_path)
    plain = AutoTokenizer.from_pretrained(tmp_path)
    plain.backend_tokenizer.post_processor = None
    assert _ask(plain, row, chat_template=False).context.count(bos) == 0
    assert _ask(plain, row).context.count(bos) == 1
