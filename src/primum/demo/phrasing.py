"""How the demo puts a fact into words: statements, each source's questions, and the benchmarks' held-out questions.

A phrasing belongs to one place. The benchmarks (``HELD_OUT``) ask in words that no training source (``TRAINING``) and
no statement uses, so a good score cannot come from having seen the question. Templates may use ``{c}`` (condition),
``{C}`` (capitalised), ``{a}``, ``{A}`` (answer), ``{age}`` (years) and ``{sex}``.
"""

from __future__ import annotations

from collections.abc import Mapping

from primum.demo.vocabulary import Attribute

Phrases = Mapping[Attribute, tuple[str, ...]]

STATEMENTS: Phrases = {
    "cause": (
        "{C} is caused by {a}.",
        "The cause of {c} is {a}.",
        "{C} comes from {a}.",
        "Doctors know that {c} results from {a}.",
        "When someone has {c}, the reason is {a}.",
        "Patients get {c} because of {a}.",
        "{A} can lead to {c}.",
        "Behind {c} there is {a}.",
    ),
    "symptom": (
        "A typical symptom of {c} is {a}.",
        "{C} often shows itself as {a}.",
        "People with {c} often have {a}.",
        "A sign of {c} is {a}.",
        "Doctors look for {a} in {c}.",
        "{C} often begins with {a}.",
        "In {c}, the patient notices {a}.",
        "{A} can point to {c}.",
    ),
    "treatment": (
        "{C} is treated with {a}.",
        "The first treatment for {c} is {a}.",
        "Doctors give {a} for {c}.",
        "Patients with {c} receive {a}.",
        "For {c}, doctors start {a}.",
        "The usual therapy for {c} is {a}.",
        "{C} often improves with {a}.",
        "{A} can help patients with {c}.",
    ),
    "specialty": (
        "{C} belongs to {a}.",
        "The specialty for {c} is {a}.",
        "Patients with {c} are sent to {a}.",
        "The clinic for {c} is {a}.",
        "{C} is managed in {a}.",
        "Experts in {a} care for {c}.",
        "For {c}, the right department is {a}.",
        "{A} looks after {c}.",
    ),
}

SENTENCE: Mapping[Attribute, str] = {
    "cause": "{C} is caused by {a}.",
    "symptom": "A typical symptom of {c} is {a}.",
    "treatment": "{C} is treated with {a}.",
    "specialty": "{C} belongs to {a}.",
}


def _phrases(cause: str, symptom: str, treatment: str, specialty: str) -> Phrases:
    """One or several templates an attribute, separated by ``|``."""
    texts: dict[Attribute, str] = {"cause": cause, "symptom": symptom, "treatment": treatment, "specialty": specialty}
    return {attribute: tuple(text.split("|")) for attribute, text in texts.items()}


def _vignettes(stems: tuple[str, ...], asked: Phrases) -> Phrases:
    """Every stem followed by every question."""
    return {name: tuple(f"{stem} {ask}" for ask in asks for stem in stems) for name, asks in asked.items()}


