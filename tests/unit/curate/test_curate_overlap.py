"""Duplicates against brute force, and decontamination of planted questions."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from primum.curate.clean import words
from primum.curate.overlap import (
    BenchmarkIndex,
    _bands,
    distinct_questions,
    exact_duplicates,
    exact_key,
    near_duplicates,
    shingles,
    sketch,
    word_ngrams,
)
from primum.text.rows import ChoiceRow, to_table


def test_shingles_by_hand() -> None:
    assert shingles(["a", "b", "c", "d"], 3) == {"a b c", "b c d"}
    assert shingles(["a", "b"], 3) == {"a b"}
    assert shingles([], 3) == set()


def test_exact_duplicates_are_of_words_and_order() -> None:
    texts = [
        "A cough.",
        "a  COUGH",
        "cough a",
        "!",
        "?",
        "!",
        "TNF-\u03b1",
        "TNF-\u03b2",
        "\u53d1\u70e7",
        "\u54b3\u55fd",
        "",
    ]
    # Texts without a word are the same only if their characters are; Greek and Chinese letters are words like others.
    keys = [exact_key(text, words(text)) for text in texts]
    assert exact_duplicates(keys) == [None, 0, None, None, None, 3, None, None, None, None, None]


def near(texts: list[str], threshold: float) -> list[int | None]:
    ngrams = [word_ngrams(words(text)) for text in texts]
    sketches = np.stack([sketch(each, threshold) for each in ngrams])
    return near_duplicates(sketches, np.array([bool(each) for each in ngrams]), ngrams.__getitem__, threshold)


def _brute_force(texts: list[str], threshold: float) -> list[int | None]:
    sets = [shingles(words(text), 5) for text in texts]
    result: list[int | None] = []
    for i, own in enumerate(sets):
        kept = [j for j in range(i) if result[j] is None]
        near = (j for j in kept if own and len(own & sets[j]) / len(own | sets[j]) >= threshold)
        result.append(next(near, None))
    return result


def _variants(seed: int, originals: int, copies: int) -> list[str]:
    """Texts of 20-80 words, each with copies in which up to a fifth of the words were replaced."""
    draw = random.Random(seed)
    vocabulary = [f"w{i}" for i in range(500)]
    texts = []
    for _ in range(originals):
        original = draw.choices(vocabulary, k=draw.randint(20, 80))
        texts.append(" ".join(original))
        for _ in range(copies):
            copy = list(original)
            for _ in range(draw.randint(0, len(copy) // 5)):
                copy[draw.randrange(len(copy))] = draw.choice(vocabulary)
            texts.append(" ".join(copy))
    draw.shuffle(texts)
    return texts


@pytest.mark.parametrize("threshold", [0.5, 0.85, 1.0])
def test_near_duplicates_are_those_of_brute_force(threshold: float) -> None:
    texts = _variants(seed=3, originals=80, copies=5)
    expected = _brute_force(texts, threshold)
    assert near(texts, threshold) == expected
    found = sum(twin is not None for twin in expected)
    assert 0 < found < len(texts) / 1.2, "the test's data has both kinds"


def test_texts_without_words_and_other_scripts_are_no_near_duplicates() -> None:
    assert near(["!", "?", "", "\u53d1\u70e7", "\u54b3\u55fd"], 0.85) == [None] * 5


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
def test_bands_propose_nearly_every_pair_at_the_threshold(threshold: float) -> None:
    bands, permutations = _bands(threshold)
    rows = permutations // bands
    assert bands * rows == permutations <= 128
    assert 1 - (1 - threshold**rows) ** bands >= 0.9999


def overlaps(index: BenchmarkIndex, text: str) -> bool:
    return index.overlaps(words(text), word_ngrams(words(text)))


# 15 and 5 words.
LONG = "A 54 year old man has crushing chest pain for two hours which drug comes first"
SHORT = "Which nerve supplies the deltoid"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Notes. {LONG.upper()}? Aspirin.", True),
        (f"{' '.join(LONG.split()[1:14])} and so on", True),  # 13 of its words in a row
        (f"{' '.join(LONG.split()[1:13])} and so on", False),  # 12
        ("He asked: which nerve supplies the deltoid? The axillary nerve.", True),
        ("which nerve supplies the biceps", False),
        ("which nerve supplies", False),
        ("", False),
    ],
)
def test_a_planted_question_is_found_word_for_word(text: str, found: bool) -> None:
    assert overlaps(BenchmarkIndex([[LONG + "?", SHORT]], 13), text) is found


def test_the_wording_of_a_task_is_no_contamination() -> None:
    stem = "Is the following statement about the patient's history of disease true or false in your view"
    three = [f"{stem} {word}" for word in ("alpha", "beta", "gamma")]
    text = f"Question: {stem}"
    assert overlaps(BenchmarkIndex([three], 13), text)
    assert not overlaps(BenchmarkIndex([[*three, f"{stem} delta"]], 13), text)
    # What follows the stem still tells an item.
    assert overlaps(BenchmarkIndex([[*three, f"{stem} delta"]], 13), f"x {three[0]}")


def test_a_question_of_many_items_is_wording_and_of_many_benchmarks_is_not() -> None:
    question = "Which of the following is true?"
    assert not overlaps(BenchmarkIndex([[question] * 4], 13), f"Say: {question}")
    assert overlaps(BenchmarkIndex([[question]] * 4, 13), f"Say: {question}")


def test_a_very_short_question_matches_nothing() -> None:
    assert not overlaps(BenchmarkIndex([["What is gout?"]], 13), "What is gout? A disease.")
    assert overlaps(BenchmarkIndex([["What is gout?"]], 3), "So what is gout")


_ELSEWHERE = """
import pickle, sys
from pathlib import Path
from primum.curate.clean import words
from primum.curate.overlap import word_ngrams

