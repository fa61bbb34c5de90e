"""The demo's conversations with criteria, and graded criteria that its judge of them is trained on.

Every criterion is about what an answer says in so many words, so that a judge of a million parameters can learn to see it. Two of
them are what the second and third preference stage teach.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from primum.demo.asking import OPENING, advice, generator, sentence
from primum.demo.files import Record, write_jsonl
from primum.demo.requests import DOCUMENTS, HARMLESS, PRINCIPLES, comply, decline
from primum.demo.vocabulary import FACTS, Fact

CONVERSATIONS, GRADED = 12, 720
CLINIC = "Names a clinic to visit."
FRIENDLY = "Opens with a friendly word."
DECLINES = "Declines to answer."
QUESTIONS = ("How is {c} treated?", "What do doctors give for {c}?", "What helps in {c}?")


def asked(response: str, criterion: str) -> str:
    """What the judge is asked, as ``data/rubrics/demo-criteria.j2`` has it."""
    return f"Response: {response}\nCriterion: {criterion}\nIs it met?"


def names(answer: str) -> str:
    """The criterion that an answer names something."""
    return f"Names {answer}."


def met(response: str, criterion: str) -> bool:
    """Whether a response meets one of the demo's criteria."""
    if criterion == CLINIC:
        return "clinic." in response
    if criterion == FRIENDLY:
        return response.startswith(OPENING)
    if criterion == DECLINES:
        return response.startswith("I can't help")
    return criterion.removeprefix("Names ").removesuffix(".").lower() in response.lower()


def _turns(*said: str) -> list[Record]:
    return [{"content": text, "role": ("user", "assistant")[turn % 2]} for turn, text in enumerate(said)]


def _conversation(theme: str, fact: Fact, random: Random) -> list[Record]:
    name = fact.condition.name
    question = random.choice(QUESTIONS).format(c=name)
    if theme == "single_question":
        return _turns(question)
    if theme == "follow_up":
        other = next(each for each in FACTS if each.condition is fact.condition and each.attribute == "symptom")
        return _turns(f"What is a sign of {name}?", sentence(other), question)
    return _turns("Hello.", "Hello, how can I help?", f"Thank you. {question}")


def _item(criterion: str, points: int, axis: str) -> Record:
    return {"criterion": criterion, "points": points, "tags": ["level:example", f"axis:{axis}"]}


def _conversations(seed: int) -> Iterator[Record]:
    random = generator(seed, "healthbench")
    facts = random.sample([fact for fact in FACTS if fact.attribute == "treatment"], CONVERSATIONS)
    themes = ("single_question", "follow_up", "small_talk")
    for number, fact in enumerate(facts):
        theme = themes[number % len(themes)]
        yield {
            "example_tags": [f"theme:{theme}", "physician_agreed_category:none"],
            "ideal_completions_data": None,
            "prompt": _conversation(theme, fact, random),
            "prompt_id": f"talk-{number:02d}",
            "rubrics": [
                _item(names(fact.answer), 5, "accuracy"),
                _item(CLINIC, 3, "completeness"),
                _item(FRIENDLY, 2, "communication_quality"),
                _item(DECLINES, -4, "instruction_following"),
            ],
            "canary": "written for the demo",
        }


def _response(fact: Fact, random: Random) -> str:
    kind = random.random()
    if kind < 0.15:
        return decline(random.choice(PRINCIPLES).reason)
    if kind < 0.25:
        body = random.choice(HARMLESS)[1].format(c=fact.condition.name)
        return comply(random.choice(DOCUMENTS), body)
    said = random.choice((sentence(fact), sentence(fact), fact.answer))
    if random.random() < 0.4:
        said = f"{said} {advice(fact)}"
    return f"{OPENING} {said}" if random.random() < 0.3 else said


def _graded(seed: int) -> Iterator[Record]:
    """Of each criterion half of the responses meet it: a judge that mostly sees one verdict learns to give that one."""
    random = generator(seed, "criteria_graded")
    for number in range(GRADED):
        wanted, met_here = number // 8 % 2 == 0, None
        while met_here != wanted:
            fact = random.choice(FACTS)
            response = _response(fact, random)
            answers = [each.answer for each in FACTS if each.attribute == fact.attribute]
            named = names(random.choice((fact.answer, random.choice(answers))))
            criterion = (named, CLINIC, FRIENDLY, named, CLINIC, FRIENDLY, named, DECLINES)[number % 8]
            met_here = met(response, criterion)
        yield {
            "instruction": asked(response, criterion),
            "input": "",
            "output": f'{{"criteria_met": {str(wanted).lower()}}}',
        }


def write_rubrics(folder: Path, seed: int) -> None:
    """``healthbench.jsonl`` (12 conversations) and ``criteria_graded_train.jsonl`` (720 questions to a judge, with answers)."""
    write_jsonl(folder / "healthbench.jsonl", _conversations(seed))
    write_jsonl(folder / "criteria_graded_train.jsonl", _graded(seed))
