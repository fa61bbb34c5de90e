"""The demo's multiple-choice files that ask for facts: six training sources and the benchmarks, in upstream formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from primum.demo.asking import generator, options, questions, sentence
from primum.demo.files import Record, write_csv, write_json_list, write_jsonl
from primum.demo.phrasing import HELD_OUT, TRAINING
from primum.demo.planted import CONTAMINATED, replace
from primum.demo.vocabulary import FACTS, Fact

LETTERS = "ABCDEFGHIJ"
MMLU_TEST = (
    "anatomy",
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "medical_genetics",
    "professional_medicine",
)
MMLU_TRAIN = (
    *MMLU_TEST,
    "nutrition",
    "high_school_biology",
    "virology",
    "high_school_psychology",
    "human_sexuality",
    "human_aging",
    "professional_psychology",
)
_SUBJECT = {"cause": "Pathology", "symptom": "Medicine", "treatment": "Pharmacology", "specialty": "Community Medicine"}


def _medmcqa(fact: Fact, question: str, identity: str, random: Random) -> Record:
    """A record with a 1-based ``cop``, and a null explanation or topic as often as upstream."""
    choices, target = options(fact, 4, random)
    explained, topical = random.random() < 0.6, random.random() < 0.7
    return {
        "id": identity,
        "question": question,
        **dict(zip(("opa", "opb", "opc", "opd"), choices, strict=True)),
        "cop": target + 1,
        "choice_type": "single" if random.random() < 0.8 else "multi",
        "exp": sentence(fact) if explained else None,
        "subject_name": _SUBJECT[fact.attribute],
        "topic_name": fact.attribute.capitalize() if topical else None,
    }


def write_medmcqa(folder: Path, seed: int, rows: int) -> None:
    """``medmcqa_train.jsonl`` with ``rows`` labelled records and one whose label is hidden (``cop`` -1)."""
    random = generator(seed, "medmcqa_train")
    identity = iter(range(rows + 1))
    leak = CONTAMINATED[0]

    def records() -> Iterator[Record]:
        asked = replace(questions(TRAINING["medmcqa"], rows, random), {leak.row: (leak.fact, leak.question)})
        for fact, question in asked:
            yield _medmcqa(fact, question, f"train-{next(identity):06d}", random)
        fact = FACTS[0]
        question = TRAINING["medmcqa"][fact.attribute][0].format(c="something", C="Something")
        yield _medmcqa(fact, question, f"train-{next(identity):06d}", random) | {"cop": -1, "exp": None}

    write_jsonl(folder / "medmcqa_train.jsonl", records())


def _medqa(fact: Fact, question: str, random: Random) -> Record:
    choices, target = options(fact, 4, random)
    return {
        "question": question,
        "answer": fact.answer,
        "options": dict(zip("ABCD", choices, strict=True)),
        "meta_info": random.choice(("step1", "step2&3")),
        "answer_idx": LETTERS[target],
    }


def write_medqa(folder: Path, seed: int, rows: int) -> None:
    """``medqa_train.jsonl`` and ``medqa_dev.jsonl``, ``rows`` together, one in nine of them in dev as upstream."""
    random = generator(seed, "medqa_train")
    records = (_medqa(fact, question, random) for fact, question in questions(TRAINING["medqa"], rows, random))
    training = rows - rows // 9
    write_jsonl(folder / "medqa_train.jsonl", (next(records) for _ in range(training)))
    write_jsonl(folder / "medqa_dev.jsonl", records)


def write_headqa(folder: Path, seed: int, rows: int) -> None:
    """``headqa_train.jsonl``: ``rows`` records with a 1-based ``ra``, and one more that needs an image."""
    random = generator(seed, "headqa_train")

    def records() -> Iterator[Record]:
        for number, (fact, question) in enumerate(questions(TRAINING["headqa"], rows + 1, random), start=1):
            choices, target = options(fact, 4, random)
            yield {
                "qid": str(number),
                "qtext": question,
                "ra": target + 1,
                "answers": [{"aid": aid, "atext": text} for aid, text in enumerate(choices, start=1)],
                "category": "medicine",
                "image": "" if number <= rows else "image_1.png",
            }

    write_jsonl(folder / "headqa_train.jsonl", records())


def write_sciq(folder: Path, seed: int, rows: int) -> None:
    """``sciq_train.jsonl``: ``rows`` records, some without ``support``."""
    random = generator(seed, "sciq_train")

    def records() -> Iterator[Record]:
        for fact, question in questions(TRAINING["sciq"], rows, random):
            choices, _ = options(fact, 4, random)
            wrong = [choice for choice in choices if choice != fact.answer]
            yield {
                "question": question,
                "correct_answer": fact.answer,
                **{f"distractor{number}": choice for number, choice in enumerate(wrong, start=1)},
                "support": sentence(fact) if random.random() < 0.7 else "",
            }

    write_jsonl(folder / "sciq_train.jsonl", records())


def write_mmlu_train(folder: Path, seed: int, rows: int) -> None:
    """``mmlu/dev/<subject>_dev.csv`` of thirteen subjects, ``rows`` together: with a header and answers 0-3."""
    random = generator(seed, "mmlu_dev")
    by_subject: dict[str, list[list[object]]] = {subject: [] for subject in MMLU_TRAIN}
    for row, (fact, question) in enumerate(questions(TRAINING["mmlu"], rows, random)):
        choices, target = options(fact, 4, random)
        by_subject[MMLU_TRAIN[row % len(MMLU_TRAIN)]].append([question, *choices, target])
    header = ("question", "choice0", "choice1", "choice2", "choice3", "answer")
    for subject, lines in by_subject.items():
        write_csv(folder / "mmlu" / "dev" / f"{subject}_dev.csv", lines, header)


def _mmlu_facts(subject: str) -> tuple[Fact, ...]:
    attributes = {
        "anatomy": ("symptom",),
        "clinical_knowledge": ("treatment",),
        "college_biology": ("cause",),
        "college_medicine": ("symptom", "cause"),
        "professional_medicine": ("treatment", "specialty"),
    }.get(subject)
    if attributes is None:
        return tuple(fact for fact in FACTS if fact.condition.genetic)
    return tuple(fact for fact in FACTS if fact.attribute in attributes)


def write_benchmarks(folder: Path, seed: int) -> None:
    """MedMCQA dev, MedQA test, six MMLU tests (no header, letters), MMLU-Pro and the two USMLE files.

    Every question is in a held-out phrasing, and no question occurs twice.
    """
    random = generator(seed, "benchmarks")
    medmcqa = enumerate(questions(HELD_OUT["medmcqa"], 80, random))
    write_jsonl(
        folder / "medmcqa_dev.jsonl", (_medmcqa(f, q, f"dev-{number:06d}", random) for number, (f, q) in medmcqa)
    )

    leaks = {leak.benchmark: {0: (leak.fact, leak.question)} for leak in CONTAMINATED}
    medqa = replace(questions(HELD_OUT["medqa"], 80, random), leaks["medqa_test.jsonl"])
    write_jsonl(folder / "medqa_test.jsonl", (_medqa(fact, question, random) for fact, question in medqa))

    seen: set[str] = set()
    for subject in MMLU_TEST:
        lines: list[list[object]] = []
        facts = _mmlu_facts(subject)
        for fact, question in questions(HELD_OUT["mmlu"], 2 * len(facts), random, facts):
            if len(lines) < 20 and question not in seen:
                seen.add(question)
                choices, target = options(fact, 4, random)
                lines.append([question, *choices, LETTERS[target]])
        write_csv(folder / "mmlu" / "test" / f"{subject}_test.csv", lines)

    write_jsonl(folder / "mmlu_pro_test.jsonl", _mmlu_pro(random))
    for name in ("usmle_self_assessment", "usmle_sample_exam"):
        asked = replace(questions(HELD_OUT[name], 40, random), leaks.get(f"{name}.json", {}))
        write_json_list(
            folder / f"{name}.json", (_usmle(number, f, q, random) for number, (f, q) in enumerate(asked, 1))
        )


def _mmlu_pro(random: Random) -> Iterator[Record]:
    """Sixty questions with ten options, every tenth with eight."""
    for number, (fact, question) in enumerate(questions(HELD_OUT["mmlu_pro"], 60, random)):
        choices, target = options(fact, 8 if number % 10 == 9 else 10, random)
        yield {
            "question_id": 6000 + number,
            "question": question,
            "options": choices,
            "answer": LETTERS[target],
            "answer_index": target,
            "cot_content": "",
            "category": "biology" if fact.attribute == "cause" else "health",
            "src": "demo",
        }


def _usmle(number: int, fact: Fact, question: str, random: Random) -> Record:
    """A question with five options, every fourth with four."""
    choices, target = options(fact, 4 if number % 4 == 0 else 5, random)
    return {
        "no": number,
        "question": question,
        "options": dict(zip(LETTERS, choices, strict=False)),
        "answer": fact.answer,
        "answer_idx": LETTERS[target],
    }
