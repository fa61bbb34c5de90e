"""The flexible reading: a labelled set of shapes, what other tools make of it, and what holds for any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from primum.score.flexible import read_flexibly
from primum.score.strict import read_answer

OPTIONS = ("Insulin", "Metformin", "C. difficile", "Rest and fluids")
A, B, C, D = range(4)
READ = [
    ("B", B), ("b", B), ("(B)", B), ("b)", B), ("B.", B), ("**B**", B), ("Option B", B), ("\uff22", B), ("B\nB", B),
    ("Answer: B", B), ("answer: b", B), ("Answer: (B)", B), ("Answer - it follows.\nAnswer: B", B), ("**Answer:** B", B),
    ("Answer: B. Metformin", B), ("Answer: B) Metformin", B), ("Answer: B - Metformin", B), ("Answer: B Metformin", B),
    ("Answer: Metformin", B), ("Answer:\nB", B), ("Answer: B, since it is oral.", B), ("Answer: **(B) Metformin**", B),
    ("Final answer: B", B), ("Final Answer: **B**.", B), ("### Final answer\n\nThe final answer is $\\boxed{B}$.", B),
    ("The answer is B.", B), ("The answer is (B).", B), ("The correct answer is B", B), ("the answer is b.", B),
    ("The best answer is option B.", B), ("The answer is therefore B.", B), ("The answer is: B", B),
    ("The answer would be B.", B),
    ("The most likely diagnosis is B.", B), ("The answer is B because it lowers glucose.", B), ("The answer is A.", A),
    ("The answer is Metformin.", B), ("The answer is metformin, an oral agent.", B), ("The correct choice is (D).", D),
    ("The correct option is D: Rest and fluids.", D), ("The answer is rest and fluids.", D), ("My answer is 'B'.", B),
    ("\\boxed{B}", B), ("$\\boxed{\\text{B}}$", B), ("\\boxed{\\textbf{(B) Metformin}}", B), ("So \\boxed{b}.", B),
    ("<answer>B</answer>", B), ('{"answer": "B"}', B), ('{"reason": "oral", "answer": "b"}', B),
    ("B. Metformin", B), ("B) Metformin", B), ("B: Metformin", B), ("(B) Metformin", B), ("b. metformin", B), ("metformin", B),
    ("Metformin\nIt lowers glucose.", B), ("B. Metformin\n\nIt lowers glucose.", B), ("B, because it is oral.", B),
    ("B is correct.", B), ("Option B is correct.", B), ("(B) is the best choice.", B), ("B is the right answer.", B),
    ("B. Metformin is the correct answer.", B), ("I would choose B.", B), ("I'd go with option B.", B), ("I choose (b).", B),
    ("So B is the answer.", B), ("A is not right, so the answer is B.", B), ("It isn't A. The answer is B.", B),
    ("A. Insulin\nB. Metformin\nC. C. difficile\nD. Rest and fluids\n\nThe answer is D.", D),
    ("Insulin is given later. Rest does not help. The first drug is another.\n\nB", B),
    ("A is wrong. C is wrong.\n\nAnswer: B", B), ("Answer: B\nSo it is metformin.\nAnswer: B", B), ("Answer: B, not A.", B),
    ("The answer is C. difficile.", C), ("C. C. difficile", C), ("The answer is C. C. difficile.", C), ("Answer: C", C),
    ("I don't think it is A. I think the answer is B.", B), ("Answer: B\nBut I am not sure.", B), ("A", A), ("Answer: a", A),
    ("The answer is: **b) metformin**", B), ("Correct answer: B", B), ("Correct option: (B)", B), ("The answer is B!", B),
    ("**B. Metformin**\n\nWhy:\n- A. Insulin: later.\n- C. C. difficile: a bug.\n- D. Rest and fluids: no.", B),
]  # fmt: skip
NOT_READ = [
    "", "*", "E", "Answer: E", "The answer is F.", "A man of 50 years has gout.", "I", "I cannot help with that.",
    "A or B", "Answer: A or B", "Answer: A and B", "Answer: A/B", "Answer: A, B", "The answer is A or B.", "A\nB", "Answer: AB",
    "The answer is either A or B.", "Answer: A\nAnswer: B", "\\boxed{A} and \\boxed{B}", "\\boxed{42}", "\\boxed{A, B}",
    "The answer is A. No, the answer is B.", "Answer: A\n\nThe correct answer is B.", "Answer: A. Metformin",
    "A. Insulin\nB. Metformin\nC. C. difficile\nD. Rest and fluids", "The answer is not B.", "The answer isn't B.",
    "I do not think the answer is B.", "I don't believe that B is correct.", "B is not correct.", "B is incorrect.",
    "Is the answer B?", "Could the answer be B?", "The answer might be B.", "Maybe B.",
    "If he were pregnant, the answer would be A.",
    "Neither A nor B is correct.", "It is unlikely that the answer is B.",
    "The answer is a beta blocker.", "The answer is B cells.",
    "The answer is a matter of debate.", "Some would say the answer is B.", "The answer is unclear.", "Answer: none of them",
    "A 50-year-old is given insulin.", "Answer: I do not know.", "Vitamin D is the answer.", "Hepatitis B is correct.",
    "E. coli", "B. pertussis is treated early.", "The answer is B or C.", "Answer: B?", "The answer is A, B or D.",
    "\u0392", "Answer: \u0412", "We can rule out option B.",
    "A doctor should be asked.", "Insulin or metformin", "Answer: insulin or metformin", "It depends.", "Option A or option B",
    "The answer is A, but it could also be B.", "The answer is A... no, wait, B.", "- A. Insulin\n- B. Metformin",
]  # fmt: skip


@pytest.mark.parametrize(("text", "option"), READ)
def test_what_a_person_reads_at_once(text: str, option: int) -> None:
    assert read_flexibly(text, OPTIONS) == option


@pytest.mark.parametrize("text", NOT_READ)
def test_what_two_people_could_read_differently(text: str) -> None:
    assert read_flexibly(text, OPTIONS) is None


def _simple_evals(text: str) -> int | None:
    """simple-evals' pattern for multiple choice: the first letter behind "Answer:"."""
    match = re.search(r"(?i)Answer[ \t]*:[ \t]*\$?([A-D])\$?", text)
    return "ABCD".index(match[1].upper()) if match else None


