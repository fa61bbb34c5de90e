"""Duplicates within a mixture, and overlap of a mixture with the benchmarks it will be measured on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from itertools import compress, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from primum.curate.clean import words
from primum.text.rows import DocumentRow

_PERMUTATIONS = 128
_SHINGLE = 5
_FEWEST_WORDS = 4
_BOILERPLATE = 4
_RECALL = 0.9999
# Eight standard deviations of a similarity estimated from 128 permutations, at 0.85.
_MARGIN = 0.25
_MARKS = 1 << 23
_ODD = np.uint64(0x9E3779B97F4A7C15)

Sketch = npt.NDArray[np.uint32]
Sketches = npt.NDArray[np.uint32]


def shingles(tokens: Sequence[str], size: int) -> set[str]:
    """The word n-grams of a text; a text shorter than ``size`` words is one shingle."""
    if len(tokens) <= size:
        return {" ".join(tokens)} if tokens else set()
    return set(map(" ".join, zip(*(tokens[i:] for i in range(size)), strict=False)))


def exact_key(text: str, tokens: Sequence[str]) -> bytes:
    """16 bytes that texts with the same words in the same order share; texts without any word only when they are the same."""
    return hashlib.blake2b((" ".join(tokens) or text).encode(), digest_size=16).digest()


def exact_duplicates(keys: Iterable[bytes]) -> list[int | None]:
    """For each key (:func:`exact_key`) the index of the first text that has it, None for a first one."""
    first: dict[bytes, int] = {}
    result: list[int | None] = []
    for index, key in enumerate(keys):
        seen = first.setdefault(key, index)
        result.append(None if seen == index else seen)
    return result


def word_ngrams(tokens: Sequence[str]) -> set[str]:
    """The word 5-grams by which near duplicates are found."""
    return shingles(tokens, _SHINGLE)


def sketch(ngrams: set[str], threshold: float) -> Sketch:
    """The MinHash digest (Broder 1997) of a text's n-grams, uint32 (permutations,), for near duplicates at ``threshold``."""
    from rensa import RMinHash

    made = RMinHash(num_perm=permutations(threshold), seed=1)
    made.update(list(ngrams))
    return np.array(made.digest(), dtype=np.uint32)


def permutations(threshold: float) -> int:
    """How many numbers a sketch has."""
    return _bands(threshold)[1]


def near_duplicates(
    sketches: Sketches, has_words: npt.NDArray[np.bool_], ngrams: Callable[[int], set[str]], threshold: float
) -> list[int | None]:
    """For each text the index of an earlier kept one whose word 5-grams have a Jaccard similarity >= ``threshold``.

    ``sketches`` is uint32 (texts, permutations), ``ngrams`` makes the 5-grams of the text at an index again. LSH proposes
    candidates; the exact similarity decides, so that a false candidate never drops a row. A pair at the threshold is missed
    with a probability below 0.0001. Texts without a word, ``has_words`` bool (texts,), are no duplicates.
    """
    grams = lru_cache(maxsize=1024)(ngrams)
    bands, _ = _bands(threshold)
    owners, buckets = _buckets(sketches, has_words, bands)
    members: dict[int, list[int]] = {}
    result: list[int | None] = [None] * len(sketches)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(owners)]):
        i, mine = int(owners[start]), buckets[start:end].tolist()
        found = np.array(sorted({j for bucket in mine for j in members.get(bucket, ())}), dtype=np.int64)
        # Rows that share their instructions are candidates of each other by the thousand: most are ruled out here.
        alike = (sketches[found] == sketches[i]).mean(axis=1) >= threshold - _MARGIN
        twin = next((j for j in found[alike].tolist() if _jaccard(grams(i), grams(j)) >= threshold), None)
        result[i] = twin
        if twin is None:
            for bucket in mine:
                members.setdefault(bucket, []).append(i)
    return result


