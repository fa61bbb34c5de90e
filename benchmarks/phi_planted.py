"""Sentences of clinical notes with an invented identifier in each, by kind, and some that hold none."""

from __future__ import annotations

import random
from collections.abc import Callable

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
FIRST = (
    "Anna",
    "Brian",
    "Carmen",
    "David",
    "Elena",
    "Frank",
    "Grace",
    "Hassan",
    "Kim",
    "Luis",
    "Maria",
    "Olga",
    "Rosa",
    "Wei",
)
LAST = (
    "Adams",
    "Brown",
    "Castillo",
    "Dvorak",
    "Evans",
    "Fischer",
    "Garcia",
    "Ivanov",
    "Johnson",
    "McDonald",
    "Nguyen",
    "O'Brien",
)
STREETS = [
    "Oak Street",
    "Maple Ave.",
    "Main St.",
    "West Lake Road",
    "5th Avenue",
    "Elm Drive",
    "Harbor Blvd.",
    "Mill Ln.",
]
CITIES = [("Springfield", "IL"), ("Portland", "OR"), ("Austin", "TX"), ("Salem", "MA"), ("Albany", "NY")]
Draw = Callable[[random.Random], str]


def _digits(count: int) -> Draw:
    return lambda r: "".join(r.choice("0123456789") for _ in range(count))


def _luhn(head: str, length: int) -> Draw:
    def draw(r: random.Random) -> str:
        body = head + "".join(r.choice("0123456789") for _ in range(length - 1 - len(head)))
        total = sum(sum(divmod(2 * int(d), 10)) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body)))
        return body + str(-total % 10)

    return draw


def _day(form: str) -> Draw:
    def draw(r: random.Random) -> str:
        month, day, year = r.randint(1, 12), r.randint(1, 28), r.randint(1930, 2024)
        end = "th" if 4 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
        name = MONTHS[month - 1]
        return form.format(m=month, d=day, y=year, yy=year % 100, name=name, short=name[:3], end=end)

    return draw


def _name(form: str) -> Draw:
    return lambda r: form.format(f=r.choice(FIRST), l=r.choice(LAST), i=r.choice("ABCDEFGHJKLM"))


def _ssn(r: random.Random) -> str:
    return f"{r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}"


def _mbi(r: random.Random) -> str:
    letters = "ACDEFGHJKMNPQRTUVWXY"
    form = "NANN-ANN-AANN"
    return "".join(c if c == "-" else r.choice(letters if c == "A" else "123456789") for c in form)


def _phone(form: str) -> Draw:
    return lambda r: form.format(a=r.randint(201, 989), b=r.randint(200, 999), c=f"{r.randint(0, 9999):04d}")


def _street(r: random.Random) -> str:
    return f"{r.randint(1, 9999)} {r.choice(STREETS)}"


def _zip(r: random.Random) -> str:
    return f"{r.randint(10001, 99950)}"


