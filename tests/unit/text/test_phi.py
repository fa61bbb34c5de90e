"""Identifiers in text: each kind in its forms, what clinical text has that looks like one, and what is left of the text."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primum.text.identifiers import NUMBERS, WORDS
from primum.text.phi import Place, find, redact, told

# What stands in [ ] is found, whole, as the kind; nothing else of the text is.
FOUND = [
    ("date", "Seen on [3/14/2019] and [03/14/19]; again [2019-03-14], [14.03.2019] and [3-14-2019]."),
    ("date", "Admitted [2019-03-14T08:30:00Z], discharged [20190317]."),
    ("date", "Born [March 14, 1950], operated [14 March 2019], [14-Mar-2019] and on the [3rd of July]."),
    ("date", "Ill since [August 2008]; worse in [April of 2005], in [10/2018] and in [08/07]."),
    ("date", "She came on [3/14] with a cough. DOB: [03141950]"),
    ("date", "It was [January tenth two thousand nine], or [the twenty fifth of September]."),
    ("date", "(doctor) okay . on [january 20th , 2020] ."),
    ("name", "Mr. [Smith] and Dr. [Anna-Maria O'Neil Smith] met Ms. [K]."),
    ("name", "mrs. [jackson] saw dr. [o'brien] ."),
    ("name", "Patient name: [Jane Q. Roe]\nName: [Roe, Jane]\nElectronically signed by [John Doe], MD"),
    ("name", "Patient: [Jane Roe], 54-year-old woman. Seen by [Ruth Sanchez], PA."),
    ("age", "A [93]-year-old man; his mother died at age [101]. Age: [90]. A [ninety two] year old aunt."),
    ("phone", "Call [(212) 555-0123], [212.555.0123 x12] or [+44 20 7946 0958]."),
    ("phone", "Fax [555-0123]. She can be reached at [2125550123]."),
    ("address", "Lives at [12 Oak Street, Apt 4]. Mail to [P.O. Box 77]."),
    ("zip", "Springfield, IL [62704-1234]; zip code [62704]."),
    # 900-xx is no social security number, but 900-70 to 900-88 are of taxpayers without one.
    ("ssn", "SSN [123 45 6780]; the number [212-45-6780]; ITIN [912-70-1234]."),
    ("record", "MRN: [00123456], MRN [A-12345], MRN[1234567], medical record number is [123546]."),
    ("record", "Accession No. [S19-12345]; NHS number [485 077 3456]."),
    ("health-plan", "Medicare number [1EG4-TE5-MK73]; the card says [1EG4TE5MK72]. Member ID: [XYZ123456789]."),
    # Luhn: 4111 1111 1111 1111 doubles to 8+2x7 = 22, plus 8 ones: 30.
    ("account", "Acct [12345678]. Paid with [4111 1111 1111 1111], or [GB82 WEST 1234 5698 7654 32]."),
    # 80840 and 1234567893 pass Luhn's sum: the example of the standard.
    ("licence", "NPI [1234567893], also [1234567893]. DEA# [BF1234567]. Driver's license [D1234567]."),
    ("vehicle", "VIN: [1HGCM82633A004352]. License plate: [ABC-1234]."),
    ("device", "Pacemaker serial number [PJN1234567]; MAC [00:1b:44:11:3a:b7]."),
    ("email", "Write to [jane.roe@example.org] or [ward7@mail.hospital.local]."),
    ("url", "See [https://portal.example.org/p/1] or [www.example.org/p]"),
    ("ip", "From [10.12.0.7] or [fe80::1ff:fe23]."),
]


def _marked(text: str) -> tuple[str, list[str]]:
    """The text without its brackets, and what they held."""
    parts = text.replace("]", "[").split("[")
    return "".join(parts), parts[1::2]


@pytest.mark.parametrize(("kind", "marked"), FOUND)
def test_identifiers_are_found_whole(kind: str, marked: str) -> None:
    text, values = _marked(marked)
    found = find(text)
    assert [text[place.start : place.end] for place in found] == values
    assert {place.kind for place in found} == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "Blood pressure 120/80, pulse 72, temp 98.6 F, SpO2 97% on 2 L, BMI 31.4, weight 92 kg.",
        "Pain 7/10, strength 5/5, a 2/6 systolic murmur, GCS 15, grade 3/4 chondromalacia, vision 20/200.",
        "Disc bulges at L4-5 and L5-S1, C5-C6; T12 fracture; lead V1-V4; CN II-XII intact.",
        "ICD-10 E11.9, I10, Z79.4; CPT 99213; HLA-B27; p53; CD4 count 350; COVID-19; H1N1.",
        "Metformin 500 mg twice a day, insulin 20 units, 1/2 tablet on 2/3 of days, 0.9% saline at 125 ml/h.",
        "Hgb 13.2, WBC 8,400, platelets 250,000, sodium 140, creatinine 0.9, TSH 2.35, eGFR > 60, INR 2-3.",
        "A 45-year-old man, 89 years old, 12 months, 6-8 weeks ago, 3-4 times, for 2-1/2 years, in 2008.",
        "She may first try ice. The doctor may have said so. Patient: Yes, Doctor. Doctor: Hi, Miss.",
        "No known drug allergies. He drinks, drives, and denies dropping things. mr arthrogram, MR imaging.",
        "Room 12, bed 3, case 2, group A strep, account for it, model 3, Type 2 diabetes, stage IIIB, unit 5.",
        "Given 10000 units in 50000 cells, PMID 12345678, ratio 1:2:3, version 1.2.3, time 10:30:45.",
        "Answer: B. Option 3: 1200 mg. (A) 10 (B) 20. 3 x 4 = 12. Seen in 4/4 leads. C. difficile; E. coli O157:H7.",
        "Nurse practitioners and Nurse Midwives of the MS Society; HLA-DR Dendritic cells; MR Diagnosis; EC 3.1.1.11.",
        "Treatment group = 1620, control group = 1800, aged 31-92 years, for more than 100 years; infants of 1 may cough.",
        "",
    ],
)
def test_clinical_language_is_no_identifier(text: str) -> None:
    assert find(text) == []


def test_what_has_no_form_is_not_found() -> None:
    # What the documentation says of it: these take a model.
    assert find("Jane Roe lives in Springfield with her son Max.") == []


@pytest.mark.parametrize(
    "text",
    [
        "the number 123-00-6789",  # no group of a social security number is all zeros
        "paid with 4111 1111 1111 1112",  # Luhn's sum is 31
        "the number 123 156 7890",  # no exchange begins with 1
        "1234567890",
        "from 10.12.0.700",
    ],
)
def test_a_wrong_checksum_is_no_identifier(text: str) -> None:
    assert find(text) == []


def test_a_redacted_text_keeps_all_else() -> None:
    text = "Mr. Smith (MRN 12345678) was seen on 3/14/2019 by Ruth Sanchez, PA; BP 120/80."
    redacted = "Mr. <NAME> (MRN <RECORD>) was seen on <DATE> by <NAME>, PA; BP 120/80."
    assert redact(text, find(text)) == redacted
    assert find(redacted) == []


def test_places_that_overlap_are_one_of_the_longest_kind() -> None:
    # The e-mail address and what looks like a web address within it; the label makes a record of a date.
    text = "Write to a@www.example.org"
    assert find(text) == [Place(9, len(text), "email")]


def test_kinds_are_told_by_number() -> None:
    assert told(Counter(name=3, date=12, age=3)) == "date 12, age 3, name 3"


pieces = st.sampled_from(
    [_marked(text)[0] for _, text in FOUND]
    + [
        "Mr. ",
        "Dr",
        "on ",
        "MRN",
        ": ",
        "#",
        "/",
        "-",
        ".",
        "@",
        "12",
        "1999",
        "March ",
        "Smith",
        "\n",
        " ",
        "+",
        "::",
        "é",
    ]
)


@given(st.lists(pieces | st.text(max_size=6), max_size=12).map("".join))
def test_places_are_in_order_and_redaction_leaves_all_other_text(text: str) -> None:
    places = find(text)
    bounds = [bound for place in places for bound in (place.start, place.end)]
    assert bounds == sorted(bounds)
    assert all(0 <= place.start < place.end <= len(text) for place in places)
    redacted = redact(text, places)
    kept = [text[start:end] for start, end in zip([0, *bounds[1::2]], [*bounds[::2], len(text)], strict=True)]
    marks = [f"<{place.kind.upper()}>" for place in places]
    assert redacted == kept[0] + "".join(mark + rest for mark, rest in zip(marks, kept[1:], strict=True))


@given(st.lists(pieces | st.text(max_size=6), max_size=12).map("".join))
def test_what_a_form_needs_is_in_all_that_it_finds(text: str) -> None:
    for form in (*NUMBERS, *WORDS):
        if form.pattern.search(text):
            assert form.needs is None or form.needs.search(text)
            assert form in WORDS or re.search(r"\d", text)


def test_each_form_finds_an_identifier() -> None:
    texts = [_marked(text)[0] for _, text in FOUND]
    unused = [
        form.pattern.pattern for form in (*NUMBERS, *WORDS) if not any(form.pattern.search(text) for text in texts)
    ]
    assert unused == []


RUNS = ["a", "1", "1-", "A1 ", "Aa ", ":", "a:", ".", "@", "a@", "1.", "Mr. A ", "March ", "1/", "%", "\n", "née "]


@pytest.mark.parametrize("piece", RUNS)
def test_long_runs_take_no_long_time(piece: str) -> None:
    # A quadratic pattern would take minutes for these.
    find(piece * (200_000 // len(piece)))
