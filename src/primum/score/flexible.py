"""The flexible reading of an answer in words: what a person reads in it at once, and nothing where two people could disagree.

An answer states an option ("The answer is (B).", ``\\boxed{B}``, "B is correct") or is one ("B. Metformin", "metformin"). Every
statement counts, and all must name the same option. None counts that is denied, asked or supposed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

_LEFT_OUT = re.compile(r"[*`$]|\\(?:text|textbf|mathrm|mathbf|rm|bf)(?=\{)|(?<=\s)_|_(?=\s|$)|<\|[^|<>]*\|>")
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TAGGED = re.compile(r"<(?:answer|final_answer)>(.*?)</(?:answer|final_answer)>", re.IGNORECASE | re.DOTALL)
_ADVERB = r"(?:\s+(?:clearly|definitely|likely|most\s+likely|probably|therefore|thus|hence|then|indeed|simply|just))?"
_WHICH = r"(?:option|choice|letter|answer)"
# What announces an answer: a value, or a text that begins with one, must follow at once.
_CUE = re.compile(
    rf"\b(?:answers?|choice|option|diagnosis|response|selection)\b(?:\s+(?:here|choice|option|letter|to\s+(?:the|this)\s+question))?"
    rf"[\"']?\s*(?:(?:is|are|would\s+be|should\s+be|must\s+be|will\s+be){_ADVERB}\s*:?|[:=]|\u2192|->)\s*(?:the\s+)?"
    rf"|\bI(?:'d|\s+would|\s+will|\s+'ll)?\s+(?:choose|chose|pick|select|go\s+with|answer(?:\s+with)?)\s+(?:the\s+)?",
    re.IGNORECASE,
)
_VALUE = re.compile(
    rf"(?:(?:correct\s+)?{_WHICH}\s*:?\s+)?[\s\"'(\[{{<]*([A-Za-z])(?!\w|['\u2019]\w)[\s\"')\]}}>]*", re.IGNORECASE
)
_LINE = re.compile(rf"(?:{_WHICH}\s+)?[\"'(\[{{]*([A-Za-z])(?!\w|['\u2019]\w)[\"')\]}}]*", re.IGNORECASE)
_SAID_OF = re.compile(
    r"\s+(?:is|would\s+be|must\s+be|seems\s+to\s+be)\s+(?:clearly\s+|therefore\s+|indeed\s+)?(?:(?:the|my)\s+)?"
    r"(?:(?:single\s+|most\s+likely\s+|most\s+appropriate\s+|best\s+|right\s+|correct\s+|final\s+)*"
    r"(?:answer|choice|option|diagnosis|one)\b|(?:correct|right)\b(?!\s+\w*(?:ing|ly)\b|\s+(?:that|to|in|about)\b))",
    re.IGNORECASE,
)
_SUBJECT = re.compile(rf"(?:\b(?i:{_WHICH})\s+\(?([A-Za-z])\b\)?|\(([A-Za-z])\)|(?<![\w'.-])([A-Z])(?![\w'-])[).:]?)")
_DENIED = re.compile(
    r"\b(?:not|never|neither|nor|no|cannot|without|wrong|incorrect|unlikely|doubt|whether|rather\s+than|instead\s+of|except"
    r"|eliminate|exclude|rule\s+out|wrongly|mistakenly)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|unless|suppose|assuming|had|someone|some|others|students?|might|may|could|maybe|perhaps)\b", re.IGNORECASE
)
_CLAUSE = re.compile(
    r"[,;:\u2014\n]|\b(?:so|therefore|thus|hence|but|because|since|and|which|that\s+leaves)\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n")
_ANOTHER = re.compile(
    r"\s*(?:,|/|&|\+|\bor\b|\band\b|\band/or\b)+\s*(?:(?:either|possibly|maybe)\s+)?(?:option\s+)?[\"'(\[]*([A-Za-z])(?![\w'])",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\s*(?:because|since|as|for|due|which|given|\u2014|\u2013|-\s|,(?!\s*(?:but|or)\b))", re.IGNORECASE
)
_APART = re.compile(r"[:;!,)]|\.(?!\s*[a-z])|\s*[-\u2013\u2014]\s")
_DOUBT = re.compile(
    r"\b(?:(?:could|might|may)\s+(?:also\s+|well\s+)?be|(?:wait|actually|sorry|correction|rather)\b[,.:]?(?:\s+it(?:'s|\s+is))?)\s+",
    re.IGNORECASE,
)
_TAKEN_BACK = re.compile(
    r"\s*,?\s*(?:is|was|seems)\s+(?:wrong|incorrect|not)\b|\s*,?\s*(?:is|was)n['\u2019]t\b", re.IGNORECASE
)
_ARTICLES = ("a", "A", "I", "i")


def read_flexibly(text: str, options: Sequence[str]) -> int | None:
    """The index of the one option that ``text`` answers with, or None."""
    reader = _Reader(options)
    text = _LEFT_OUT.sub("", unicodedata.normalize("NFKC", text)).strip()
    found = set(reader.stated(text)) or set(reader.lines(text))
    found |= set(reader.doubts(text)) if found else set()
    return found.pop() if len(found) == 1 else None


class _Reader:
    """Reads options out of texts. An option is its index; None stands for a statement that nobody can follow."""

    def __init__(self, options: Sequence[str]) -> None:
        self._count = len(options)
        self._texts = [_plain(option) for option in options]

    def stated(self, text: str) -> Iterator[int | None]:
        """What statements of an answer name."""
        for pattern in (_BOXED, _TAGGED):
            for match in pattern.finditer(text):
                yield self._whole(match[1])
            text = pattern.sub(" ", text)
        for match in _CUE.finditer(text):
            if _holds(text, match.start()):
                rest = _until_end(text[match.end() :])
                named, value = self._value(rest), rest.strip()
                if named is not _NOTHING and not value.endswith("?"):
                    yield named if isinstance(named, int) else None
        for match in _SUBJECT.finditer(text):
            letter = next(group for group in match.groups() if group)
            start = match.start()
            if not (match[3] is None or _begins_clause(text, start)) or not _holds(text, start):
                continue
            after = _until_end(text[match.end() :], keep_dots=True)
            length = self._option_text(letter, after)
            said = _SAID_OF.match(after, length)
            if said and not _until_end(after[said.end() :], keep_mark=True).rstrip().endswith("?"):
                yield self._index(letter)

    def doubts(self, text: str) -> Iterator[int]:
        """What is named as another possibility, or after second thoughts."""
        for match in _DOUBT.finditer(text):
            if isinstance(named := self._value(_until_end(text[match.end() :])), int):
                yield named

    def lines(self, text: str) -> Iterator[int | None]:
        """What lines name that are an option, as a list of all of them would too."""
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        for number, given in enumerate(lines):
            # What has a mark before it is one of a list, unless it is alone.
            line = given.removeprefix("- ").strip() if len(lines) == 1 else given
            if (exact := self._exact(line)) is not None and number in (0, len(lines) - 1):
                yield exact
                continue
            if not (match := _LINE.match(line)):
                continue
            rest = line[match.end() :]
            if not rest.strip(" .:!"):
                yield self._index(match[1])
            elif self._contradicts(match[1], line[match.start(1) :]):
                yield None
            elif self._option_text(match[1], rest) or (number == 0 and self._opens(match, rest)):
                yield self._index(match[1])

    def _opens(self, match: re.Match[str], rest: str) -> bool:
        """Whether a text that goes on behind its letter begins with it as an answer: not "A man ...", not "E. coli ..."."""
        if _ANOTHER.match(rest):
            return False
        closed = match[0].endswith(")") or rest.startswith(":")
        return match[1].isupper() and (closed or (bool(_REASON.match(rest)) and match[1] != "I"))

    def _value(self, rest: str) -> int | object | None:
        """The option at the beginning of ``rest``; ``_NOTHING`` where it names none, None where nobody can tell which."""
        match = _VALUE.match(rest)
        if (exact := self._exact(rest)) is not None or not match:
            return self._by_text(rest) if exact is None else exact
        letter, after = match[1], rest[match.end() :]
        if self._contradicts(letter, rest[match.start(1) :]):
            return None
        if (another := _ANOTHER.match(after)) and (another[1].isupper() or not after[another.end() :].strip(" .)")):
            return self._index(letter) if another[1].upper() == letter.upper() else None
        if _TAKEN_BACK.match(after):
            return _NOTHING
        # Punctuation or a bracket sets a letter apart; "B cells" and "a beta blocker" go on, and so does "C. difficile".
        alone = not after.strip(" .:)-\u2013\u2014") or match[0].rstrip()[-1:] in set(")]}>")
        reason = _REASON.match(after) and (letter.isupper() or letter not in _ARTICLES)
        if alone or _APART.match(after) or reason or self._option_text(letter, after):
            return self._index(letter)
        return self._by_text(rest)

    def _by_text(self, rest: str) -> int | object | None:
        """The option whose text ``rest`` begins with; None where another one follows at once, or has the same text."""
        plain = _plain(rest).removeprefix("the ")
        if not (text := self._beginning(plain)):
            return _NOTHING
        after = re.sub(r"^(?:(?:and|or) )+", "", plain[len(text) :].strip() + " ")
        return None if self._beginning(after.strip()) or self._texts.count(text) > 1 else self._texts.index(text)

    def _beginning(self, plain: str) -> str:
        """The longest of the options' texts, of more than a letter, that ``plain`` begins with."""
        fitting = (text for text in self._texts if len(text) > 1 and (plain == text or plain.startswith(f"{text} ")))
        return max(fitting, key=len, default="")

    def _whole(self, value: str) -> int | None:
        """What a box holds: an option, as a letter, with its text, or as its text."""
        value = value.replace("{", "").replace("}", "").strip()
        named = self._value(value)
        return named if isinstance(named, int) else None

    def _exact(self, text: str) -> int | None:
        """The option whose text this is, where there is one such option and its text is no letter."""
        plain = _plain(text)
        return self._texts.index(plain) if len(plain) > 1 and self._texts.count(plain) == 1 else None

    def _option_text(self, letter: str, after: str) -> int:
        """How many characters of ``after`` are the text of the letter's own option: 0 where they are not."""
        index = self._index(letter)
        if index is None or not self._texts[index]:
            return 0
        words = r"\W+".join(map(re.escape, self._texts[index].split()))
        match = re.match(rf"\W*{words}(?!\w)", after, re.IGNORECASE)
        return match.end() if match else 0

    def _contradicts(self, letter: str, text: str) -> bool:
        """Whether what follows the letter is the text of another option, or the letter belongs to such a text itself."""
        own = self._index(letter)
        for given in (text[1:], text):
            named = self._by_text(given)
            if isinstance(named, int) and named != own and not self._option_text(letter, text[1:]):
                return True
        return False

    def _index(self, letter: str) -> int | None:
        index = ord(letter.upper()) - ord("A")
        return index if 0 <= index < self._count else None


