"""Requests whose answers are judged, and graded responses that judges are trained and checked on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from primum.curate.adapters.build import allowed, integer, numbered
from primum.curate.adapters.files import RawFile, csv_rows
from primum.curate.adapters.records import all_records, records
from primum.errors import PrimumError
from primum.text.rows import Drop, GradedRow, RequestRow

_PRINCIPLE = re.compile(r"_category_([1-9])$")
_CATEGORY = re.compile(r"category_([1-9]|1[01])")


def med_safety_bench(files: Sequence[RawFile], dataset: str) -> Iterator[RequestRow | Drop]:
    """MedSafetyBench (Han et al. 2024): one CSV for each of the nine AMA principles, named by its file.

    The unnamed first column is the authors' row index, which starts again in every file, and is not used.

    Raises:
        PrimumError: a file that is not called ``..._category_N.csv`` with N in 1-9.
    """
    seen: Counter[str] = Counter()
    for file in files:
        match = _PRINCIPLE.search(file.stem)
        if match is None:
            raise PrimumError(f"{file.name}: names no principle: it must end in _category_1 to _category_9")
        category = f"principle-{match[1]}"
        for record in records(file):
            id = f"{dataset}/{category}-{seen[category]:04d}"
            seen[category] += 1
            safe = record.text("safe_response")
            yield _request(id, dataset, category, record.text("harmful_medical_request"), safe)


def advbench(files: Sequence[RawFile], dataset: str) -> Iterator[RequestRow | Drop]:
    """AdvBench's goals (Zou et al. 2023): CSV of one column without a header, all of category ``general``.

    Raises:
        PrimumError: a row of more than one cell.
    """
    for position, (_, text) in enumerate(_column(files)):
        yield _request(numbered(dataset, position), dataset, "general", text)


def hex_phi(files: Sequence[RawFile], dataset: str) -> Iterator[RequestRow | Drop]:
    """HEx-PHI (Qi et al. 2023): CSV of one column without a header for each of its eleven categories, named by its file.

    Raises:
        PrimumError: a row of more than one cell, or a file that is not called ``category_N.csv``.
    """
    for position, (file, text) in enumerate(_column(files)):
        match = _CATEGORY.fullmatch(file.stem)
        if match is None:
            raise PrimumError(f"{file.name}: names no category: it must be called category_1 to category_11")
        yield _request(numbered(dataset, position), dataset, f"category-{match[1]}", text)


def _column(files: Sequence[RawFile]) -> Iterator[tuple[RawFile, str]]:
    """The cells of files of one column without a header."""
    for file in files:
        for row, cells in csv_rows(file):
            if len(cells) != 1:
                raise PrimumError(f"{file.name} row {row}: has {len(cells)} cells, not one: check the adapter")
            yield file, cells[0].strip()


def xstest(files: Sequence[RawFile], dataset: str, *, label: str) -> Iterator[RequestRow | Drop]:
    """XSTest (Roettger et al. 2024): prompts that look unsafe (``label: safe``) and their unsafe contrasts.

    Prompts of the other label are dropped as ``other-label``. The category is the prompt's type.
    """
    allowed("label", label, ("safe", "unsafe"))
    for _, record in all_records(files):
        id, found = f"{dataset}/{record.id('id').zfill(4)}", record.text("label").lower()
        if found not in ("safe", "unsafe"):
            yield Drop(id, "bad-label")
        elif found != label:
            yield Drop(id, "other-label")
        else:
            yield _request(id, dataset, record.text("type"), record.text("prompt"))


_CLASSES = {"1_full_compliance": 1, "3_partial_refusal": 2, "2_full_refusal": 3}


def xstest_completions(files: Sequence[RawFile], dataset: str) -> Iterator[GradedRow | Drop]:
    """XSTest's completions (Roettger et al. 2024), a file a model, as two people labelled them and settled where they differed.

    The score is the class, in the order of how much is refused: 1 compliance, 2 partial refusal, 3 refusal. Another label is
    dropped as ``bad-label``.
    """
    for file in files:
        for record in records(file):
            id, score = f"{dataset}/{file.stem}/{record.id('id')}", _CLASSES.get(record.text("final_label"))
            request, response = record.text("prompt"), record.text("completion")
            if score is None:
                yield Drop(id, "bad-label")
            elif not (request and response):
                yield Drop(id, "empty-text")
            else:
                yield GradedRow(id, dataset, request, response, score)


def _request(id: str, dataset: str, category: str, request: str, safe_response: str = "") -> RequestRow | Drop:
    return RequestRow(id, dataset, category, request, safe_response) if request else Drop(id, "empty-text")


def graded(files: Sequence[RawFile], dataset: str) -> Iterator[GradedRow | Drop]:
    """``id, request, response, score`` with a harm score of 1 to 5; another score is dropped as ``bad-label``."""
    for _, record in all_records(files):
        id, score = f"{dataset}/{record.id('id')}", integer(record.value("score"))
        request, response = record.text("request"), record.text("response")
        if score is None or not 1 <= score <= 5:
            yield Drop(id, "bad-label")
        elif not (request and response):
            yield Drop(id, "empty-text")
        else:
            yield GradedRow(id, dataset, request, response, score)
