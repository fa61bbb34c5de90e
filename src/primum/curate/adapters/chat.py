"""Demonstrations: instructions with answers, question-and-answer collections, and conversations of several turns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from primum.curate.adapters.build import allowed, chat_row, exchange, integer, numbered
from primum.curate.adapters.files import RawFile, load_json_list
from primum.curate.adapters.markup import html_text
from primum.curate.adapters.records import Record, all_records, one_record, records
from primum.errors import PrimumError
from primum.text.rows import ChatRow, Drop, TextRow

_TAGGED = re.compile(r"\[\|(Human|AI)\|\]")
_SHAREGPT_ROLES = {"system": "system", "human": "user", "gpt": "assistant"}
_ORCA_COLLECTIONS = ("cot", "flan", "niv", "t0")
_CLAIM_LABELS = ("false", "mixture", "true", "unproven")
_CLAIM_PROMPT = "Is this health claim true, false, a mixture of both, or unproven? Explain why.\n\nClaim: {claim}"
_CLAIM_ARTICLE = "\n\nArticle: {article}"
_CLAIM_ANSWERS = {
    "false": "The claim is false.",
    "mixture": "The claim is a mixture of true and false.",
    "true": "The claim is true.",
    "unproven": "The claim is unproven.",
}


def instruction(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """``instruction, input, output`` (Medical Meadow, Han et al. 2023); an input follows after a blank line."""
    for position, record in all_records(files):
        request = (record.text("instruction"), record.text("input") if "input" in record.fields else "")
        answer = record.text("output")
        yield exchange(numbered(dataset, position), dataset, "\n\n".join(part for part in request if part), answer)


def stack_exchange(
    files: Sequence[RawFile], dataset: str, *, sites: Sequence[str] | None = None
) -> Iterator[ChatRow | Drop]:
    """Stack Exchange questions (``HuggingFaceH4/stack-exchange-preferences``) with their best answer, HTML as text.

    The best answer is the one the asker selected, else the one with the highest ``pm_score`` (the first of equals).
    ``sites`` keeps only those sites (``biology`` for biology.stackexchange.com); others are dropped as ``other-site``.
    """
    if sites is not None and (isinstance(sites, str) or not all(isinstance(site, str) for site in sites)):
        raise PrimumError("adapter option 'sites' must be a list of site names such as [biology, health]: correct it")
    for _, record in all_records(files):
        site = _site(record)
        id = f"{dataset}/{site}-{record.id('qid')}"
        if sites is not None and site not in sites:
            yield Drop(id, "other-site")
            continue
        answers = record.structs("answers")
        if not answers:
            yield Drop(id, "no-answer")
            continue
        best = max(answers, key=lambda answer: (_selected(answer), integer(answer.get("pm_score")) or 0))
        question = html_text(record.text("question"))
        yield exchange(id, dataset, question, html_text(record.as_text(best.get("text"), "answers")))


def _selected(answer: Mapping[str, object]) -> bool:
    return answer.get("selected") in (True, "True", "true", 1)


def _site(record: Record) -> str:
    """The first part of the host in the record's addresses: ``biology`` of https://biology.stackexchange.com/..."""
    addresses = record.strings("metadata")
    try:
        host = urlsplit(addresses[0]).hostname if addresses else None
    except ValueError:
        host = None
    if not host:
        raise record.error("metadata", "holds no address of the question's site")
    return host.removesuffix(".com").removesuffix(".stackexchange")


def niv2(files: Sequence[RawFile], dataset: str, *, least: int = 1) -> Iterator[ChatRow | Drop]:
    """Super-NaturalInstructions (Wang et al. 2022): the task's definition and the input, then the first output.

    A ``.json`` file is one task as its authors publish it; other files hold the hub's flat rows
    (``task_name, id, definition, inputs, targets``).

    ``least`` leaves out tasks with fewer instances: each of theirs is dropped as ``small-task``. It needs files of one task.

    Raises:
        PrimumError: ``least`` is no number from 1 up, or asked of flat rows, which do not say where a task ends.
    """
    if type(least) is not int or least < 1:
        raise PrimumError(
            "adapter option 'least' must be a whole number of instances from 1 up: correct it in the catalog"
        )
    for file in files:
        if file.suffix == ".json":
            yield from _niv2_task(file, dataset, least)
            continue
        if least > 1:
            raise PrimumError(
                f"{file.name}: adapter option 'least' counts the instances of a task's own .json file: "
                "list such files in the catalog, or leave the option out"
            )
        for record in records(file):
            request = (record.text("definition"), record.text("inputs"))
            yield exchange(f"{dataset}/{record.id('id')}", dataset, "\n\n".join(request), record.text("targets"))


def _niv2_task(file: RawFile, dataset: str, least: int) -> Iterator[ChatRow | Drop]:
    value, lines = load_json_list(file, "Instances")
    task = one_record(file, 1, value)
    definition = "\n".join(task.strings("Definition"))
    instances = task.structs("Instances")
    for row, fields in enumerate(instances, start=1):
        file.at(lines[min(row, len(lines)) - 1], row)
        instance = Record(file.name, row, fields)
        id = f"{dataset}/{instance.id('id') if 'id' in fields else f'{file.stem}-{row - 1:05d}'}"
        if len(instances) < least:
            yield Drop(id, "small-task")
            continue
        outputs = instance.strings("output")
        given = instance.text("input")
        if not given:
            yield Drop(id, "empty-text")
            continue
        yield exchange(id, dataset, f"{definition}\n\n{given}", outputs[0] if outputs else "")


