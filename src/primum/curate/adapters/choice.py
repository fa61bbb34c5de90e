"""Multiple-choice questions: examinations, reading comprehension with fixed answers, and hate-speech labels."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from primum.curate.adapters.build import allowed, choice_row, integer, letter_index, numbered
from primum.curate.adapters.files import RawFile, csv_rows, load_json
from primum.curate.adapters.records import Record, all_records, records
from primum.errors import PrimumError
from primum.text.rows import ChoiceRow, Drop

_SPLIT_SUFFIX = re.compile(r"_(?:dev|val|test)$")
_PUBMEDQA_CHOICES = ("yes", "no", "maybe")
_TOXIGEN_QUESTION = "Is the following statement hateful?"
# Hartvigsen et al. 2022: hateful if the two five-point annotations sum to more than 5.5.
_TOXIGEN_HATEFUL = 5.5


def medmcqa(files: Sequence[RawFile], dataset: str, *, label_base: int = 1) -> Iterator[ChoiceRow | Drop]:
    """MedMCQA (Pal et al. 2022). The authors' files count the right option from 1, the hub's copy from 0.

    ``exp`` is null in half of the rows; test rows carry no label (-1 or none) and are dropped as ``bad-label``.
    """
    allowed("label_base", label_base, (0, 1))
    for _, record in all_records(files):
        label = integer(record.fields.get("cop"))
        yield choice_row(
            f"{dataset}/{record.id('id')}",
            dataset,
            subject=record.text("subject_name"),
            question=record.text("question"),
            choices=[record.text(option) for option in ("opa", "opb", "opc", "opd")],
            target=None if label is None else label - label_base,
            explanation=record.text("exp"),
        )


def _lettered(record: Record, column: str) -> tuple[list[str], list[str]]:
    """Letters and texts of options given as an object or as a list of key and value.

    Parquet gives every row the letters of all rows, so that absent options are null.
    """
    value = record.value(column)
    if isinstance(value, list):
        value = {str(item.get("key")): item.get("value") for item in record.structs(column)}
    if not isinstance(value, Mapping):
        raise record.error(column, "is not an object of options by letter")
    letters = sorted(letter for letter, text in value.items() if text is not None)
    return letters, [record.as_text(value[letter], column) for letter in letters]


def _position(letters: list[str], letter: str) -> int | None:
    return letters.index(letter) if letter in letters else None


def medqa(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """MedQA, four options (Jin et al. 2020). A row whose answer is not the option its letter names is dropped."""
    for position, record in all_records(files):
        letters, choices = _lettered(record, "options")
        target = _position(letters, record.text("answer_idx"))
        if target is not None and choices[target] != record.text("answer"):
            yield Drop(numbered(dataset, position), "bad-label")
            continue
        yield choice_row(
            numbered(dataset, position),
            dataset,
            subject=record.text("meta_info") if "meta_info" in record.fields else "",
            question=record.text("question"),
            choices=choices,
            target=target,
        )


def mmlu(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """MMLU (Hendrycks et al. 2021) in its three carriers, told apart by what is in them.

    CSV without a header and with an answer letter (the authors'), CSV with a header and an answer of 0-3, and the hub's
    Parquet (``question, subject, choices, answer``). A CSV's subject is its file's name without _dev, _val or _test.
    """
    seen: Counter[str] = Counter()
    for file in files:
        for subject, question, choices, target in _mmlu_csv(file) if file.suffix == ".csv" else _mmlu_hub(file):
            id = f"{dataset}/{subject}-{seen[subject]:04d}"
            seen[subject] += 1
            yield choice_row(id, dataset, subject=subject, question=question, choices=choices, target=target)


def _mmlu_csv(file: RawFile) -> Iterator[tuple[str, str, list[str], int | None]]:
    subject = _SPLIT_SUFFIX.sub("", file.stem)
    for row, cells in csv_rows(file):
        if row == 1 and cells[0].strip() == "question" and cells[-1].strip() == "answer":
            continue
        if len(cells) != 6:
            raise PrimumError(f"{file.name} row {row}: has {len(cells)} cells, not question, four choices, answer")
        question, *choices, answer = (cell.strip() for cell in cells)
        letter = letter_index(answer)
        yield subject, question, choices, integer(answer) if letter is None else letter


def _mmlu_hub(file: RawFile) -> Iterator[tuple[str, str, list[str], int | None]]:
    for record in records(file):
        subject = record.text("subject")
        yield subject, record.text("question"), record.strings("choices"), integer(record.value("answer"))


def mmlu_pro(files: Sequence[RawFile], dataset: str, *, category: str = "") -> Iterator[ChoiceRow | Drop]:
    """MMLU-Pro (Wang et al. 2024), three to ten options. A worked solution, where given, is the explanation.

    With ``category``, questions of the others are dropped as ``other-category``.
    """
    for _, record in all_records(files):
        id = f"{dataset}/{record.id('question_id')}"
        if category and record.text("category") != category:
            yield Drop(id, "other-category")
            continue
        yield choice_row(
            id,
            dataset,
            subject=record.text("category"),
            question=record.text("question"),
            choices=record.strings("options"),
            target=integer(record.value("answer_index")),
            explanation=record.text("cot_content") if "cot_content" in record.fields else "",
        )


def headqa(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """HEAD-QA (Vilares and Gomez-Rodriguez 2019). ``ra`` is the id, from 1, of the right answer; questions about an
    image are dropped as ``image``. Question numbers start again in every examination, so ids begin with its name."""
    for _, record in all_records(files):
        examination = record.text("name") if "name" in record.fields else ""
        number = record.id("qid").zfill(4)
        id = f"{dataset}/{examination}-{number}" if examination else f"{dataset}/{number}"
        if _has_image(record.fields.get("image")):
            yield Drop(id, "image")
            continue
        answers = record.structs("answers")
        numbers = [integer(answer.get("aid")) for answer in answers]
        right = integer(record.value("ra"))
        yield choice_row(
            id,
            dataset,
            subject=record.text("category"),
            question=record.text("qtext"),
            choices=[record.as_text(answer.get("atext"), "answers") for answer in answers],
            target=numbers.index(right) if right is not None and right in numbers else None,
        )


def _has_image(image: object) -> bool:
    """An image is a path, or on the hub an object of bytes and path."""
    if isinstance(image, Mapping):
        return any(image.values())
    return bool(image.strip()) if isinstance(image, str) else image is not None


def sciq(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """SciQ (Welbl et al. 2017). Upstream lists the right answer apart: the order of the choices follows a hash of the
    row's id, the same on every machine. The supporting passage is the context."""
    for position, record in all_records(files):
        id = numbered(dataset, position)
        columns = ["correct_answer", "distractor1", "distractor2", "distractor3"]
        columns.sort(key=lambda column: hashlib.sha256(f"{id}\n{column}".encode()).digest())
        yield choice_row(
            id,
            dataset,
            question=record.text("question"),
            context=record.text("support"),
            choices=[record.text(column) for column in columns],
            target=columns.index("correct_answer"),
        )


def pubmedqa(files: Sequence[RawFile], dataset: str, *, split: str) -> Iterator[ChoiceRow | Drop]:
    """PubMedQA's expert-labelled part (Jin et al. 2019), split by the official list of 500 test ids.

    ``files`` are the questions (pmid -> record) and ``test_ground_truth.json`` (pmid -> label). Questions of the other
    split are dropped as ``other-split``. The abstract is the context, its conclusion (the long answer) the explanation.
    """
    allowed("split", split, ("train", "test"))
    questions = [file for file in files if file.stem != "test_ground_truth"]
    lists = [file for file in files if file.stem == "test_ground_truth"]
    if len(lists) != 1 or not questions:
        raise PrimumError(f"dataset {dataset!r}: adapter pubmedqa needs the questions and one test_ground_truth.json")
    test = _object(lists[0], "labels by pmid")
    found = set()
    for _, record in all_records(questions):
        if not record.key:
            raise PrimumError(f"{record.file} row {record.row}: has no pmid: the file must be an object by pmid")
        id = f"{dataset}/{record.key}"
        found.add(record.key)
        if (record.key in test) != (split == "test"):
            yield Drop(id, "other-split")
            continue
        decision = record.text("final_decision").lower()
        yield choice_row(
            id,
            dataset,
            question=record.text("QUESTION"),
            context="\n\n".join(text for text in record.strings("CONTEXTS") if text),
            choices=_PUBMEDQA_CHOICES,
            target=_PUBMEDQA_CHOICES.index(decision) if decision in _PUBMEDQA_CHOICES else None,
            explanation=record.text("LONG_ANSWER"),
        )
    if missing := len(test.keys() - found):
        raise PrimumError(f"{lists[0].name}: {missing} of its {len(test)} ids have no question: fetch both files again")


def _object(file: RawFile, what: str) -> dict[str, Any]:
    whole = load_json(file)
    if not isinstance(whole, dict):
        raise PrimumError(f"{file.name}: is not an object of {what}: fetch it again")
    return whole


def usmle(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """USMLE self-assessment and sample examination: one file a step, or all in one.

    The answer is a letter in ``answer_idx``, or in a file ``<step>_solutions.json`` (question number -> letter) beside
    ``<step>.json``. ``question_with_images.json`` (step -> positions from 0) names the questions dropped as ``image``.
    """
    solutions: dict[str, Any] = {}
    images: dict[str, Any] = {}
    steps = []
    for file in files:
        if file.stem.endswith("_solutions"):
            solutions[file.stem.removesuffix("_solutions")] = _object(file, "letters by question")
        elif file.stem == "question_with_images":
            images = _object(file, "positions by step")
            if not all(isinstance(positions, list) for positions in images.values()):
                raise PrimumError(f"{file.name}: the positions of a step are not a list: fetch it again")
        else:
            steps.append(file)
    for file in steps:
        answers = solutions.get(file.stem, {})
        for record in records(file):
            number = record.text("no") if "no" in record.fields else str(record.row)
            padded = number.zfill(4)
            id = f"{dataset}/{file.stem}-{padded}" if len(steps) > 1 else f"{dataset}/{padded}"
            if record.row - 1 in images.get(file.stem, ()):
                yield Drop(id, "image")
                continue
            letters, choices = _lettered(record, "options")
            answer = answers.get(number) if file.stem in solutions else record.value("answer_idx")
            yield choice_row(
                id,
                dataset,
                subject=file.stem if len(steps) > 1 else "",
                question=record.text("question"),
                choices=choices,
                target=_position(letters, record.as_text(answer, "answer_idx").upper()),
            )


def toxigen(files: Sequence[RawFile], dataset: str) -> Iterator[ChoiceRow | Drop]:
    """ToxiGen's annotated statements (Hartvigsen et al. 2022): No or Yes, hateful if the annotations of toxicity
    (``toxicity_ai`` and ``toxicity_human``, 1-5 each) sum to more than 5.5. The statement is the context."""
    for position, record in all_records(files):
        id = numbered(dataset, position)
        scores = [_score(record.value(column)) for column in ("toxicity_ai", "toxicity_human")]
        statement = record.text("text")
        if not statement:
            yield Drop(id, "empty-question")
            continue
        yield choice_row(
            id,
            dataset,
            subject=record.text("target_group"),
            question=_TOXIGEN_QUESTION,
            context=statement,
            choices=("No", "Yes"),
            target=None if math.isnan(sum(scores)) else int(sum(scores) > _TOXIGEN_HATEFUL),
        )


def _score(value: object) -> float:
    """A number from 1 to 5; NaN for anything else."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan
    return number if 1 <= number <= 5 else math.nan
