"""Documents and transcripts as conversations: clinical dialogues with their notes, MedQuAD's XML, OpenGPT's tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

from primum.curate.adapters.build import allowed, chat_row, exchange, numbered
from primum.curate.adapters.columns import Fields
from primum.curate.adapters.files import RawFile, opened
from primum.curate.adapters.places import tag_lines
from primum.curate.adapters.records import all_records, records
from primum.errors import PrimumError
from primum.text.rows import ChatRow, Drop

_NOTE_PROMPT = "Write the clinical note for this conversation between a doctor and a patient.\n\n{dialogue}"
_SECTION_PROMPT = (
    "Write the section {header} of the clinical note for this conversation between a doctor and a patient."
    "\n\n{dialogue}"
)
_DIALOGUE_PROMPT = (
    "Write a conversation between a doctor and a patient that this section {header} of a clinical note sums up."
    "\n\n{section}"
)
_CHUNK = 1 << 16
_PAIR = "QAPair"
_DIRECTIONS = ("note", "dialogue")
_OPENGPT_TAG = re.compile(r"<\|(user|ai|eos|eod)\|>")
_OPENGPT_ROLES = {"user": "user", "ai": "assistant"}


def aci_bench(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """ACI-Bench (Yim et al. 2023): a visit's whole dialogue, answered by its clinical note."""
    for _, record in all_records(files):
        id, dialogue = f"{dataset}/{record.id('encounter_id')}", record.text("dialogue")
        if dialogue:
            yield exchange(id, dataset, _NOTE_PROMPT.format(dialogue=dialogue), record.text("note"))
        else:
            yield Drop(id, "empty-text")


def mts_dialog(
    files: Sequence[RawFile], dataset: str, *, directions: Sequence[str] = _DIRECTIONS
) -> Iterator[ChatRow | Drop]:
    """MTS-Dialog (Ben Abacha et al. 2023): one row a record and direction, in the order of ``directions``.

    ``note`` answers a dialogue with the section of the note, ``dialogue`` answers header and section with a dialogue.
    Record numbers start at 0 in every file, so ids begin with the file's name.
    """
    if isinstance(directions, str) or not directions or len(set(directions)) != len(directions):
        raise PrimumError(f"adapter option 'directions' must be a list of some of {', '.join(_DIRECTIONS)}: correct it")
    for direction in directions:
        allowed("directions", direction, _DIRECTIONS)
    for file in files:
        for record in records(file):
            header, section, dialogue = (record.text(name) for name in ("section_header", "section_text", "dialogue"))
            for direction in directions:
                id = f"{dataset}/{file.stem}-{record.id('ID').zfill(4)}-{direction}"
                if not (section and dialogue):
                    yield Drop(id, "empty-text")
                elif direction == "note":
                    yield exchange(id, dataset, _SECTION_PROMPT.format(header=header, dialogue=dialogue), section)
                else:
                    yield exchange(id, dataset, _DIALOGUE_PROMPT.format(header=header, section=section), dialogue)


def opengpt(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """OpenGPT (Kraljevic et al. 2023): ``text`` with turns ``<|user|> ... <|eos|> <|ai|> ... <|eos|> <|eod|>``.

    A turn of another role, or text outside the turns, is dropped as ``bad-roles``. ``raw_data_id`` names the document a
    conversation was made from, not the conversation, so rows are numbered.
    """
    for position, record in all_records(files):
        id = numbered(dataset, position)
        before, *parts = _OPENGPT_TAG.split(record.text("text"))
        turns, stray = [], bool(before.strip())
        for tag, text in zip(parts[::2], parts[1::2], strict=True):
            if tag in _OPENGPT_ROLES:
                turns.append((_OPENGPT_ROLES[tag], text.strip()))
            else:
                stray = stray or bool(text.strip())
        yield Drop(id, "bad-roles") if stray else chat_row(id, dataset, turns)


def medquad(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """MedQuAD (Ben Abacha and Demner-Fushman 2019): one XML document a file, its folder the collection.

    Collections 10-12 are published without their answers: such pairs are dropped as ``no-answer``. Document numbers
    start again in every collection, so ids begin with its name.

    Raises:
        PrimumError: a file that is not XML, or that declares a document type (which could define entities).
    """
    for file in files:
        collection = PurePosixPath(file.name).parent.name
        document, lines = _document(file)
        for row, (pair, line) in enumerate(zip(document.iter(_PAIR), lines, strict=True), start=1):
            file.at(line, row)
            parts = Fields({each.tag: each for each in reversed(pair)}, file.columns)  # the first of a kind
            question = parts.get("Question")
            if question is None:
                raise PrimumError(f"{file.name} pair {row}: has no Question: check the dataset's adapter")
            id = f"{dataset}/{collection}/{question.get('qid') or f'{file.stem}-{row}'}"
            answer = parts.get("Answer")
            yield exchange(id, dataset, _inner(question), "" if answer is None else _inner(answer))


class _NoDoctype(ElementTree.TreeBuilder):
    """Told by the parser, which knows the encoding, before any entity is defined."""

    def doctype(self, *_: str | None) -> None:
        raise _DoctypeError


class _DoctypeError(Exception):
    pass


def _document(file: RawFile) -> tuple[ElementTree.Element, list[int]]:
    """The document, and the lines at which its pairs begin."""
    try:
        parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - documents that could define entities are refused
        with opened(file) as stream:
            while chunk := stream.read(_CHUNK):
                parser.feed(chunk)
        root: ElementTree.Element = parser.close()
        with opened(file) as stream:
            return root, tag_lines(stream.read(), _PAIR)
    except _DoctypeError:
        problem = "declares a document type, which MedQuAD's files do not"
        raise PrimumError(f"{file.name}: {problem}: fetch it again") from None
    except (
        ElementTree.ParseError,
        ExpatError,
        ValueError,
        LookupError,
    ) as error:  # an encoding may be unknown, or no text encoding
        line = f" line {error.position[0]}" if isinstance(error, ElementTree.ParseError) else ""
        raise PrimumError(f"{file.name}{line}: is not valid XML: fetch it again") from None


def _inner(element: ElementTree.Element) -> str:
    return "".join(element.itertext()).strip()