def health_fact(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """PUBHEALTH (Kotonya and Toni 2020): a claim and its article; the answer is the verdict and its explanation.

    ``label`` is 0-3 or the verdict's name. Drops: ``bad-label`` (-1 or none), ``empty-text`` (no claim),
    ``no-answer`` (no explanation). Upstream's claim ids are not unique, so rows are numbered.
    """
    for position, record in all_records(files):
        id = numbered(dataset, position)
        label = record.text("label").lower()
        number = integer(record.value("label"))
        if number is not None and 0 <= number < len(_CLAIM_LABELS):
            label = _CLAIM_LABELS[number]
        claim, explanation, article = (record.text(column) for column in ("claim", "explanation", "main_text"))
        if label not in _CLAIM_ANSWERS:
            yield Drop(id, "bad-label")
        elif not claim:
            yield Drop(id, "empty-text")
        elif not explanation:
            yield Drop(id, "no-answer")
        else:
            request = _CLAIM_PROMPT.format(claim=claim) + (_CLAIM_ARTICLE.format(article=article) if article else "")
            yield exchange(id, dataset, request, f"{_CLAIM_ANSWERS[label]} {explanation}")


def medical_instruction(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """One ``text`` column with turns after ``[|Human|]`` and ``[|AI|]``; text before the first tag is left out."""
    for position, record in all_records(files):
        _, *parts = _TAGGED.split(record.text("text"))
        turns = [
            ("user" if tag == "Human" else "assistant", text.strip())
            for tag, text in zip(parts[::2], parts[1::2], strict=True)
        ]
        yield chat_row(numbered(dataset, position), dataset, turns)


def slim_orca(files: Sequence[RawFile], dataset: str, *, collection: str | None = None) -> Iterator[ChatRow | Drop]:
    """SlimOrca (Lian et al. 2023): ``conversations`` of ``from, value, weight``.

    Weight 0 on an answer means that upstream does not train on it: such conversations are dropped as ``zero-weight``.

    ``collection`` (``cot``, ``flan``, ``niv`` or ``t0``) keeps that part. SlimOrca does not say which part a row is of,
    but OpenOrca, whose rows it selects, does: its Parquet files (``id, question``) must be among the files, and the
    question's text decides. Others are dropped as ``other-collection``, rows that OpenOrca lacks as ``no-collection``.

    Raises:
        PrimumError: no such collection, or a collection without OpenOrca's files.
    """
    parts: Mapping[bytes, str] = {}
    if collection is not None:
        allowed("collection", collection, _ORCA_COLLECTIONS)
        parts = _orca_collections([file for file in files if file.suffix == ".parquet"], dataset)
        files = [file for file in files if file.suffix != ".parquet"]
    for position, record in all_records(files):
        id = numbered(dataset, position)
        turns = [
            (_SHAREGPT_ROLES.get(str(turn.get("from")), "?"), record.as_text(turn.get("value"), "conversations"))
            for turn in record.structs("conversations")
        ]
        if any(turn.get("from") == "gpt" and turn.get("weight") == 0 for turn in record.structs("conversations")):
            yield Drop(id, "zero-weight")
            continue
        if collection is not None:
            found = parts.get(_text_key(next((text for role, text in turns if role == "user"), "")))
            if found != collection:
                yield Drop(id, "other-collection" if found else "no-collection")
                continue
        yield chat_row(id, dataset, turns)


def _orca_collections(files: Sequence[RawFile], dataset: str) -> Mapping[bytes, str]:
    """OpenOrca's questions (as :func:`_text_key`) and their collections: an id's part before the dot (``t0.5``)."""
    if not files:
        raise PrimumError(f"dataset {dataset!r}: a collection needs OpenOrca's Parquet files: see the catalog's entry")
    return {_text_key(record.text("question")): record.id("id").partition(".")[0] for _, record in all_records(files)}


def _text_key(text: str) -> bytes:
    # A million questions as keys of 16 bytes, not as text.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def ultrachat(files: Sequence[RawFile], dataset: str) -> Iterator[ChatRow | Drop]:
    """UltraChat 200k (Ding et al. 2023, Tunstall et al. 2023): ``messages`` of ``role, content``."""
    for _, record in all_records(files):
        id = f"{dataset}/{record.id('prompt_id')}"
        yield chat_row(
            id,
            dataset,
            [
                (str(message.get("role")), record.as_text(message.get("content"), "messages"))
                for message in record.structs("messages")
            ],
        )


def text(files: Sequence[RawFile], dataset: str) -> Iterator[TextRow | Drop]:
    """Plain text for pretraining: ``id, text``; a record without text is dropped as ``empty-text``."""
    for _, record in all_records(files):
        id, body = f"{dataset}/{record.id('id')}", record.text("text")
        yield TextRow(id, dataset, body) if body else Drop(id, "empty-text")