def _buckets(
    sketches: Sketches, has_words: npt.NDArray[np.bool_], bands: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(texts, LSH buckets), both int64 (memberships,), by text: only of buckets that several texts share, so few of many."""
    width = sketches.shape[1] // bands
    texts = np.flatnonzero(has_words)
    owners, buckets, known = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for band in range(bands):
        # Two bands that differ may have one hash: a candidate too many.
        hashes = np.zeros(len(texts), dtype=np.uint64)
        for column in range(band * width, (band + 1) * width):
            hashes = (hashes ^ sketches[texts, column]) * _ODD
            hashes ^= hashes >> np.uint64(29)
        order = np.argsort(hashes, kind="stable")
        ranked = hashes[order]
        new = np.diff(ranked, prepend=ranked[:1] + np.uint64(1)) != 0
        shared = ~(new & np.append(new[1:], True))
        buckets.append(np.cumsum(new)[shared] + known)
        owners.append(texts[order[shared]])
        known += len(texts)
    which, at = np.concatenate(owners), np.concatenate(buckets)
    by_text = np.argsort(which, kind="stable")
    return which[by_text], at[by_text]


@cache
def _bands(threshold: float) -> tuple[int, int]:
    """(bands, permutations): the longest bands, so the fewest false candidates, that still propose nearly every pair."""
    for rows in range(_PERMUTATIONS, 1, -1):
        bands = _PERMUTATIONS // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands, bands * rows
    return _PERMUTATIONS, _PERMUTATIONS


def _jaccard(a: set[str], b: set[str]) -> float:
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def asked(benchmark: pa.Table) -> list[tuple[str, list[str]]]:
    """(id, texts) of every item of a benchmark (ChoiceRow or DocumentRow): what in it is compared with training rows.

    Which column of a raw document is the question nobody says: every text in it counts as one.
    """
    if benchmark.schema.equals(DocumentRow.SCHEMA):
        rows = benchmark.select(["id", "document"]).to_pylist()
        return [(row["id"], list(_texts(json.loads(row["document"])))) for row in rows]
    return [(row["id"], [row["question"]]) for row in benchmark.select(["id", "question"]).to_pylist()]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def distinct_questions(benchmark: pa.Table) -> list[str]:
    """What every item of one benchmark asks, each item once.

    A question that is asked twice of the same context with the same choices is one item.
    """
    if benchmark.schema.equals(DocumentRow.SCHEMA):
        return [text for _, texts in asked(benchmark) for text in texts]
    items = benchmark.select(["question", "context", "choices"]).to_pylist()
    keys = dict.fromkeys((item["question"], item["context"], tuple(sorted(item["choices"]))) for item in items)
    return [question for question, _, _ in keys]


def _slots(texts: Collection[str]) -> npt.NDArray[np.int64]:
    return np.fromiter(map(hash, texts), np.int64, len(texts)) & (_MARKS - 1)


class BenchmarkIndex:
    """The word n-grams of benchmark questions. A question of fewer than ``ngram`` words counts as one whole n-gram.

    An n-gram that four or more questions share, or four or more items of one benchmark ("Which of the following is
    true?"), is the wording of a task, not the content of an item, and is left out; cf. the rule for frequent n-grams of
    Brown et al. 2020, appendix C. The same question in several benchmarks is one question.
    """

    def __init__(self, benchmarks: Iterable[Sequence[str]], ngram: int) -> None:
        self._ngram = ngram
        # Below four words a question ("What is gout?") would match half of a clinical corpus by chance.
        self._fewest = min(_FEWEST_WORDS, ngram)
        asked: dict[str, int] = {}
        for questions in benchmarks:
            for question, items in Counter(questions).items():
                asked[question] = max(items, asked.get(question, 0))
        self._questions = list(asked)
        counts: Counter[str] = Counter()
        for question, items in asked.items():
            grams = self._grams_of(question)
            counts.update(grams if items == 1 else dict.fromkeys(grams, items))
        self._grams = {gram for gram, items in counts.items() if items < _BOILERPLATE}
        # A text's 5-grams are there for other reasons: those that an n-gram begins with -> the lengths to look up. Nearly
        # every text is done after one look. Shorter n-grams are looked up only where their longest word is.
        heads: defaultdict[str, set[int]] = defaultdict(set)
        self._short: set[int] = set()
        self._rare: set[str] = set()
        for gram in self._grams:
            tokens = gram.split(" ")
            if len(tokens) < _SHINGLE:
                self._short.add(len(tokens))
                self._rare.add(max(tokens, key=len))
            else:
                heads[" ".join(tokens[:_SHINGLE])].add(len(tokens))
        self._heads = dict(heads)

    def __bool__(self) -> bool:
        return bool(self._grams)

    def overlaps(self, tokens: Sequence[str], ngrams: set[str]) -> bool:
        """Whether a text, given as its words and :func:`word_ngrams`, contains an n-gram of a benchmark question."""
        return next(self._found(tokens, ngrams), None) is not None

    def questions(self, text: str) -> set[str]:
        """The benchmark questions that ``text`` shares an n-gram with."""
        tokens = words(text)
        return {question for gram in self._found(tokens, word_ngrams(tokens)) for question in self._owners[gram]}

    @cached_property
    def _owners(self) -> dict[str, list[str]]:
        owners: dict[str, list[str]] = {gram: [] for gram in self._grams}
        for question in self._questions:
            for gram in self._grams_of(question) & self._grams:
                owners[gram].append(question)
        return owners

    @cached_property
    def _marks(self) -> npt.NDArray[np.bool_]:
        """Where the heads' hashes fall. The heads themselves are too many for a processor's cache, and 400 looks a text."""
        marks = np.zeros(_MARKS, dtype=np.bool_)
        marks[_slots(self._heads)] = True
        return marks

    def __getstate__(self) -> dict[str, Any]:
        # A string's hash is another one in another process.
        return {name: value for name, value in self.__dict__.items() if name != "_marks"}

    def _grams_of(self, question: str) -> set[str]:
        tokens = words(question)
        return shingles(tokens, self._ngram) if len(tokens) >= self._fewest else set()

    def _found(self, tokens: Sequence[str], ngrams: set[str]) -> Iterator[str]:
        if not self._rare.isdisjoint(tokens):
            for size in self._short:
                yield from self._grams & shingles(tokens, size)
        if self._heads.keys().isdisjoint(compress(ngrams, self._marks[_slots(ngrams)].tolist())):
            return
        for i, head in enumerate(map(" ".join, zip(*(tokens[i:] for i in range(_SHINGLE)), strict=False))):
            for size in self._heads.get(head, ()):
                if i + size <= len(tokens) and (gram := " ".join(tokens[i : i + size])) in self._grams:
                    yield gram