# Kind -> (sentence, what is planted in it). ``{}`` is where.
PLANTED: dict[str, list[tuple[str, Draw]]] = {
    "date": [
        *(
            ("The patient was seen on {} for follow-up.", _day(form))
            for form in ("{m}/{d}/{y}", "{m:02}/{d:02}/{yy:02}", "{y}-{m:02}-{d:02}")
        ),
        *(
            ("Surgery took place {}.", _day(form))
            for form in ("{name} {d}, {y}", "{d} {name} {y}", "{short} {d}, {y}", "{d}-{short}-{y}")
        ),
        *(
            ("Last visit: {}, without complaints.", _day(form))
            for form in ("{d:02}.{m:02}.{y}", "{m}-{d}-{y}", "{name} {d}{end}", "{d}{end} of {name}")
        ),
        ("She was admitted on {} with chest pain.", _day("{m}/{d}")),
        ("Symptoms began in {} and are stable.", _day("{name} {y}")),
        ("DOB: {}", _day("{m:02}{d:02}{y}")),
        ("A scan of {} was normal.", _day("{y}{m:02}{d:02}")),
        ("We saw him around {}.", _day("{m}/{d}")),
    ],
    "name": [
        ("Mr. {} reports no pain.", _name("{l}")),
        ("I spoke with Dr. {} about the plan.", _name("{f} {l}")),
        ("Mrs {} was here today.", _name("{l}")),
        ("Ms. {} is feeling better.", _name("{f} {i}. {l}")),
        ("[doctor] hi , ms. {} , how are you ?", lambda r: r.choice(LAST).lower()),
        ("Patient name: {}", _name("{f} {l}")),
        ("Patient: {}, 54-year-old man.", _name("{f} {l}")),
        ("Name: {}", _name("{l}, {f}")),
        ("Electronically signed by {}, MD", _name("{f} {l}")),
        ("Seen by {}, NP, in clinic.", _name("{f} {l}")),
        ("Attending: {}", _name("{f} {i}. {l}")),
    ],
    "name, no title": [
        ("{} is a 45-year-old woman with asthma.", _name("{f} {l}")),
        ("His wife {} drove him here.", _name("{f}")),
        ("[doctor] so , {} is doing well .", lambda r: r.choice(FIRST).lower()),
    ],
    "age": [
        ("A {}-year-old man with cough.", lambda r: str(r.randint(90, 108))),
        ("The patient is {} years old.", lambda r: str(r.randint(90, 108))),
        ("Age: {}", lambda r: str(r.randint(90, 108))),
        ("{} y/o female, frail.", lambda r: str(r.randint(90, 108))),
        ("Her mother died at age {}.", lambda r: str(r.randint(90, 108))),
        ("She turned {} last week.", lambda r: str(r.randint(90, 108))),
    ],
    "phone": [
        ("Call {} with questions.", _phone("({a}) {b}-{c}")),
        ("Phone: {}", _phone("{a}-{b}-{c}")),
        ("Fax {}", _phone("{a}.{b}.{c}")),
        ("He can be reached at {}.", _phone("{a}{b}{c}")),
        ("Daughter's cell: {}", _phone("+1 {a} {b} {c}")),
        ("The London office is {}.", _phone("+44 20 7{b} {c}")),
        ("Pager {}", _phone("{b}-{c}")),
        ("Her number is {}.", _phone("{b}-{c}")),
    ],
    "address": [
        ("Lives at {} with his wife.", _street),
        ("Address: {}", _street),
        ("Mail goes to {}.", lambda r: f"P.O. Box {r.randint(1, 9999)}"),
    ],
    "zip": [
        *((f"{city}, {state} {{}}", _zip) for city, state in CITIES),
        ("zip code {}", _zip),
        ("ZIP: {}", lambda r: f"{_zip(r)}-{r.randint(1000, 9999)}"),
    ],
    "ssn": [
        ("SSN: {}", _ssn),
        ("Social security number {} on file.", _ssn),
        ("ID {} was checked.", _ssn),
        ("SSN {}", lambda r: _ssn(r).replace("-", "")),
    ],
    "record": [
        ("MRN: {}", _digits(8)),
        ("MRN {}", _digits(7)),
        ("MRN# {}", lambda r: f"A{_digits(6)(r)}"),
        ("Medical record number is {}.", _digits(6)),
        ("Patient ID: {}", lambda r: f"{_digits(3)(r)}-{_digits(4)(r)}"),
        ("Encounter #{}", _digits(9)),
        ("Accession No. {}", lambda r: f"S{_digits(2)(r)}-{_digits(5)(r)}"),
        ("Chart {} was reviewed.", _digits(6)),
    ],
    "health-plan": [
        ("Medicare number {}", _mbi),
        ("Her card reads {}.", _mbi),
        ("Member ID: {}", lambda r: f"XYZ{_digits(9)(r)}"),
        ("Policy #{}", _digits(10)),
        ("Subscriber no. {}", lambda r: f"W{_digits(8)(r)}"),
    ],
    "account": [
        ("Account number: {}", _digits(9)),
        ("Acct {}", _digits(8)),
        ("Paid with {}.", _luhn("4", 16)),
        ("Invoice #{}", _digits(6)),
    ],
    "licence": [
        ("Driver's license {}", lambda r: f"D{_digits(7)(r)}"),
        ("NPI {}", _luhn("1", 10)),
        ("DEA# {}", lambda r: f"BF{_digits(7)(r)}"),
        ("License no. {}", lambda r: f"MD{_digits(6)(r)}"),
    ],
    "vehicle": [
        ("VIN: {}", lambda r: f"1HGCM82633A{_digits(6)(r)}"),
        ("License plate: {}", lambda r: f"ABC-{_digits(4)(r)}"),
    ],
    "device": [
        ("Pacemaker serial number {}", lambda r: f"PJN{_digits(7)(r)}"),
        ("Device ID: {}", _digits(10)),
        ("Lot #{}", lambda r: f"L{_digits(5)(r)}"),
        ("MAC {}", lambda r: ":".join(f"{r.randint(0, 255):02x}" for _ in range(6))),
    ],
    "email": [
        ("Write to {}.", lambda r: f"{r.choice(FIRST).lower()}.{r.choice(LAST).lower()}@example.org"),
        ("E-mail: {}", lambda r: f"{r.choice(LAST)}{r.randint(1, 99)}@mail.hospital.local"),
    ],
    "url": [
        ("See {} for the images.", lambda r: f"https://portal.example.org/p/{_digits(6)(r)}"),
        ("Portal: {}", lambda r: f"www.example.org/{r.choice(LAST).lower()}"),
    ],
    "ip": [
        ("Logged in from {}.", lambda r: f"10.{r.randint(0, 255)}.{r.randint(0, 255)}.{r.randint(1, 254)}"),
        ("Host {}", lambda r: f"fe80::{r.randint(1, 65535):x}:{r.randint(1, 65535):x}"),
    ],
}
FILLER = (
    "Blood pressure 120/80, pulse 72, temperature 98.6, SpO2 97% on room air.",
    "Takes metformin 500 mg twice a day and lisinopril 10 mg daily.",
    "Hemoglobin 13.2, creatinine 0.9, HbA1c 7.1%; strength 5/5, reflexes 2+.",
    "MRI shows an L4-5 disc bulge; pain is 3/10 and worse when he bends.",
)
