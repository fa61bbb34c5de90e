"""The adapters of demonstrations, on hand-made records that hold the traps of each format."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from upstream_files import ASSISTANT, USER, Upstream, chat, reasons

from primum.errors import PrimumError
from primum.text.rows import Drop


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path)


def test_instruction_joins_what_there_is(upstream: Upstream) -> None:
    records = [
        {"instruction": "I", "input": "X", "output": "Y"},
        {"instruction": "I", "input": None, "output": "Y"},
        {"instruction": "", "input": "X", "output": " "},
        {"instruction": "", "input": "", "output": "Y"},
    ]
    rows = upstream.write("t.json", json.dumps(records)).read("instruction")
    assert rows[:2] == [chat("d/0000000", "I\n\nX", "Y"), chat("d/0000001", "I", "Y")]
    assert reasons(rows[2:]) == ["no-answer", "empty-text"]


def post(qid: int, site: str, *answers: Mapping[str, object]) -> dict[str, object]:
    metadata = [f"https://{site}.stackexchange.com/questions/{qid}", f"https://{site}.stackexchange.com"]
    return {"qid": qid, "question": "<p>Why &lt;b&gt;?</p>", "answers": list(answers), "metadata": metadata}


def answer(id: int, score: int, selected: bool, text: str) -> dict[str, object]:
    return {"answer_id": id, "pm_score": score, "selected": selected, "text": text}


def test_stack_exchange_takes_the_selected_answer_else_the_best(upstream: Upstream) -> None:
    low, high, first = answer(1, 1, False, "low"), answer(2, 5, False, "<p>high</p>"), answer(4, 5, False, "first")
    upstream.lines(
        "t.jsonl",
        post(1, "biology", high, answer(3, 0, True, "<p>chosen</p>")),
        post(1, "health", low, high),
        post(2, "health", first, high),
        post(3, "health"),
        post(4, "health", answer(5, 1, True, "<img src='x'>")),
        post(5, "cooking", high),
    )
    rows = upstream.read("stack_exchange", sites=["biology", "health"])
    assert rows[:3] == [
        chat("d/biology-1", "Why <b>?", "chosen"),
        chat("d/health-1", "Why <b>?", "high"),
        chat("d/health-2", "Why <b>?", "first"),
    ]
    assert reasons(rows[3:]) == ["no-answer", "no-answer", "other-site"]
    assert reasons(upstream.read("stack_exchange"))[5] == ""


@pytest.mark.parametrize("address", ["http://[x", "biology", ""])
def test_stack_exchange_without_an_address_is_refused(upstream: Upstream, address: str) -> None:
    upstream.lines("t.jsonl", post(1, "biology"), {**post(2, "biology"), "metadata": [address]})
    with pytest.raises(PrimumError, match=r"^t.jsonl row 2: column 'metadata' holds no address"):
        upstream.read("stack_exchange")


def test_stack_exchange_from_parquet(upstream: Upstream) -> None:
    upstream.parquet("t.parquet", post(1, "biology", answer(1, 1, False, "a"), answer(2, 2, False, "b")))
    assert upstream.read("stack_exchange")[0].messages[1].content == "b"


def test_niv2_task_files_and_flat_rows(upstream: Upstream) -> None:
    task = {
        "Definition": ["Do it."],
        "Domains": ["Medicine"],
        "Instances": [
            {"id": "task1-a", "input": "X", "output": ["first", "second"]},
            {"id": "task1-b", "input": "X", "output": []},
            {"id": "task1-c", "input": "", "output": ["Y"]},
            {"input": "X", "output": ["Y"]},
        ],
    }
    flat = {"task_name": "task2", "id": "task2-a", "definition": "Do it.", "inputs": "X", "targets": "Y"}
    upstream.write("tasks/task1_x.json", json.dumps(task, indent=2)).lines("task2_train.jsonl", flat)
    rows = upstream.read("niv2")
    assert rows[0] == chat("d/task1-a", "Do it.\n\nX", "first")
    assert reasons(rows) == ["", "no-answer", "empty-text", "", ""]
    assert [row.id for row in rows[3:]] == ["d/task1_x-00003", "d/task2-a"]


def test_niv2_leaves_out_tasks_with_few_instances_and_counts_theirs(upstream: Upstream) -> None:
    for number, size in ((1, 2), (2, 3), (3, 4)):
        instances = [{"id": f"task{number}-{n}", "input": f"X{n}", "output": ["Y"]} for n in range(size)]
        instances[0]["input"] = ""
        upstream.write(f"tasks/task{number}.json", json.dumps({"Definition": ["Do it."], "Instances": instances}))
    rows = upstream.read("niv2", least=3)
    assert reasons(rows) == ["small-task"] * 2 + ["empty-text"] + [""] * 2 + ["empty-text"] + [""] * 3
    assert [row.id for row in rows[:2]] == ["d/task1-0", "d/task1-1"]
    assert reasons(upstream.read("niv2")) == ["empty-text", "", "empty-text", "", "", "empty-text", "", "", ""]


@pytest.mark.parametrize("least", [0, -1, True, 2.0, "1000", None])
def test_niv2_refuses_what_is_no_number_of_instances(upstream: Upstream, least: object) -> None:
    upstream.write("task1.json", json.dumps({"Definition": ["Do it."], "Instances": [{"input": "X", "output": ["Y"]}]}))
    with pytest.raises(PrimumError, match=r"^adapter option 'least' must be a whole number of instances from 1 up"):
        upstream.read("niv2", least=least)


def test_niv2_does_not_count_a_task_in_flat_rows(upstream: Upstream) -> None:
    flat = {"task_name": "task2", "id": "task2-a", "definition": "Do it.", "inputs": "X", "targets": "Y"}
    upstream.lines("train.jsonl", flat)
    assert reasons(upstream.read("niv2", least=1)) == [""]
    with pytest.raises(PrimumError, match=r"^train.jsonl: adapter option 'least' counts the instances of a task's own"):
        upstream.read("niv2", least=2)


def test_health_fact_labels_by_number_and_by_name(upstream: Upstream) -> None:
    upstream.write(
        "train.tsv",
        "\tclaim_id\tclaim\texplanation\tmain_text\tlabel\n"
        "0\t9\tC\tE\tM\t2\n1\t9\tC\tE\t\tmixture\n2\t10\tC\tE\tM\t-1\n3\t11\tC\tE\tM\t\n4\t12\tC\t\tM\t0\n5\t13\t\tE\tM\t0\n",
    )
    rows = upstream.read("health_fact")
    assert reasons(rows) == ["", "", "bad-label", "bad-label", "no-answer", "empty-text"]
    assert rows[0].messages[1].content == "The claim is true. E"
    assert rows[0].messages[0].content.endswith("Claim: C\n\nArticle: M")
    assert rows[1].messages[1].content == "The claim is a mixture of true and false. E"
    assert rows[1].messages[0].content.endswith("Claim: C")


def test_medical_instruction_tags(upstream: Upstream) -> None:
    texts = [
        "A conversation.\n[|Human|] Q\n[|AI|] A",
        "[|Human|] Q [|AI|] A [|Human|] R [|AI|] B [|Human|] ",
        "[|Human|] Q",
        "[|AI|] A",
        "[|Human|] Q [|AI|] ",
        "",
    ]
    rows = upstream.parquet("t.parquet", *({"text": text} for text in texts)).read("medical_instruction")
    assert rows[:2] == [chat("d/0000000", "Q", "A"), chat("d/0000001", "Q", "A", "R", "B")]
    assert reasons(rows[2:]) == ["no-answer", "bad-roles", "no-answer", "no-answer"]


def orca(*turns: tuple[str, str, int | None]) -> dict[str, object]:
    return {"conversations": [{"from": role, "value": text, "weight": weight} for role, text, weight in turns]}


def test_slim_orca_roles_and_weights(upstream: Upstream) -> None:
    upstream.lines(
        "t.jsonl",
        orca(("system", "S", None), ("human", "Q", 0), ("gpt", "A", 1)),
        orca(("system", "", 0), ("human", "Q", None), ("gpt", "A", None)),
        orca(("human", "Q", 0), ("gpt", "A", 0)),
        orca(("human", "Q", 0), ("tool", "A", 1), ("gpt", "A", 1)),
        orca(("human", "Q", 0), ("human", "R", 0), ("gpt", "A", 1)),
        orca(),
    )
    rows = upstream.read("slim_orca")
    assert [message.role for message in rows[0].messages] == ["system", "user", "assistant"]
    assert rows[1] == chat("d/0000001", "Q", "A")
    assert reasons(rows[2:]) == ["zero-weight", "bad-roles", "bad-roles", "no-answer"]


def test_ultrachat_cuts_an_unanswered_last_turn(upstream: Upstream) -> None:
    turns = ["Q", "A", "R", "B", "S"]
    messages = [{"role": (USER, ASSISTANT)[n % 2], "content": text} for n, text in enumerate(turns)]
    empty = [{"role": USER, "content": ""}, {"role": ASSISTANT, "content": "A"}]
    upstream.lines(
        "t.jsonl",
        {"prompt": "Q", "prompt_id": "p", "messages": messages},
        {"prompt": "", "prompt_id": "q", "messages": empty},
    )
    assert upstream.read("ultrachat") == [chat("d/p", "Q", "A", "R", "B"), Drop("d/q", "empty-text")]


def test_opengpt_tags(upstream: Upstream) -> None:
    turn = "<|user|> Q <|eos|> <|ai|> A <|eos|>"
    texts = [
        f"{turn} <|eod|>",
        f"{turn} {turn} <|eod|>",
        "<|user|> Q <|eos|> <|eod|>",
        f"stray {turn}",
        f"{turn} stray",
    ]
    upstream.write("t.csv", "text,raw_data_id\n" + "".join(f"{text},0\n" for text in texts))
    rows = upstream.read("opengpt")
    assert rows[:2] == [chat("d/0000000", "Q", "A"), chat("d/0000001", "Q", "A", "Q", "A")]
    assert reasons(rows[2:]) == ["no-answer", "bad-roles", "bad-roles"]


MEDQUAD = """<?xml version="1.0" encoding="UTF-8"?>
<Document id="0000001" source="S" url="u"><Focus>F</Focus><QAPairs>
<QAPair pid="1"><Question qid="0000001-1" qtype="t">Q &amp; R?</Question><Answer> A &lt; B </Answer></QAPair>
<QAPair pid="2"><Question qid="0000001-2" qtype="t">Q?</Question><Answer></Answer></QAPair>
<QAPair pid="3"><Question qid="0000001-3" qtype="t">Q?</Question></QAPair>
</QAPairs></Document>"""


def test_medquad_drops_blanked_answers_and_keeps_collections_apart(upstream: Upstream) -> None:
    upstream.write("m/1_A/0000001.xml", MEDQUAD).write("m/2_B/0000001.xml", MEDQUAD)
    rows = upstream.read("medquad")
    assert rows[0] == chat("d/1_A/0000001-1", "Q & R?", "A < B")
    assert reasons(rows) == ["", "no-answer", "no-answer"] * 2
    assert len({row.id for row in rows}) == 6


DOCTYPE = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'


@pytest.mark.parametrize(
    "content",
    [
        *(MEDQUAD[:300], "", DOCTYPE, DOCTYPE.encode("utf-16"), b"<a>\xff</a>", "<a>&b;</a>"),
        *(f'<?xml version="1.0" encoding="{name}"?><a/>' for name in ("none-such", "hex", "idna", "big5", "utf-16")),
    ],
)
def test_medquad_broken_xml_is_one_line(upstream: Upstream, content: str | bytes) -> None:
    with pytest.raises(PrimumError, match=r"^m/1_A/x.xml[^\n]*$"):
        upstream.write("m/1_A/x.xml", content).read("medquad")


def test_aci_bench(upstream: Upstream) -> None:
    upstream.write("t.csv", 'dataset,encounter_id,dialogue,note\nv,D1,"[doctor] a\n[patient] b",N\nv,D2,,N\nv,D3,x,\n')
    rows = upstream.read("aci_bench")
    assert rows[0].messages[0].content.endswith("\n\n[doctor] a\n[patient] b")
    assert rows[0].messages[1].content == "N"
    assert reasons(rows) == ["", "empty-text", "no-answer"]


def test_mts_dialog_in_both_directions_from_files_that_number_alike(upstream: Upstream) -> None:
    content = "ID,section_header,section_text,dialogue\n0,GENHX,S,D\n"
    upstream.write("train.csv", content).write("valid.csv", content)
    rows = upstream.read("mts_dialog")
    assert [row.id for row in rows] == [f"d/{f}-0000-{d}" for f in ("train", "valid") for d in ("note", "dialogue")]
    assert [row.messages[1].content for row in rows] == ["S", "D", "S", "D"]
    assert "GENHX" in rows[1].messages[0].content
    assert len(upstream.read("mts_dialog", directions=["dialogue"])) == 2
    for directions in ("note", [], ["note", "note"], ["notes"]):
        with pytest.raises(PrimumError, match="'directions'"):
            upstream.read("mts_dialog", directions=directions)
