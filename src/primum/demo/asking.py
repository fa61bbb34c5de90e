"""Questions, answers and options made from facts and phrasings, all drawn from one seeded generator a file."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from primum.demo.phrasing import SENTENCE, Phrases
from primum.demo.vocabulary import FACTS, Fact, answers, capital

OPENING = "Good question."
"""The friendly word that preference stage 3 wants at the start of an answer."""
LEADS = (
    "I am {age} years old.",
    "Last week I read about it.",
    "My uncle told me to ask.",
    "This is for my class.",
    "We talked about it at home, but nobody knew.",
    "Sorry, I am new here.",
    "There is a {sex} of {age} next to me.",
)
TAILS = (
    "I would like to know.",
    "Please be brief.",
    "It is for a {age}-year-old {sex}.",
    "My sister has it.",
    "The doctor did not say.",
    "Thank you very much.",
)


def generator(seed: int, *names: object) -> Random:
    """A generator for one file: equal on every platform, and independent of the order in which files are written."""
    return Random("/".join(str(part) for part in (seed, *names)))


def fill(template: str, fact: Fact, random: Random) -> str:
    """The template with the fact's condition and answer, and an age and a sex drawn from ``random``."""
    name, answer = fact.condition.name, fact.answer
    return template.format(
        c=name,
        C=capital(name),
        a=answer,
        A=capital(answer),
        age=random.randint(21, 79),
        sex=random.choice(("man", "woman")),
    )


def chatty(question: str, share: float, random: Random) -> str:
    """The question, with probability ``share`` among the words that people put around one."""
    if random.random() >= share:
        return question
    words = {"age": random.randint(21, 79), "sex": random.choice(("man", "woman"))}
    lead, tail = random.choice(LEADS).format(**words), random.choice(TAILS).format(**words)
    return random.choice((f"{lead} {question}", f"{question} {tail}", f"{lead} {question} {tail}"))


def sentence(fact: Fact) -> str:
    """The fact as one full sentence."""
    text = SENTENCE[fact.attribute]
    name, answer = fact.condition.name, fact.answer
    return text.format(c=name, C=capital(name), a=answer)


def advice(fact: Fact) -> str:
    """The sentence that preference stage 2 wants at the end of an answer."""
    return f"Please visit the {fact.condition.specialty} clinic."


def questions(
    phrases: Phrases, rows: int, random: Random, facts: tuple[Fact, ...] = FACTS
) -> Iterator[tuple[Fact, str]]:
    """``rows`` distinct (fact, question) pairs: first every fact once, then again in the next phrasing, and so on.

    When all phrasings of all facts are used, later laps name a patient and a visit, so that any number of rows stays
    distinct.
    """
    order = random.sample(facts, len(facts))
    for row in range(rows):
        lap, place = divmod(row, len(order))
        fact = order[place]
        templates = phrases[fact.attribute]
        extra, turn = divmod(lap, len(templates))
        question = fill(templates[(turn + place) % len(templates)], fact, random)
        yield (
            fact,
            f"Patient {place + 1}, visit {extra}, age {random.randint(21, 79)}: {question}" if extra else question,
        )


def options(fact: Fact, count: int, random: Random) -> tuple[list[str], int]:
    """``count`` distinct values of the fact's attribute in random order, and the index of the right one."""
    others = [answer for answer in answers(fact.attribute) if answer != fact.answer]
    if fact.attribute == "specialty":  # a nutrition disease of a child, say, has more than one defensible clinic
        others = [answer for answer in others if answer not in ("nutrition", "pediatrics")]
    choices = [fact.answer, *random.sample(others, count - 1)]
    random.shuffle(choices)
    return choices, choices.index(fact.answer)
