"""Duplicates within a mixture, and overlap of a mixture with the benchmarks it will be measured on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from primum.curate.clean import words

_PERMUTATIONS = 128
_SHINGLE = 5
_FEWEST_WORDS = 4
_BOILERPLATE = 4


def shingles(tokens: Sequence[str], size: int) -> set[str]:
    """The word n-grams of a text; a text shorter than ``size`` words is one shingle."""
    if len(tokens) <= size:
        return {" ".join(tokens)} if tokens else set()
    return {" ".join(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


def exact_duplicates(texts: Sequence[str]) -> list[int | None]:
    """For each text the index of the first text with the same words in the same order, None for a first one."""
    first: dict[bytes, int] = {}
    result: list[int | None] = []
    for index, text in enumerate(texts):
        key = hashlib.blake2b(" ".join(words(text)).encode(), digest_size=16).digest()
        seen = first.setdefault(key, index)
        result.append(None if seen == index else seen)
    return result


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int | None]:
    """For each text the index of an earlier kept one whose word 5-grams have a Jaccard similarity >= ``threshold``.

    MinHash (Broder 1997) with 128 permutations and LSH proposes candidates; the exact similarity decides, so that a
    false candidate never drops a row.
    """
    from rensa import RMinHash, RMinHashLSH

    grams = [shingles(words(text), _SHINGLE) for text in texts]
    # 32 bands of 4 rows: pairs at similarity 0.85 are proposed with probability above 0.9999.
    index = RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=32)
    result: list[int | None] = []
    for i, own in enumerate(grams):
        sketch = RMinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update(sorted(own))
        twin = next((j for j in sorted(index.query(sketch)) if _jaccard(own, grams[j]) >= threshold), None)
        result.append(twin)
        if twin is None:
            index.insert(i, sketch)
    return result


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


class BenchmarkIndex:
    """The word n-grams of benchmark questions. A question of fewer than ``ngram`` words counts as one whole n-gram.

    An n-gram that four or more questions share is the wording of a task ("Is the following statement ..."), not the
    content of an item, and is left out; cf. the rule for frequent n-grams of Brown et al. 2020, appendix C.
    """

    def __init__(self, questions: Iterable[str], ngram: int) -> None:
        counts: dict[int, Counter[str]] = {}
        for question in dict.fromkeys(questions):
            tokens = words(question)
            # Below four words a question ("What is gout?") would match half of a clinical corpus by chance.
            if len(tokens) >= min(_FEWEST_WORDS, ngram):
                size = min(len(tokens), ngram)
                counts.setdefault(size, Counter()).update(shingles(tokens, size))
        self._grams = {size: {gram for gram, n in own.items() if n < _BOILERPLATE} for size, own in counts.items()}

    def overlaps(self, text: str) -> bool:
        """Whether ``text`` contains an n-gram of a benchmark question."""
        tokens = words(text)
        return any(
            " ".join(tokens[i : i + size]) in grams
            for size, grams in self._grams.items()
            for i in range(len(tokens) - size + 1)
        )