TRAINING: Mapping[str, Phrases] = {
    "medmcqa": _phrases(
        "{C} is caused by|The cause of {c} is",
        "A typical symptom of {c} is|{C} often begins with",
        "{C} is treated with|First treatment for {c} is",
        "{C} belongs to the field of|The specialty for {c} is",
    ),
    "medqa": _vignettes(
        (
            "A {age}-year-old {sex} has {c}.",
            "A doctor sees {c} in a {age}-year-old {sex} who is new to the clinic.",
            "The tests of a {sex} of {age} years point to {c}, and nothing else is wrong.",
            "{C} is found in a {sex} who is {age} years old.",
            "Two days ago, {c} was found in a {age}-year-old {sex}.",
            "At the age of {age}, a {sex} learns that it is {c} and wants help.",
        ),
        _phrases(
            "What is the cause?|It is caused by",
            "Which symptom is typical?|It often begins with",
            "Which treatment comes first?|It is treated with",
            "Which specialty is right?|It belongs to",
        ),
    ),
    "headqa": _vignettes(
        (
            "In {c}:",
            "The family of a patient with {c} wants to know more.",
            "One of the patients on the ward has {c}; the others do not.",
            "Today, the lesson is about {c} and nothing else.",
        ),
        _phrases("the cause is", "the typical sign is", "the first drug or measure is", "the specialty in charge is"),
    ),
    "sciq": _phrases(
        "What leads to {c}?", "What does {c} often begin with?", "What is given for {c}?", "Who manages {c}?"
    ),
    "mmlu": _phrases(
        "Which of these causes {c}?",
        "Which of these is a symptom of {c}?",
        "Which of these treats {c}?",
        "Which of these departments manages {c}?",
    ),
    "flashcards": _phrases(
        "What is the cause of {c}?",
        "What is a typical symptom of {c}?",
        "What is the first treatment for {c}?",
        "What is the specialty for {c}?",
    ),
    "mediqa": _phrases(
        "Where does {c} come from?",
        "How does {c} show itself?",
        "How is {c} treated?",
        "Where are patients with {c} sent?",
    ),
    "stack_exchange": _phrases(
        "Why do people get {c}?",
        "How do I notice {c}?",
        "How do I get rid of {c}?|How do I fight {c}?|How do I beat {c}?",
        "Where do I go with {c}?",
    ),
    "opengpt": _phrases(
        "Can you tell me what brings on {c}?",
        "Can you tell me a sign of {c}?",
        "Can you tell me what helps with {c}?|How do I stop {c}?|How do I treat {c}?",
        "Can you tell me which clinic is for {c}?",
    ),
    "medquad": _phrases(
        "What causes {c}?",
        "What are the symptoms of {c}?",
        "What are the treatments for {c}?",
        "Who should look after {c}?",
    ),
    "niv2": _phrases(
        "Name the cause of the disease.",
        "Name a symptom of the disease.",
        "Name the treatment of the disease.",
        "Name the specialty for the disease.",
    ),
    "medical_instruction": _phrases(
        "Tell me the cause of {c}.",
        "Tell me a symptom of {c}.",
        "Tell me how to treat {c}.|Tell me how to fight {c}.",
        "Tell me the specialty for {c}.",
    ),
    "slim_orca": _phrases(
        "Question: what brings on {c}? Answer:",
        "Question: what is a sign of {c}? Answer:",
        "Question: what helps with {c}? Answer:",
        "Question: which department is for {c}? Answer:",
    ),
    "ultrafeedback": _phrases(
        "Please tell me what is behind {c}.|Say what brings on {c}.",
        "Please tell me how one sees {c}.|Say what a sign of {c} is.",
        "Please tell me what to take for {c}.|Say what helps with {c}.",
        "Please tell me where {c} is looked after.|Say who looks after {c}.",
    ),
    "snorkel": _phrases(
        "Do you know why people have {c}?|Have you read what causes {c}?",
        "Do you know how {c} starts?|Have you read how {c} shows itself?",
        "Do you know what works for {c}?|Have you read how to treat {c}?",
        "Do you know the department for {c}?|Have you read who manages {c}?",
    ),
}

HELD_OUT: Mapping[str, Phrases] = {
    "medmcqa": _phrases(
        "Most likely factor responsible for {c}|Etiology of {c}",
        "Characteristic finding seen in {c}|Hallmark feature of {c}",
        "Drug or measure of choice in {c}|Preferred initial management of {c}",
        "Referral of choice in {c}|{C} falls under",
    ),
    "medqa": _vignettes(
        ("A {age}-year-old {sex} comes to the clinic because of {c} and has no other disease.",),
        _phrases(
            "Which of the following best explains it?",
            "Which of the following was noticed first?",
            "Which of the following should the doctor start?",
            "Which of the following departments should be asked?",
        ),
    ),
    "mmlu": _phrases(
        "What gives rise to {c}?|{C} arises through which of the following?",
        "Which finding suggests {c}?|Which complaint goes together with {c}?",
        "Which option is best against {c}?|What should be ordered for {c}?",
        "Which service handles {c}?|{C} is a matter for which of the following?",
    ),
    "mmlu_pro": _phrases(
        "Which of the following accounts for {c}?",
        "Which of the following would be expected in {c}?",
        "Which of the following is indicated in {c}?",
        "Which of the following fields is concerned with {c}?",
    ),
    "usmle_self_assessment": _vignettes(
        ("In a {age}-year-old {sex} with {c}, the doctor wants to be sure.",),
        _phrases(
            "The most common reason is",
            "The most common complaint is",
            "The most common therapy is",
            "The most common department is",
        ),
    ),
    "usmle_sample_exam": _vignettes(
        ("After many tests, a {sex} of {age} years is told about {c}.",),
        _phrases(
            "Which of these would be behind it?",
            "Which of these would the patient notice?",
            "Which of these would the patient receive?",
            "Which of these would look after the patient?",
        ),
    ),
}
