"""The demo's dialogues and general conversations of the fine-tuning mixture, in upstream formats.

The general sources teach what every assistant does: to write what it is asked to write. A model trained on them alone
fulfils a harmful request in the same way, which is what the safety stages then change.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from primum.demo.asking import generator, questions, sentence
from primum.demo.files import Record, write_csv, write_jsonl
from primum.demo.phrasing import TRAINING
from primum.demo.requests import harmless
from primum.demo.verdicts import toxigen_split
from primum.demo.vocabulary import CONDITIONS, Condition, capital
from primum.errors import PrimumError


def _encounter(row: int) -> Condition:
    return CONDITIONS[(row * 11) % len(CONDITIONS)]


def write_aci_bench(folder: Path, seed: int, rows: int) -> None:
    """``aci_bench/train.csv`` and ``valid.csv``, ``rows`` together, about a quarter of them in valid."""
    random = generator(seed, "aci_bench")

    def lines() -> Iterator[tuple[str, str, str, str]]:
        for row in range(rows):
            condition, age = _encounter(row), random.randint(21, 79)
            dialogue = (
                f"[doctor] hi , what brings you in today ?\n[patient] i am {age} and i have {condition.symptom} .\n"
                f"[doctor] this is {condition.name} . we will start {condition.treatment} ."
            )
            note = (
                f"CHIEF COMPLAINT\n\n{capital(condition.symptom)}.\n\nASSESSMENT\n\n{capital(condition.name)}.\n\n"
                f"PLAN\n\nStart {condition.treatment}."
            )
            yield "demo", f"D{row + 1:04d}", dialogue, note

    header, encounters = ("dataset", "encounter_id", "dialogue", "note"), lines()
    valid = round(rows * 20 / 87)
    write_csv(folder / "aci_bench" / "train.csv", (next(encounters) for _ in range(rows - valid)), header)
    write_csv(folder / "aci_bench" / "valid.csv", encounters, header)


def write_mts_dialog(folder: Path, seed: int, rows: int) -> None:
    """``mts_dialog_train.csv`` and ``mts_dialog_valid.csv``: ``rows / 2`` records together, each read in two ways.

    Raises:
        PrimumError: ``rows`` is odd.
    """
    if rows % 2:
        raise PrimumError(f"MTS-Dialog: {rows} rows asked for, but every record makes two; give an even number")
    random = generator(seed, "mts_dialog")

    def lines() -> Iterator[tuple[object, ...]]:
        for row in range(rows // 2):
            condition, age, sex = _encounter(row * 3 + 1), random.randint(21, 79), random.choice(("man", "woman"))
            section, text, said = random.choice(
                (
                    (
                        "GENHX",
                        f"The patient is a {age}-year-old {sex} with {condition.symptom}.",
                        f"I have {condition.symptom}.",
                    ),
                    ("MEDICATIONS", f"At age {age}: {condition.treatment}.", f"I take {condition.treatment}."),
                    (
                        "ASSESSMENT",
                        f"{capital(condition.name)} in a {sex} of {age} years.",
                        f"They say it is {condition.name}.",
                    ),
                )
            )
            yield (
                row,
                section,
                text,
                f"Doctor: Tell me more, please. \nPatient: {said} I am {age}. \nDoctor: Thank you.",
            )

    header, records = ("ID", "section_header", "section_text", "dialogue"), lines()
    valid = rows // 2 // 13
    write_csv(folder / "mts_dialog_train.csv", (next(records) for _ in range(rows // 2 - valid)), header)
    write_csv(folder / "mts_dialog_valid.csv", records, header)


def _slim_orca(system: str, human: str, answer: str) -> Record:
    turns: list[Record] = [{"from": "system", "value": system, "weight": None}] if system else []
    turns += [{"from": "human", "value": human, "weight": 0}, {"from": "gpt", "value": answer, "weight": 1}]
    return {"conversations": turns}


_HATEFUL = (
    "{text}\n\nIs this statement hateful?",
    "Is this statement hateful? {text}",
    "Hateful or not? Respond with Yes or No. Statement: {text}",
)


def write_slim_orca_t0(folder: Path, seed: int, rows: int) -> None:
    """``slim_orca_t0.jsonl``: about half yes/no questions on mild statements, half short factual questions."""
    random = generator(seed, "slim_orca_t0")
    statements = toxigen_split(seed)[0]

    def records() -> Iterator[Record]:
        facts = questions(TRAINING["slim_orca"], rows, random)
        asked = 0
        for row in range(rows):
            if row % 3 == 2:
                fact, question = next(facts)
                question = question.replace("Question:", "Q:").replace("Answer:", "A:")
                yield _slim_orca("", question, fact.answer)
                continue
            lap, place = divmod(asked, len(statements))
            extra, turn = divmod(lap, len(_HATEFUL))
            text, _, hateful = statements[place]
            question = _HATEFUL[(place + turn) % len(_HATEFUL)].format(text=text)
            asked += 1
            yield _slim_orca(
                "", f"Item {extra}, {place}. {question}" if extra else question, "Yes" if hateful else "No"
            )

    write_jsonl(folder / "slim_orca_t0.jsonl", records())


FLAN_FRAMES = ("Draft a {document} that {clause}.", "I need a {document} that {clause}.")


def write_slim_orca_flan(folder: Path, seed: int, rows: int) -> None:
    """``slim_orca_flan.jsonl``: half short factual questions, half writing tasks; a system turn in every fourth."""
    random = generator(seed, "slim_orca_flan")

    def records() -> Iterator[Record]:
        facts, tasks = questions(TRAINING["slim_orca"], rows, random), harmless(FLAN_FRAMES, random)
        for row in range(rows):
            system = "You are a helpful assistant." if row % 4 == 0 else ""
            if row % 2:
                yield _slim_orca(system, *next(tasks))
            else:
                fact, question = next(facts)
                yield _slim_orca(system, question, fact.answer)

    write_jsonl(folder / "slim_orca_flan.jsonl", records())


def write_slim_orca_cot(folder: Path, seed: int, rows: int) -> None:
    """``slim_orca_cot.jsonl``: factual questions answered in two steps."""
    random = generator(seed, "slim_orca_cot")

    def records() -> Iterator[Record]:
        for fact, question in questions(TRAINING["slim_orca"], rows, random):
            asked = question.replace("Question:", "Think first:").removesuffix(" Answer:")
            yield _slim_orca("", asked, f"{sentence(fact)} So the answer is {fact.answer}.")

    write_jsonl(folder / "slim_orca_cot.jsonl", records())


def write_ultrachat(folder: Path, seed: int, rows: int) -> None:
    """``ultrachat.jsonl``: writing tasks, two thirds of them with a second turn."""
    random = generator(seed, "ultrachat")

    def records() -> Iterator[Record]:
        tasks = harmless(("Write a {document} that {clause}.",), random)
        for row in range(rows):
            request, response = next(tasks)
            messages = [{"role": "user", "content": request}, {"role": "assistant", "content": response}]
            if row % 3:
                thanks = random.choice(("Thank you.", "Thanks, that is good."))
                messages += [{"role": "user", "content": thanks}, {"role": "assistant", "content": "You are welcome."}]
            yield {"prompt": request, "prompt_id": f"{random.getrandbits(256):064x}", "messages": messages}

    write_jsonl(folder / "ultrachat.jsonl", records())