_NOTHING = object()


def _plain(text: str) -> str:
    """Words alone, in lower case, one space between them."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _sentence_before(text: str, place: int) -> str:
    ends = [match.end() for match in _SENTENCE.finditer(text, 0, place)]
    return text[ends[-1] if ends else 0 : place]


def _holds(text: str, place: int) -> bool:
    """Whether a statement at ``place`` is made: not denied in its own clause, nor supposed in its sentence."""
    sentence = _sentence_before(text, place)
    clauses = [match.end() for match in _CLAUSE.finditer(sentence)]
    clause = sentence[clauses[-1] if clauses else 0 :]
    return not _DENIED.search(clause) and not _SUPPOSED.search(sentence)


def _begins_clause(text: str, place: int) -> bool:
    before = text[:place].rstrip(" \"'")
    words = r"(?:so|therefore|thus|hence|that|and|but|then|think|believe)"
    return not before or before[-1] in ".,;:!?\n\u2014" or bool(re.search(rf"\b{words}$", before, re.IGNORECASE))


def _until_end(text: str, keep_dots: bool = False, keep_mark: bool = False) -> str:
    """The rest of a line (of the next one that says anything, where this one is empty); with ``keep_mark`` of its sentence."""
    line = text.partition("\n")[0]
    if not line.strip() and not keep_dots and not keep_mark:
        line = next((each for each in text.split("\n") if each.strip()), "")
    end = re.search(r"[.!?](?:\s|$)", line) if keep_mark else None
    return line[: end.end()] if end else line