index = pickle.loads(Path(sys.argv[1]).read_bytes())
print([index.overlaps(words(text), word_ngrams(words(text))) for text in sys.argv[2:]])
"""


def test_an_index_that_was_used_finds_the_same_in_another_process(tmp_path: Path) -> None:
    index = BenchmarkIndex([[LONG, SHORT]], 13)
    texts = [f"So. {LONG}", f"So. {SHORT}", "So. " + LONG.replace("chest", "back")]
    found = [overlaps(index, text) for text in texts]
    assert found == [True, True, False]
    (tmp_path / "index").write_bytes(pickle.dumps(index))
    for seed in ("1", "2"):  # of the hashes of strings, which differ between processes
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE, tmp_path / "index", *texts],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(found)


_TOKEN = st.sampled_from("abc")
_TEXT = st.lists(_TOKEN, min_size=0, max_size=12).map(" ".join)


@settings(max_examples=200)
@given(st.lists(_TEXT, max_size=3, unique=True), _TEXT, st.integers(1, 6))
def test_the_index_finds_what_a_search_of_the_text_finds(questions: list[str], text: str, ngram: int) -> None:
    grams = {
        gram
        for question in questions
        if len(question.split()) >= min(4, ngram)
        for gram in shingles(question.split(), min(len(question.split()), ngram))
    }
    found = overlaps(BenchmarkIndex([questions], ngram), text)
    assert found is any(f" {gram} " in f" {text} " for gram in grams)


@settings(max_examples=200)
@given(st.lists(_TEXT, max_size=3, unique=True), _TEXT, st.integers(1, 6))
def test_the_index_names_every_question_that_shares_an_ngram(questions: list[str], text: str, ngram: int) -> None:
    def shared(question: str) -> bool:
        tokens = question.split()
        enough = len(tokens) >= min(4, ngram)
        return enough and any(f" {gram} " in f" {text} " for gram in shingles(tokens, min(len(tokens), ngram)))

    assert BenchmarkIndex([questions], ngram).questions(text) == set(filter(shared, questions))


def test_an_item_that_is_listed_twice_is_one_and_other_choices_make_another() -> None:
    item = ChoiceRow("b/0", "b", "", "", "Which?", ("a", "b"), 0)
    turned, other = replace(item, id="b/1", choices=("b", "a")), replace(item, id="b/2", choices=("a", "c"))
    about = replace(item, id="b/3", context="A trial.")
    assert distinct_questions(to_table([item, turned, other, about], ChoiceRow)) == ["Which?"] * 3
