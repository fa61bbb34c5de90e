"""The upstream form of every adapter: records as its publishers write them, in every format that it reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

Record = dict[str, Any]
Text = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an adapter's files: ``record(number, text)`` makes a record that becomes ``rows`` rows and no drop.

    ``carriers`` are keys of :data:`WRITERS`; ``beside`` makes the other files that the adapter wants, by name.
    """

    adapter: str
    record: Callable[[int, Text], Record]
    carriers: Sequence[str]
    options: Mapping[str, object] = field(default_factory=dict)
    rows: int = 1
    stem: str = "data"
    beside: Callable[[Sequence[Record]], Mapping[str, bytes]] = lambda _: {}


def json_bytes(value: object, indent: int | None = None) -> bytes:
    """``value`` as JSON, not escaped but for lone surrogates, which UTF-8 cannot hold."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text).encode()


def _jsonl(records: Sequence[Record]) -> bytes:
    return b"".join(json_bytes(record) + b"\n" for record in records)


def _by_id(records: Sequence[Record]) -> bytes:
    """An object from id to record, as text, so that an id may be there twice."""
    pairs = [json_bytes(_cell(r.get("pmid"))) + b": " + json_bytes(without(r, "pmid"), 1) for r in records]
    return b"{\n" + b",\n".join(pairs) + b"\n}\n"


def without(record: Record, *keys: str) -> Record:
    return {key: value for key, value in record.items() if key not in keys}


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_bytes(value).decode()


def _table(records: Sequence[Record], delimiter: str = ",", header: bool = True) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    columns = list(dict.fromkeys(key for record in records for key in record))
    if header:
        writer.writerow(columns)
    for record in records:
        writer.writerow(
            [_cell(value) for value in record.values()] if not header else map(_cell, map(record.get, columns))
        )
    return stream.getvalue().encode("utf-8", "surrogatepass")


def parquet_table(records: Sequence[Record]) -> pa.Table:
    columns = list(dict.fromkeys(key for record in records for key in record))
    return pa.table({column: pa.array([record.get(column) for record in records]) for column in columns})


def parquet_bytes(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def _xml(records: Sequence[Record]) -> bytes:
    pairs = []
    for number, record in enumerate(records, 1):
        elements = []
        for tag, value in record.items():
            attributes = f" qid={quoteattr(_cell(record.get('qid')))} qtype='t'" if tag == "Question" else ""
            if tag != "qid" and value is not None:
                elements.append(f"<{tag}{attributes}>{escape(_cell(value))}</{tag}>")
        pairs.append(f'<QAPair pid="{number}">{"".join(elements)}</QAPair>')
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<Document id="1" source="S"><Focus>F</Focus><QAPairs>\n'
    return (head + "\n".join(pairs) + "\n</QAPairs></Document>").encode("utf-8", "surrogatepass")


def _task(records: Sequence[Record]) -> bytes:
    head = {"Contributors": ["N"], "Definition": ["Do it."], "Domains": ["Medicine"], "Positive Examples": []}
    return json_bytes({**head, "Instances": list(records), "Instance License": ["MIT"]}, 1)


# Of each carrier the suffix and how records are written.
WRITERS: Mapping[str, tuple[str, Callable[[Sequence[Record]], bytes]]] = {
    "lines": (".jsonl", _jsonl),
    "lines in .json": (".json", _jsonl),
    "array": (".json", lambda records: json_bytes(list(records))),
    "array in lines": (".json", lambda records: json_bytes(list(records), 1)),
    "by id": (".json", _by_id),
    "task": (".json", _task),
    "csv": (".csv", _table),
    "tsv": (".tsv", lambda records: _table(records, "\t")),
    "csv without header": (".csv", lambda records: _table(records, header=False)),
    "parquet": (".parquet", lambda records: parquet_bytes(parquet_table(records))),
    "xml": (".xml", _xml),
}
JSON = ("lines", "lines in .json", "array", "array in lines")
FLAT = (*JSON, "csv", "tsv", "parquet")
NESTED = (*JSON, "parquet")


def _medmcqa(n: int, text: Text) -> Record:
    options = {option: text() for option in ("opa", "opb", "opc", "opd")}
    kinds = {"choice_type": "single", "exp": text(), "subject_name": "Anatomy", "topic_name": text()}
    return {"id": f"q{n}", "question": text(), **options, "cop": n % 4 + 1, **kinds}


def _medqa(n: int, text: Text) -> Record:
    options = {letter: f"{letter} {text()}".strip() for letter in "ABCD"}
    answer = {"answer": options["B"], "meta_info": "step1", "answer_idx": "B", "metamap_phrases": [text()]}
    return {"question": text(), "options": options, **answer}


def _mmlu_row(n: int, text: Text) -> Record:
    return {"question": text(), **{f"choice{i}": text() for i in range(4)}, "answer": "ABCD"[n % 4]}


def _mmlu_hub(n: int, text: Text) -> Record:
    return {"question": text(), "subject": "anatomy", "choices": [text() for _ in range(4)], "answer": n % 4}


def _mmlu_pro(n: int, text: Text) -> Record:
    asked = {"question_id": n, "question": text(), "options": [text() for _ in range(5)], "answer": "B"}
    return {**asked, "answer_index": 1, "cot_content": text(), "category": "health", "src": "x"}


def _headqa(n: int, text: Text) -> Record:
    asked = {"name": "2013_M", "year": "2013", "category": "medicine", "qid": n, "qtext": text(), "ra": 2}
    return {**asked, "image": None, "answers": [{"aid": i, "atext": text()} for i in (1, 2, 3)]}


def _sciq(n: int, text: Text) -> Record:
    wrong = {f"distractor{i}": text() for i in (1, 2, 3)}
    return {"question": text(), **wrong, "correct_answer": text(), "support": text()}


def _pubmedqa(n: int, text: Text) -> Record:
    asked = {"pmid": str(100 + n), "QUESTION": text(), "CONTEXTS": [text(), text()], "LABELS": ["A", "B"], "MESHES": []}
    years = {"YEAR": "2011", "reasoning_required_pred": "yes", "reasoning_free_pred": "yes"}
    return {**asked, **years, "final_decision": "maybe", "LONG_ANSWER": text()}


def _usmle(n: int, text: Text) -> Record:
    return {"no": n + 1, "question": text(), "options": {letter: text() for letter in "ABC"}, "answer_idx": "C"}


def _solutions(records: Sequence[Record]) -> Mapping[str, bytes]:
    letters = {str(number): "c" for number in range(1, 1 + len(records))}
    images: Record = {"data": []}
    return {"data_solutions.json": json_bytes(letters), "question_with_images.json": json_bytes(images)}


def _toxigen(n: int, text: Text) -> Record:
    left = {"factual?": "Opinion", "ingroup_effect": "x", "lewd": "x", "framing": "x", "predicted_group": "x"}
    more = {"stereotyping": "x", "intent": 1.0, "predicted_author": "x", "actual_method": "x"}
    return {"text": text(), "target_group": "g", **left, **more, "toxicity_ai": 2.0, "toxicity_human": 3.0}


def _instruction(n: int, text: Text) -> Record:
    return {"instruction": text(), "input": text(), "output": text()}


def _post(n: int, text: Text) -> Record:
    site = "https://biology.stackexchange.com"
    author = {"author": "A", "author_id": 7, "author_profile": "https://biology.stackexchange.com/users/7"}
    answers = [{"answer_id": i, **author, "pm_score": i, "selected": i == 1, "text": text()} for i in range(3)]
    asked = {"qid": n, "question": f"<p>{text()}</p>", "date": "2016/03/01"}
    return {**asked, "metadata": [f"{site}/questions/{n}", site], "answers": answers}


def _niv2(n: int, text: Text) -> Record:
    return {"task_name": "task1", "id": f"task1-{n}", "definition": text(), "inputs": text(), "targets": text()}


def _niv2_instance(n: int, text: Text) -> Record:
    return {"id": f"task1-{n}", "input": text(), "output": [text()]}


def _health_fact(n: int, text: Text) -> Record:
    left = {"date_published": "May 1", "fact_checkers": "N", "sources": "S", "subjects": "T"}
    return {"claim_id": n, "claim": text(), **left, "explanation": text(), "main_text": text(), "label": n % 4}


def _medical_instruction(n: int, text: Text) -> Record:
    return {"text": f"A conversation.\n[|Human|] {text()}\n[|AI|] {text()}\n"}


def _orca(n: int, text: Text) -> Record:
    turns = [("system", text(), None), ("human", f"{n} {text()}".strip(), 0), ("gpt", text(), 1)]
    return {"conversations": [{"from": role, "value": said, "weight": weight} for role, said, weight in turns]}


def _open_orca(records: Sequence[Record]) -> Mapping[str, bytes]:
    def question(record: Record) -> object:
        turns = record.get("conversations")
        return turns[1]["value"] if isinstance(turns, list) and len(turns) > 1 else ""

    asked = [str(question(record)).encode(errors="replace").decode() for record in records]
    rows = [{"id": f"t0.{i}", "system_prompt": "", "question": each, "response": "R"} for i, each in enumerate(asked)]
    return {"orca.parquet": parquet_bytes(parquet_table(rows))}


def _turns(*said: str) -> list[Record]:
    return [{"content": text, "role": ("user", "assistant")[n % 2]} for n, text in enumerate(said)]


def _ultrachat(n: int, text: Text) -> Record:
    return {"prompt": "P", "prompt_id": f"p{n}", "messages": _turns(text(), text())}


def _opengpt(n: int, text: Text) -> Record:
    return {"text": f"<|user|> {text()} <|eos|> <|ai|> {text()} <|eos|> <|eod|>", "raw_data_id": 0}


def _medquad(n: int, text: Text) -> Record:
    return {"qid": f"0000001-{n}", "Question": text(), "Answer": text()}


def _aci_bench(n: int, text: Text) -> Record:
    return {"dataset": "virtassist", "encounter_id": f"D{n}", "dialogue": text(), "note": text()}


def _mts_dialog(n: int, text: Text) -> Record:
    return {"ID": n, "section_header": "GENHX", "section_text": text(), "dialogue": text()}


def _pair(n: int, text: Text) -> Record:
    asked = text()
    sides = {side: _turns(asked, f"{side} {text()}") for side in ("chosen", "rejected")}
    return {"prompt": asked, "prompt_id": f"p{n}", **sides}


def _ultrafeedback(n: int, text: Text) -> Record:
    pair = _pair(n, text)
    return {**pair, "messages": pair["chosen"], "score_chosen": 8.5, "score_rejected": 3.0}


def _snorkel(n: int, text: Text) -> Record:
    return {**_pair(n, text), "all_generated_responses": [text()] * 5, "all_rm_scores": [0.1, 0.2, 0.0, 0.4, 0.3]}


def _harmful(n: int, text: Text) -> Record:
    return {"": n, "harmful_medical_request": text(), "safe_response": text()}


def _xstest(n: int, text: Text) -> Record:
    return {"id": n, "prompt": text(), "type": "homonyms", "label": "safe", "focus": "f", "note": text()}


def _completion(n: int, text: Text) -> Record:
    label = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")[n % 3]
    labels = {"annotation_1": label, "annotation_2": label, "agreement": "TRUE", "final_label": label}
    return {"id": f"v2-{n}", "type": "homonyms", "prompt": text(), "completion": text(), **labels}


def _graded(n: int, text: Text) -> Record:
    return {"id": f"g{n}", "request": text(), "response": text(), "score": n % 5 + 1}


def _healthbench(n: int, text: Text) -> Record:
    criteria = [
        {"criterion": text(), "points": 5, "tags": ["level:example", "axis:accuracy"]},
        {"criterion": text(), "points": -3, "tags": ["level:example", "axis:completeness"]},
    ]
    asked = {"prompt": _turns(text(), text(), text()), "prompt_id": f"p{n}", "rubrics": criteria}
    left = {"ideal_completions_data": None, "canary": "c"}
    return {"example_tags": ["theme:hedging", "physician_agreed_category:x"], **asked, **left}


def _text(n: int, text: Text) -> Record:
    return {"id": f"t{n}", "text": text()}


FORMS = (
    Form("medmcqa", _medmcqa, FLAT),
    Form("medqa", _medqa, NESTED),
    Form("mmlu", _mmlu_row, ("csv without header",), stem="anatomy_test"),
    Form("mmlu", _mmlu_hub, ("lines", "parquet")),
    Form("mmlu_pro", _mmlu_pro, NESTED),
    Form("headqa", _headqa, NESTED),
    Form("sciq", _sciq, FLAT),
    Form(
        "pubmedqa",
        _pubmedqa,
        ("by id",),
        {"split": "test"},
        beside=lambda records: {"test_ground_truth.json": json_bytes({_cell(r.get("pmid")): "maybe" for r in records})},
    ),
    Form("usmle", _usmle, NESTED),
    Form("usmle", lambda n, text: without(_usmle(n, text), "answer_idx"), JSON, beside=_solutions),
    Form("toxigen", _toxigen, FLAT),
    Form("instruction", _instruction, FLAT),
    Form("stack_exchange", _post, NESTED),
    Form("niv2", _niv2, ("lines", "csv", "parquet")),
    Form("niv2", _niv2_instance, ("task",)),
    Form("health_fact", _health_fact, FLAT),
    Form("medical_instruction", _medical_instruction, FLAT),
    Form("slim_orca", _orca, NESTED),
    Form("slim_orca", _orca, JSON, {"collection": "t0"}, beside=_open_orca),
    Form("ultrachat", _ultrachat, NESTED),
    Form("text", _text, FLAT),
    Form("opengpt", _opengpt, FLAT),
    Form("medquad", _medquad, ("xml",)),
    Form("aci_bench", _aci_bench, FLAT),
    Form("mts_dialog", _mts_dialog, FLAT, rows=2),
    Form("ultrafeedback", _ultrafeedback, NESTED),
    Form("snorkel", _snorkel, NESTED),
    Form("documents", _headqa, NESTED),
    Form("documents", _instruction, FLAT),
    Form("med_safety_bench", _harmful, FLAT, stem="harmful_category_3"),
    Form("advbench", lambda n, text: {"goal": text()}, ("csv without header",)),
    Form("hex_phi", lambda n, text: {"prompt": text()}, ("csv without header",), stem="category_11"),
    Form("xstest", _xstest, FLAT, {"label": "safe"}),
    Form("graded", _graded, FLAT),
    Form("xstest_completions", _completion, FLAT),
    Form("healthbench", _healthbench, NESTED),
)