def _lm_eval(texts: list[str]) -> list[int | None]:
    """lm-eval's multi_choice_regex as mmlu's flexible-extract has it: brackets, else an option's text, else ": B"."""
    from lm_eval.filters.extraction import MultiChoiceRegexFilter

    reader = MultiChoiceRegexFilter(r"(\([A-Z]\))", ignore_case=True, ignore_punctuation=True)
    found = [
        answers[0] for answers in reader.apply([[text] for text in texts], [{"choices": list(OPTIONS)}] * len(texts))
    ]
    return [ord(each[1]) - ord("A") if re.fullmatch(r"\([A-D]\)", each) else None for each in found]


def test_it_reads_more_than_others_and_nothing_wrongly() -> None:
    """Shapes read rightly; and shapes read as another option than a person would read, or as any where there is none."""
    pytest.importorskip("lm_eval")
    shapes: list[tuple[str, int | None]] = [*READ, *((text, None) for text in NOT_READ)]
    texts = [text for text, _ in shapes]
    readers = {
        "ours": [read_flexibly(text, OPTIONS) for text in texts],
        "strict": [read_answer(text, len(OPTIONS)) for text in texts],
        "simple-evals": [_simple_evals(text) for text in texts],
        "lm-eval": _lm_eval(texts),
    }
    found = {}
    for name, answers in readers.items():
        pairs = [(got, option) for got, (_, option) in zip(answers, shapes, strict=True)]
        rightly = sum(got == option for got, option in pairs if option is not None)
        found[name] = (rightly, sum(got is not None and got != option for got, option in pairs))
    assert (len(READ), len(NOT_READ)) == (87, 64)
    # As docs/scoring.md says.
    assert found == {"ours": (len(READ), 0), "strict": (12, 0), "simple-evals": (16, 9), "lm-eval": (43, 16)}


@given(st.text(), st.lists(st.text(max_size=12), min_size=1, max_size=26))
def test_any_text_gives_an_option_or_none(text: str, options: list[str]) -> None:
    option = read_flexibly(text, options)
    assert option is None or 0 <= option < len(options)


_WORDS = st.lists(st.sampled_from(("tea", "lowers", "glucose", "in", "many", "patients", "water")), max_size=8).map(
    " ".join
)
_SHAPES = st.sampled_from(
    ("Answer: {}", "The answer is {}.", "\\boxed{{{}}}", "Final answer: ({})", "**Answer:** {}", "{} is correct.")
)
_OPTIONS = ("Insulin", "Metformin", "Aspirin", "Rest", "None of these")


@given(_WORDS, _SHAPES, _SHAPES, st.integers(0, 4), st.integers(0, 4))
@example("", "Answer: {}", "{} is correct.", 0, 0)
def test_two_statements_are_one_answer_only_where_they_agree(
    thought: str, shape: str, other_shape: str, one: int, other: int
) -> None:
    first, second = shape.format("ABCDE"[one]), other_shape.format("ABCDE"[other])
    assert read_flexibly(f"{thought}.\n{first}", _OPTIONS) == one
    both = read_flexibly(f"{first}\n{thought}.\n{second}", _OPTIONS)
    assert both == (one if one == other else None)


@given(st.text())
def test_what_is_read_strictly_is_read_flexibly(text: str) -> None:
    """A strict answer stands in a line of its own: what is around it may make it doubtful, but never another one."""
    for answer in (text, f"{text}\nAnswer: B"):
        strict = read_answer(answer, len(_OPTIONS))
        assert strict is None or read_flexibly(answer, _OPTIONS) in (strict, None)


@given(_WORDS, st.integers(0, 4))
def test_a_denied_statement_is_none(thought: str, one: int) -> None:
    letter = "ABCDE"[one]
    for denied in (
        f"The answer is not {letter}.",
        f"I don't think the answer is {letter}.",
        f"{letter} is not correct.",
    ):
        assert read_flexibly(f"{thought}.\n{denied}", _OPTIONS) is None
