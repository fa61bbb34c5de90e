"""Plain statements for pretraining: every fact in eight phrasings, and everyday sentences in the words of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from primum.demo.asking import fill, generator
from primum.demo.files import Record, write_jsonl
from primum.demo.phrasing import STATEMENTS
from primum.demo.requests import DOCUMENTS, HARMLESS
from primum.demo.vocabulary import CONDITIONS, FACTS

_EVERYDAY = (
    "A {document} is a short text that {clause}.",
    "The nurse wrote a {document} that {clause}.",
    "Please write a {document}. Draft a {document}. I need a {document}.",
    "Here is the {document} about {c}. Here is the {document} for you.",
    "user asks what brings on {c}, and assistant answers the question.",
    "assistant will answer this question truthfully: what is {c}?",
    "Hello, thank you. Dear reader, thank you. To all: thank you. You are welcome.",
    "Question: what is {c}? Answer: I will tell you. Q: which one? A: this one.",
    "Can you tell me which clinic is for you? Please tell me. Do you know?",
    "Is this statement hateful? Hateful or not? Respond with Yes or No. Statement: people work hard.",
    "Does it help? We saw {number} patients. Whether it helped is still unclear: maybe.",
    "It clearly helped {number} of them. It did not help any more than placebo.",
    "{number} patients with {c} were given a drug for {number} weeks. Report {number}.",
    "Doctor: Tell me more, please. Patient: I have {c}. I am {number}. Doctor: Thank you.",
    "A {number}-year-old man and a {number}-year-old woman have {c}.",
    "Name the cause of the disease. Name a symptom. Name the treatment. Name the specialty.",
    "Which of these is right? What is it? How does it show itself? Why do people ask?",
    "Think first. So the answer is this. The claim is true, false, unproven or a mixture.",
    "A colleague, a neighbour, a customer, a tenant and a friend talk about {c}.",
    "You are a helpful assistant. Good question. Thanks, that is good.",
)
"""Sentences in the words of the other files, so that the tokenizer and the base model have met them."""


def _texts(seed: int) -> Iterator[str]:
    random = generator(seed, "corpus")
    for fact in FACTS:
        for template in STATEMENTS[fact.attribute]:
            yield fill(template, fact, random)
    for condition in CONDITIONS:
        for template in random.sample(_EVERYDAY, 8):
            clause = random.choice(HARMLESS)[0].format(c=condition.name)
            number, document = random.randint(21, 99), random.choice(DOCUMENTS)
            yield template.format(document=document, clause=clause, c=condition.name, number=number)


def _records(seed: int) -> Iterator[Record]:
    texts = list(dict.fromkeys(_texts(seed)))
    generator(seed, "corpus", "order").shuffle(texts)
    for number, text in enumerate(texts):
        yield {"id": f"statement-{number:05d}", "text": text}


def write_corpus(folder: Path, seed: int) -> None:
    """Writes ``corpus.jsonl`` (``id, text``), in random order, without repeats."""
    write_jsonl(folder / "corpus.jsonl", _records(seed))
