"""The forms of the identifiers of HIPAA's Safe Harbor (45 CFR 164.514(b)(2)) that a form, a checksum or a label gives away.

What identifies is the group ``value`` of a form. A title or a label before it stays in the text. The forms are those of clinical
text in English; numbers without a label are those of the United States.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stdnum import iban, luhn
from stdnum.us import itin, ssn

from primum.text.identifier_terms import (
    DAY,
    FULL_NAME,
    LABELS,
    MONTH,
    MONTHS,
    NAME,
    NO_NAME,
    ORDINAL,
    SERIES,
    SPOKEN_YEAR,
    STATE_NAMES,
    STATES,
    WORD,
    YEAR,
)


def _any(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Form:
    """What an identifier looks like, and what must end right ``before`` it, within :data:`BEFORE` characters.

    Its kind is ``kind``, or else the group of ``before`` that matched. ``holds`` decides of a value that looks like one. Where
    ``needs`` is nowhere in a text, neither is the form: it is the quicker one to look for.
    """

    kind: str
    pattern: re.Pattern[str]
    before: re.Pattern[str] | None = None
    needs: re.Pattern[str] | None = None
    holds: Callable[[str], bool] = _any


BEFORE = 60


def _is_number(text: str) -> bool:
    return len(_digits(text)) >= 4


def _digits(text: str) -> str:
    return "".join(re.findall(r"\d", text))


def _is_card(text: str) -> bool:
    return len(_digits(text)) >= 13 and luhn.is_valid(_digits(text))


def _is_npi(text: str) -> bool:
    return luhn.is_valid("80840" + text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15


def _form(
    kind: str,
    pattern: str,
    flags: int = 0,
    before: str = "",
    needs: str = "",
    holds: Callable[[str], bool] = _any,
) -> Form:
    first, needed = (re.compile(each, re.IGNORECASE) if each else None for each in (before, needs))
    return Form(kind, re.compile(pattern, flags), first, needed, holds)


# Each has a digit in it.
NUMBERS: Sequence[Form] = (
    # 2019-03-14, with or without a time
    _form(
        "date",
        rf"(?<![\d-])(?P<value>{YEAR}([-/.]){MONTH}\2{DAY}(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?)"
        r"(?![\d-])",
        needs=r"\d{4}[-/.]\d",
    ),
    # 3/14/2019, 14.03.19, 14-03-2019
    _form(
        "date",
        rf"(?<![\d/.-])(?P<value>(?:{MONTH}([-/.]){DAY}|{DAY}([-/.]){MONTH})(?:\2|\3)(?:{YEAR}|\d\d))(?![\d/-])(?!\.\d)",
        needs=r"\d[-/.]\d\d?[-/.]\d\d",
    ),
    # 20190314
    _form(
        "date",
        rf"(?<![\w./-])(?P<value>{YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?![\w/-]|\.\d)",
        needs=r"\d{8}",
    ),
    # 3/2019
    _form("date", rf"(?<![\d/.-])(?P<value>{MONTH}/{YEAR})(?![\d/-])", needs=r"\d/\d{4}"),
    # in 3/19
    _form(
        "date",
        rf"(?<![\d/.-])(?P<value>{MONTH}/\d\d)(?![\d/%-])(?!\.\d)(?!\s*(?:of|an?|hours?|days?|weeks?|pain|scale)\b)",
        re.IGNORECASE,
        before=r"\b(?:in|early|late)\s+\Z",
        needs=r"\d/\d\d",
    ),
    # on 3/14
    _form(
        "date",
        rf"(?<![\d/.-])(?P<value>{MONTH}/{DAY})(?![\d/%-])(?!\.\d)"
        r"(?!\s*(?:of|an?|mg|ml|tab\w*|strength|hours?|days?|weeks?|inch\w*|pain|scale)\b)",
        re.IGNORECASE,
        before=r"\b(?:on|dated?|since|until|seen|visit|admitted|discharged|dob|appointment)(?:\s+(?:of|on|for))?\s*:?\s+\Z",
        needs=r"\d/\d",
    ),
    # 14-Mar-2019, 14 March 2019, 14th of March
    _form(
        "date",
        rf"(?<![\d.])(?!{DAY} (?-i:may)\b(?!,? \d{{4}}))(?P<value>{DAY}(?:st|nd|rd|th)?[ -](?:of )?{MONTHS}"
        r"(?:\.?,?[ -]\d{4}|-\d\d)?)(?![\w-])",
        re.IGNORECASE,
    ),
    # March 14, 2019; March 14th; March 2019
    _form(
        "date",
        rf"\b(?P<value>{MONTHS}\.?,? (?:{DAY}(?:st|nd|rd|th)?(?: ?,? {YEAR})?|(?:of )?{YEAR}))(?![\w%/]|[.,-]\d)"
        r"(?! ?(?:mg|ml|mcg|tablets?|times|percent|hours?|days?|weeks?|months?|years?)\b)",
        re.IGNORECASE,
        needs=MONTHS,
    ),
    _form(
        "age",
        r"(?<![\w.,/-])(?P<value>9\d|1[01]\d)(?=[ -]?(?:(?:years?|yrs?)[ -](?:old|of age)|y/?o|y\.o\.)\b)",
        re.IGNORECASE,
    ),
    _form(
        "age",
        r"\b(?P<value>9\d|1[01]\d)\b(?!\s*(?:hours?|days?|weeks?|months?|mo|%|/)\b)",
        before=r"\b(?:aged?|age of)(?:\s+is)?\s*[:=]?\s*\Z",
    ),
    _form(
        "phone",
        r"(?<![\w./-])(?P<value>(?:\+?1[-. ]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}"
        r"(?: ?(?:x|ext\.?) ?\d{1,6})?)(?![\w/-])",
        re.IGNORECASE,
        needs=r"\d{3}[-. )] ?\d{3}[-. ]\d{4}",
    ),
    _form(
        "phone",
        r"(?<![\w+])(?P<value>\+\d{1,3}(?:[-. /]?\(?\d{1,5}\)?){2,6})(?!\w)",
        holds=_is_phone,
        needs=r"\+\d",
    ),
    _form(
        "phone",
        r"(?<![\w.+])(?P<value>\+?\(?\d(?:[-. ()/]{0,2}\d){6,14})(?!\w)",
        before=r"\b(?:phone|telephone|tel|cell|cellphone|mobile|fax|pager|beeper|call(?: back)?(?: at)?|reached at)"
        r"(?:\s*(?:number|no|\#))?(?:\s+is)?\s*[.:#]?\s*\Z",
        needs=r"\d(?:[-. ()/]{0,2}\d){6}",
    ),
    _form(
        "address",
        r"\b(?P<value>\d{1,6}[A-Z]? (?:[NSEW]\.? |North |South |East |West )?(?:(?:[A-Z][a-z]+|\d{1,3}(?:st|nd|rd|th)) ){1,3}"
        r"(?:Street|Avenue|Road|Boulevard|Drive|Lane|Court|Place|Terrace|Way|Parkway|Highway|Circle|Square|(?:St|Ave|Rd|Blvd|Dr|Ln|Ct"
        r"|Pl|Pkwy|Hwy|Cir)(?=[.,\n]|$))\.?(?:,? (?:Apt|Apartment|Suite|Ste|Unit)\.? ?\#?\w{1,6})?)",
    ),
    _form("address", r"\b(?P<value>P\.? ?O\.? Box \d{1,6})\b", needs=r"box \d"),
    _form(
        "zip",
        r"(?<![\w.,/-])(?P<value>\d{5}(?:-\d{4})?)\b(?![-/.,]\d)",
        before=rf"(?-i:\b(?:{STATES}|{STATE_NAMES}),? \Z)|\b(?:zip|postal)(?:\s*code)?(?:\s+is)?\s*[:#]?\s*\Z",
        needs=r"\d{5}",
    ),
    _form(
        "ssn",
        r"(?<![\w-])(?P<value>\d{3}-\d{2}-\d{4})(?![\w-])",
        holds=lambda text: ssn.is_valid(text) or itin.is_valid(text),
        needs=r"\d{3}-\d\d-\d{4}",
    ),
    _form("record", r"\bMRN(?P<value>\d{4,})\b", needs=r"MRN\d"),
    _form("", SERIES, before=LABELS, holds=_is_number),
    # Medicare's: its letters leave out S, L, O, I, B and Z.
    _form(
        "health-plan",
        r"\b(?P<value>[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\d-?[AC-HJKMNP-RT-Y]{2}\d\d)\b",
        needs=r"\d-?[a-z]{2}\d\d\b",
    ),
    _form(
        "account",
        r"(?<![\w.-])(?P<value>\d(?:[ -]?\d){12,18})(?![\w-])(?!\.\d)",
        holds=_is_card,
        needs=r"\d(?:[ -]?\d){12}",
    ),
    _form(
        "account",
        r"\b(?P<value>[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?)\b",
        holds=iban.is_valid,
    ),
    _form("licence", r"(?<![\w.-])(?P<value>[12]\d{9})(?![\w-])(?!\.\d)", holds=_is_npi, needs=r"\d{10}"),
    _form(
        "ip",
        r"(?<![\w.])(?<!EC )(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?![\w]|\.\d)",
        holds=_is_address,
        needs=r"\d\.\d{1,3}\.\d",
    ),
    _form(
        "ip",
        r"(?<![\w:])(?P<value>(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4})(?![\w:])",
        holds=_is_address,
        needs=r":[0-9a-f]{0,4}:",
    ),
    _form(
        "device",
        r"(?<![\w:-])(?P<value>(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})(?![\w:-])",
    ),
)
# And these need none.
WORDS: Sequence[Form] = (
    _form(
        "name",
        r"(?<![\w.])(?:(?:Mr|Mrs|Ms|Mx|Dr|Drs|Prof|MRS)\.? |(?:MR|DR|PROF)\. |"
        r"(?:Miss|Professor|Doctor|Nurse|Sister|Father|Rev\.) )"
        rf"(?P<value>{NAME})",
    ),
    # Transcribed in lower case: without capitals, one word.
    _form(
        "name",
        rf"(?<![\w.])(?:(?:mr|ms)\. ?|(?:mrs|dr)(?:\. ?| ))(?P<value>{NO_NAME}[a-z]+(?:['\u2019-]?[a-z]+)+)(?![\w:])",
    ),
    _form(
        "name",
        rf"(?::|\b(?:is|IS|by|BY))\s*(?P<value>{NO_NAME}{WORD}(?:,? (?:[A-Z]\.|{NO_NAME}{WORD})){{0,3}})",
        before=r"\b(?:(?:(?:patient|pt|full|first|last|middle|maiden|mother|father|spouse|guardian|contact|provider|physician|employer)"
        r"(?:'s)? name|name of patient|next of kin|attending(?: physician)?|pcp|emergency contact)\s*(?::|\bis)"
        r"|(?:signed|dictated|transcribed|referred) by:?)\s*\Z|(?:^|\n)\s*name\s*:\s*\Z",
    ),
    _form(
        "name",
        rf":\s?(?P<value>{FULL_NAME})(?=\s*(?:$|[(;]|,?\s*(?:\d|(?:DOB|dob|MRN|mrn|Age|age|aged)\b)))",
        re.MULTILINE,
        before=r"\b(?:patient|pt|re|subject)\s*:\s?\Z",
    ),
    _form(
        "name",
        rf"\b(?P<value>{FULL_NAME})(?=,? (?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A(?:-C)?|Ph\.?D|DDS|FACS|LPN|CRNA|DPM)\b)",
        needs=r"(?-i:[\w.],? (?:M\.?D|D\.?O|R\.?N|N\.?P|P\.?A(?:-C)?|Ph\.?D|DDS|FACS|LPN|CRNA|DPM)\b)",
    ),
    _form("email", r"(?<![\w.+-])(?P<value>[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*)", needs="@"),
    _form("url", r"\b(?P<value>(?:https?|ftp)://[^\s<>\"')\]]{3,2000})", re.IGNORECASE, needs="://"),
    _form("url", r"(?<![\w/.])(?P<value>www\.[\w-]+\.[^\s<>\"')\],]{2,2000})", re.IGNORECASE, needs=r"www\."),
    _form(
        "age",
        r"\b(?P<value>(?:ninety|one hundred|a hundred)(?:[ -](?:and )?[a-z]{3,5})?)(?=[ -]years?[ -]old)",
        re.IGNORECASE,
        needs="ninety|hundred",
    ),
    # January tenth, two thousand nine; August of two thousand eight; but "may first" and the like
    _form(
        "date",
        rf"\b(?!(?-i:may|march) {ORDINAL}\b(?!,? (?:of )?{SPOKEN_YEAR}))"
        rf"\b(?P<value>{MONTHS} (?:the )?(?:{ORDINAL}(?:,? (?:of )?{SPOKEN_YEAR})?|(?:of )?{SPOKEN_YEAR}))\b",
        re.IGNORECASE,
    ),
    _form(
        "date",
        rf"\b(?P<value>(?:the )?{ORDINAL} of {MONTHS}(?:,? (?:of )?{SPOKEN_YEAR})?)\b",
        re.IGNORECASE,
        needs=rf"(?:st|nd|rd|th) of {MONTHS}",
    ),
)
