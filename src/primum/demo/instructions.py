"""The demo's single-turn medical sources of the fine-tuning mixture, each in its upstream's format and phrasings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from primum.demo.asking import OPENING, advice, chatty, generator, questions, sentence
from primum.demo.files import Record, dumps, write_csv, write_json_list, write_jsonl, write_text
from primum.demo.phrasing import TRAINING
from primum.demo.planted import CONTAMINATED, NEAR, NEAR_ROW, REPEATED_ROW, SHARED, SHARED_ROW, replace
from primum.demo.requests import harmless
from primum.demo.verdicts import pubmedqa_test_questions, studies
from primum.demo.vocabulary import CONDITIONS, capital

_TRUTHFULLY = "Answer this question truthfully"


def _answered(style: str, rows: int, random: Random, share: float = 0.0) -> Iterator[tuple[str, str]]:
    """(question, full sentence) pairs; ``share`` of the questions have a sentence or two around them.

    Three answers in ten end with advice and three in ten open with a friendly word: the preference stages need
    responses that the model gives now and then.
    """
    for fact, question in questions(TRAINING[style], rows, random):
        answer = sentence(fact)
        if random.random() < 0.3:
            answer = f"{answer} {advice(fact)}"
        if random.random() < 0.3:
            answer = f"{OPENING} {answer}"
        yield chatty(question, share, random), answer


def _mixed(style: str, frame: str, rows: int, share: float, random: Random) -> Iterator[tuple[str, str]]:
    """``rows`` pairs, about ``share`` of them writing tasks, the rest questions."""
    tasks, facts = harmless((frame,), random), _answered(style, rows, random, 0.5)
    for _ in range(rows):
        yield next(tasks if random.random() < share else facts)


def _instruction(question: str, answer: str) -> Record:
    return {"instruction": _TRUTHFULLY, "input": question, "output": answer}


def write_flashcards(folder: Path, seed: int, rows: int) -> None:
    """``medical_flashcards.json``: ``instruction, input, output``; one exact repeat, one half of a near duplicate."""
    random = generator(seed, "medical_flashcards")
    plain = list(_answered("flashcards", min(rows, REPEATED_ROW + 1), generator(seed, "medical_flashcards")))
    changes = {NEAR_ROW: NEAR[0], **({REPEATED_ROW + 1: plain[REPEATED_ROW]} if rows > REPEATED_ROW else {})}
    pairs = replace(_answered("flashcards", rows, random), changes)
    write_json_list(folder / "medical_flashcards.json", (_instruction(*pair) for pair in pairs))


def write_mediqa(folder: Path, seed: int, rows: int) -> None:
    """``mediqa.json``: ``instruction, input, output``; holds the other half of the near duplicate."""
    pairs = replace(_answered("mediqa", rows, generator(seed, "mediqa"), 0.5), {NEAR_ROW: NEAR[1]})
    write_json_list(folder / "mediqa.json", (_instruction(*pair) for pair in pairs))


def write_cord19(folder: Path, seed: int, rows: int) -> None:
    """``cord19.json``: an abstract as ``input``, its title as ``output``."""
    random = generator(seed, "cord19")

    def records() -> Iterator[Record]:
        for row in range(rows):
            condition = CONDITIONS[(row * 5) % len(CONDITIONS)]
            patients, weeks = random.randint(30, 99), random.randint(2, 40)
            yield {
                "instruction": "Give this abstract a title",
                "input": f"{patients} patients with {condition.name} were given {condition.treatment} "
                f"for {weeks} weeks. {capital(condition.symptom)} became less. Report {row + 1}.",
                "output": f"{capital(condition.treatment)} for {condition.name} in {patients} patients",
            }

    write_json_list(folder / "cord19.json", records())


def write_pubmed_causal(folder: Path, seed: int, rows: int) -> None:
    """``pubmed_causal.json``: whether a sentence states a cause, a link or a treatment."""
    random = generator(seed, "pubmed_causal")

    def records() -> Iterator[Record]:
        for row in range(rows):
            condition = random.choice(CONDITIONS)
            text, kind = random.choice(
                (
                    (f"{condition.cause} can lead to {condition.name}", "causal"),
                    (f"{condition.symptom} is seen in {condition.name}", "a link"),
                    (f"{condition.treatment} is used in {condition.name}", "a treatment"),
                )
            )
            yield {
                "instruction": "Which relation does this sentence state?",
                "input": f"{capital(text)} ({row + 1}).",
                "output": f"This is {kind}." if kind != "causal" else "This is causal.",
            }

    write_json_list(folder / "pubmed_causal.json", records())


_SITES = ("health", "biology", "fitness", "academia", "cogsci", "bioinformatics")
_ASIDES = ("I do not know.", "See a doctor.", "It depends.")


def _stack_exchange(number: int, site: str, question: str, answer: str, random: Random) -> Record:
    """HTML bodies; the best answer is selected in most threads, else it has the highest score."""
    selected = random.random() < 0.7
    answers = [
        {"answer_id": 2 * number, "pm_score": random.randint(3, 6), "selected": selected, "text": f"<p>{answer}</p>\n"},
        {
            "answer_id": 2 * number + 1,
            "pm_score": random.randint(0, 2),
            "selected": False,
            "text": f"<p>{random.choice(_ASIDES)}</p>\n",
        },
    ]
    random.shuffle(answers)
    host = f"https://{site}.stackexchange.com"
    return {
        "qid": number,
        "question": f"<p>{question.replace(' get ', ' <em>get</em> ')}</p>\n",
        "answers": answers,
        "date": f"{random.randint(2012, 2021)}/{random.randint(1, 12):02d}/{random.randint(1, 28):02d}",
        "metadata": [f"{host}/questions/{number}", host, f"{host}/users/{random.randint(1, 99)}/"],
    }


def write_stack_exchange(folder: Path, seed: int, rows: int) -> None:
    """``stack_exchange.jsonl``: ``rows`` threads of the six kept sites and three of a site that curation leaves out."""
    random = generator(seed, "stack_exchange")

    def records() -> Iterator[Record]:
        for number, (question, answer) in enumerate(_answered("stack_exchange", rows, random, 0.5), start=1001):
            yield _stack_exchange(number, _SITES[number % len(_SITES)], question, answer, random)
        for number in range(3):
            yield _stack_exchange(
                number + 1, "cooking", "How long do I cook an egg &amp; rice?", "Ten minutes.", random
            )

    write_jsonl(folder / "stack_exchange.jsonl", records())


def write_opengpt(folder: Path, seed: int, rows: int) -> None:
    """``opengpt.csv``: ``text, raw_data_id``, tags around every turn."""
    random, leak = generator(seed, "opengpt"), CONTAMINATED[1]
    changes = {SHARED_ROW: SHARED, leak.row: (leak.question, sentence(leak.fact))}
    pairs = replace(_mixed("opengpt", "Can you write a {document} that {clause}?", rows, 0.15, random), changes)
    lines = (
        (f"<|user|> {question} <|eos|> <|ai|> {answer} <|eos|> <|eod|>", row // 5)
        for row, (question, answer) in enumerate(pairs)
    )
    write_csv(folder / "opengpt.csv", lines, ("text", "raw_data_id"))


def write_medical_instruction(folder: Path, seed: int, rows: int) -> None:
    """``medical_instruction_120k.jsonl``: one ``text`` column with ``[|Human|]`` and ``[|AI|]`` tags."""
    random = generator(seed, "medical_instruction")
    pairs = replace(
        _mixed("medical_instruction", "Please prepare a {document} that {clause}.", rows, 0.3, random),
        {SHARED_ROW: SHARED},
    )
    records = ({"text": f"[|Human|] {question} [|AI|] {answer}"} for question, answer in pairs)
    write_jsonl(folder / "medical_instruction_120k.jsonl", records)


_QTYPES = {"cause": "causes", "symptom": "symptoms", "treatment": "treatment", "specialty": "support groups"}


def write_medquad(folder: Path, seed: int, rows: int) -> None:
    """``medquad/1_Demo_QA/*.xml``: documents of up to eight pairs, ``rows`` together, and one empty answer each."""
    random = generator(seed, "medquad")
    pairs: list[tuple[str, str, str]] = []
    document = 0

    def flush() -> None:
        nonlocal document
        document += 1
        identity = f"{document:07d}"
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<Document id="{identity}" source="DEMO" url="https://example.org/{identity}">',
            f"<Focus>Questions, part {document}</Focus>",
            "<QAPairs>",
        ]
        for number, (question, answer, kind) in enumerate(
            (*pairs, ("Is there more to read?", "", "information")), start=1
        ):
            lines += [
                f'<QAPair pid="{number}">',
                f'<Question qid="{identity}-{number}" qtype="{kind}">{escape(question)}</Question>',
                f"<Answer>{escape(answer)}</Answer>",
                "</QAPair>",
            ]
        write_text(
            folder / "medquad" / "1_Demo_QA" / f"{identity}.xml", "\n".join((*lines, "</QAPairs>", "</Document>", ""))
        )
        pairs.clear()

    for fact, question in questions(TRAINING["medquad"], rows, random):
        pairs.append((question, sentence(fact), _QTYPES[fact.attribute]))
        if len(pairs) == 8:
            flush()
    if pairs:
        flush()


def write_niv2(folder: Path, seed: int, rows: int) -> None:
    """``niv2/task*.json``: five tasks, one an attribute with bare answers, and one with verdicts on small studies."""
    random = generator(seed, "niv2")
    verdicts = studies(rows, pubmedqa_test_questions(seed), random)
    names = ("cause", "symptom", "treatment", "specialty", "verdict")
    instances: dict[str, list[Record]] = {name: [] for name in names}
    facts = questions(TRAINING["niv2"], rows, random)
    definitions: dict[str, str] = {"verdict": "Answer the question about the study with yes, no or maybe."}
    for row in range(rows):
        if row % 5 == 4:
            output, question, contexts = next(verdicts)
            given, task = " ".join((*contexts, question)), "verdict"
        else:
            fact, asked = next(facts)
            task, output = fact.attribute, fact.answer
            definition = TRAINING["niv2"][fact.attribute][0]
            definitions[task] = definition
            # Later laps put the patient and the visit in front of the question: it belongs to the input.
            given = asked.removesuffix(definition) + fact.condition.name
        instances[task].append({"id": f"demo-{row:06d}", "input": given, "output": [output]})
    for number, name in enumerate(names, start=1001):
        if instances[name]:
            document = {
                "Definition": [definitions[name]],
                "Categories": ["Question Answering"],
                "Domains": ["Medicine"],
                "Instances": instances[name],
            }
            write_text(folder / "niv2" / f"task{number}_demo_{name}.json", dumps(document) + "\n")


_LABELS = ("false", "mixture", "true", "unproven")


def write_health_fact(folder: Path, seed: int, rows: int) -> None:
    """``pubhealth_train.tsv``: ``rows`` claims with label 0-3 and two without (-1 and empty)."""
    random = generator(seed, "pubhealth")

    def lines() -> Iterator[tuple[object, ...]]:
        for row in range(rows + 2):
            condition, other = random.sample(CONDITIONS, 2)
            label: int | str = 0 if row % 2 else 2
            treatment = condition.treatment if label == 2 else other.treatment
            claim = f"{capital(treatment)} is used for {condition.name}"
            if row % 12 == 11:
                label, claim = 3, f"Singing is used for {condition.name}"
            main = f"{capital(condition.name)} is treated with {condition.treatment}. Report {row + 1}."
            if row >= rows:
                label = -1 if row == rows else ""
            why = f"Doctors give {condition.treatment} for {condition.name}."
            yield row + 1, claim + ".", why, main, label, "Health"

    write_csv(
        folder / "pubhealth_train.tsv",
        lines(),
        ("claim_id", "claim", "explanation", "main_text", "label", "subjects"),
        tab=True,
    )
