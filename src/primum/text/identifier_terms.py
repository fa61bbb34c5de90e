"""The words and numbers that identifiers are made of, as parts of regular expressions: dates, names, states, labels."""

from __future__ import annotations

MONTHS = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?"
    r"|dec(?:ember)?)"
)
YEAR = r"(?:19|20)\d\d"
DAY = r"(?:3[01]|[12]\d|0?[1-9])"
MONTH = r"(?:1[0-2]|0?[1-9])"
_UNITS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
ORDINAL = (
    rf"(?:{_UNITS}|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth"
    rf"|twentieth|thirtieth|(?:twenty|thirty)[ -](?:{_UNITS}))"
)
_COUNT = "one|two|three|four|five|six|seven|eight|nine"
_TEEN = "[a-z]+teen|ten|eleven|twelve"
SPOKEN_YEAR = (
    rf"(?:two thousand(?: (?:and )?(?:{_TEEN}|{_COUNT}|twenty(?:[ -](?:{_COUNT}))?))?"
    rf"|(?:nineteen|twenty) (?:{_TEEN}|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[ -](?:{_COUNT}))?))"
)
# What begins a line or a sentence with a capital, and no name.
NO_NAME = (
    r"(?!(?i:the|this|that|there|then|is|was|has|had|have|i|a|an|and|or|he|she|they|we|you|it|if|in|on|at|for|to|of|with|will|who"
    r"|what|when|where|why|how|says?|said|did|does|do|did|denies|states?|stated|reports?|reported|patient|doctor|yes|no|okay|ok|oh"
    r"|hi|hello|well|um|uh|yeah|here|there|please|thanks?|sir|madam|appointment|visit|office|note|notes|not|but|so|also|as|are"
    r"|can|could|would|should|may|might|were|been|from|by|about|after|before|recommended|prescribed|gave|told|see|saw|medical"
    r"|history|presents?|presented|comes?|came|our|my|your|his|her|their|name|date|nurse|clinicians?|practitioners?|midwi(?:fe|ves)|anesthetists?|managers?|staff|md|rn|np|pa|phd|dds|dr|mr|mrs|ms|age|dob|mrn|sex|gender|phone|address)\b)"
)
WORD = r"[A-Z][A-Za-z\u00c0-\u024f]*(?:['\u2019-][A-Za-z\u00c0-\u024f]+)*"
NAME = rf"(?:[A-Z]\. ?)?{NO_NAME}{WORD}(?: [A-Z]\.)?(?: {NO_NAME}{WORD}){{0,2}}"
FULL_NAME = rf"{NO_NAME}{WORD}(?: [A-Z]\.?)?(?:,? {NO_NAME}{WORD}){{1,2}}"
STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC"
    "|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|PR"
)
STATE_NAMES = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|Illinois|Indiana|Iowa"
    "|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada"
    "|New Hampshire|New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode Island"
    "|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|West Virginia|Wisconsin|Wyoming"
)
# Between a label and its value: without a sign, "account 1234" and the like may be anything.
_SIGN = r"(?:\s*(?:(?:number|num|no|nr|id|identifier)\b\.?|\#)\s*(?:is|was|[:#])?|\s*[:#])\s*"
# Letters, digits and the signs between them; of labelled ones the digits are counted.
SERIES = (
    r"(?<![A-Za-z0-9])(?P<value>(?=[A-Za-z/-]{0,24}\d)"
    r"(?:[A-Za-z0-9]{1,24}[-/ ](?=[A-Za-z]{0,3}\d)){0,4}[A-Za-z0-9]{1,24})\b"
)


def _label(kind: str, strong: str, weak: str) -> str:
    """A label of ``kind``: ``strong`` ones need no sign after them."""
    group = kind.replace("-", "_")
    return rf"(?P<{group}>\b(?:{strong})(?:{_SIGN}|\s+(?:is\s+|was\s+)?)\Z|\b(?:{weak}){_SIGN}\Z)"


LABELS = "|".join(
    (
        _label("ssn", "ssns?|social security|itin", "social|tax|tin"),
        _label("date", "dob|date of birth|birth ?date", "born|admitted|discharged|date"),
        _label(
            "record",
            "mrn|medical record|nhs",
            "mr|medical rec|record|chart|hospital|patient|pt|encounter|visit|accession|case|specimen|episode|admission|order|csn"
            "|unit",
        ),
        _label(
            "health-plan",
            "mbi|hicn",
            "medicare|medicaid|health plan|member|subscriber|policy|group|insurance|plan|beneficiary|claim|authorization",
        ),
        _label("account", "acct", "account|routing|card|invoice|bill|billing|guarantor"),
        _label("licence", "npi|dea|driver'?s licen[sc]e", "licen[sc]e|dl|certificate|passport|permit|registration"),
        _label("vehicle", "vin", "vehicle|plate|tag"),
        _label("device", "udi|imei", "serial|s/n|device|pacemaker|implant|lot|model"),
        _label("biometric", "biometric", "fingerprint|retina"),
    )
)
