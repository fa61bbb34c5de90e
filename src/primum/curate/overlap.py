"""Duplicates within a mixture, and overlap of a mixture with the benchmarks it will be measured on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
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


def shingles(tokens: Sequence[str], size: int) -> set[str]:
    """The word n-grams of a text; a text shorter than ``size`` words is one shingle."""
    if len(tokens) <= size:
        return {" ".join(tokens)} if tokens else set()
    return {" ".join(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def exact_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each text the index of the first text with the same words in the same order, None for a first one.

    Texts without any word are duplicates only when they are the same.
    """
    first: dict[bytes, int] = {}
    result: list[int | None] = []
    for index, text in enumerate(texts):
        key = hashlib.blake2b((" ".join(words(text)) or text).encode(), digest_size=16).digest()
        seen = first.setdefault(key, index)
        result.append(None if seen == index else seen)
    return result


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int | None]:
    """For each text the index of an earlier kept one whose word 5-grams have a Jaccard similarity >= ``threshold``.

    MinHash (Broder 1997) and LSH propose candidates; the exact similarity decides, so that a false candidate never drops
    a row. A pair at the threshold is missed with a probability below 0.0001. Per text about a kilobyte is held, whatever
    its length: the n-grams of a million long texts would not fit the memory, so those of candidates are made again.
    """
    from rensa import RMinHash, RMinHashLSH

    bands, permutations = _bands(threshold)
    index = RMinHashLSH(threshold=threshold, num_perm=permutations, num_bands=bands)
    digests = np.zeros((len(texts), permutations), dtype=np.uint32)

    @lru_cache(maxsize=1024)
    def grams(i: int) -> set[str]:
        return shingles(words(texts[i]), _SHINGLE)

    result: list[int | None] = []
    for i in range(len(texts)):
        own = grams(i)
        if not own:
            result.append(None)
            continue
        sketch = RMinHash(num_perm=permutations, seed=1)
        sketch.update(list(own))
        digests[i] = sketch.digest()
        found = np.array(sorted(index.query(sketch)), dtype=np.int64)
        # Rows that share their instructions are candidates of each other by the thousand: most are ruled out here.
        likely = found[(digests[found] == digests[i]).mean(axis=1) >= threshold - _MARGIN] if len(found) else found
        twin = next((j for j in likely.tolist() if _jaccard(own, grams(j)) >= threshold), None)
        result.append(twin)
        if twin is None:
            index.insert(i, sketch)
    return result


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


class BenchmarkIndex:
    """The word n-grams of benchmark questions. A question of fewer than ``ngram`` words counts as one whole n-gram.

    An n-gram that four or more questions share, or four or more items of one benchmark ("Which of the following is
    true?"), is the wording of a task, not the content of an item, and is left out; cf. the rule for frequent n-grams of
    Brown et al. 2020, appendix C. The same question in several benchmarks is one question.
    """

    def __init__(self, benchmarks: Iterable[Sequence[str]], ngram: int) -> None:
        # Below four words a question ("What is gout?") would match half of a clinical corpus by chance.
        self._head = min(_FEWEST_WORDS, ngram)
        asked: dict[str, int] = {}
        for questions in benchmarks:
            for question, items in Counter(questions).items():
                asked[question] = max(items, asked.get(question, 0))
        counts: Counter[str] = Counter()
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for question, items in asked.items():
            tokens = words(question)
            if len(tokens) >= self._head:
                for gram in shingles(tokens, min(len(tokens), ngram)):
                    counts[gram] += items
                    owners[gram].append(question)
        self._grams = {gram: owners[gram] for gram, items in counts.items() if items < _BOILERPLATE}
        sizes: defaultdict[str, set[int]] = defaultdict(set)
        for gram in self._grams:
            tokens = gram.split(" ")
            sizes[" ".join(tokens[: self._head])].add(len(tokens))
        # An n-gram's first words -> the lengths to look up: nearly every position of a text is done after one look.
        self._sizes = dict(sizes)

    def overlaps(self, text: str) -> bool:
        """Whether ``text`` contains an n-gram of a benchmark question."""
        return next(self._found(text), None) is not None

    def questions(self, text: str) -> set[str]:
        """The benchmark questions that ``text`` shares an n-gram with."""
        return {question for gram in self._found(text) for question in self._grams[gram]}

    def _found(self, text: str) -> Iterator[str]:
        tokens = words(text)
        heads = list(map(" ".join, zip(*(tokens[i:] for i in range(self._head)), strict=False)))
        if self._sizes.keys().isdisjoint(heads):
            return  # as most texts are, and this look is the fastest
        for i, head in enumerate(heads):
            for size in self._sizes.get(head, ()):
                if i + size <= len(tokens) and (gram := " ".join(tokens[i : i + size])) in self._grams:
                    yield gram
