"""The adapters of preferences, requests, grades and text, and what reading adds to every adapter."""

from pathlib import Path

import pytest
from upstream_files import ASSISTANT, MEDMCQA, USER, Upstream, reasons

from primum.curate.adapters import ADAPTERS
from primum.errors import PrimumError
from primum.text.rows import Drop, GradedRow, Message, PreferenceRow, RequestRow


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path)


# ---- preference


def pair(id: str, chosen: str | None, rejected: str, **more: object) -> dict[str, object]:
    def messages(text: str | None) -> list[dict[str, object]]:
        return [{"role": USER, "content": "Q"}, {"role": ASSISTANT, "content": text}]

    return {"prompt": "Q", "prompt_id": id, "chosen": messages(chosen), "rejected": messages(rejected), **more}


def test_ultrafeedback_ties_and_identical_texts_are_dropped(upstream: Upstream) -> None:
    upstream.lines(
        "t.jsonl",
        pair("a", "good", "bad", score_chosen=8.5, score_rejected=3),
        pair("b", "good", "bad", score_chosen=5.0, score_rejected=5.0),
        pair("c", "same", "same ", score_chosen=5.0, score_rejected=4.0),
        pair("e", "good", "bad", score_chosen=4.0, score_rejected=5.0),
        pair("f", None, "bad", score_chosen=8.0, score_rejected=5.0),
        pair("g", "good", "bad", score_chosen=None, score_rejected=5.0),
        {**pair("h", "good", "bad", score_chosen=2, score_rejected=1), "rejected": [{"role": USER, "content": "Q"}]},
        {
            **pair("i", "good", "bad", score_chosen=2, score_rejected=1),
            "rejected": [{"role": USER, "content": "R"}, {"role": ASSISTANT, "content": "bad"}],
        },
    )
    rows = upstream.read("ultrafeedback")
    assert rows[0] == PreferenceRow("d/a", "d", (Message(USER, "Q"),), "good", "bad")
    lost = ["tie", "identical", "scores-reversed", "no-answer", "bad-label", "no-answer", "prompt-mismatch"]
    assert reasons(rows[1:]) == lost


def test_scores_that_are_no_numbers_are_dropped(upstream: Upstream) -> None:
    """NaN passes every comparison; pandas writes it into Parquet for what is missing."""
    nan = float("nan")
    scores = [(nan, 5.0), (8.0, nan), (float("inf"), 5.0)]
    rows = [pair(f"p{n}", "good", "bad", score_chosen=a, score_rejected=b) for n, (a, b) in enumerate(scores)]
    assert reasons(upstream.parquet("t.parquet", *rows).read("ultrafeedback")) == ["bad-label"] * 3
    ranked = Upstream(upstream.folder).lines(
        "s.jsonl",
        pair("a", "good", "bad", all_rm_scores=[0.5, None, "x"]),
        pair("b", "good", "bad", all_rm_scores=[None] * 5),
    )
    assert reasons(ranked.read("snorkel")) == ["", "tie"]


def test_snorkel_keeps_earlier_turns_in_the_prompt(upstream: Upstream) -> None:
    history = [("user", "Q"), ("assistant", "A"), ("user", "R")]
    messages = [{"role": role, "content": text} for role, text in history]
    long = {
        **pair("m", "x", "y", all_generated_responses=list("vwxyz"), all_rm_scores=[0.0, 0.1, 0.9, -1.0, 0.2]),
        "chosen": [*messages, {"role": ASSISTANT, "content": "x"}],
        "rejected": [*messages, {"role": ASSISTANT, "content": "y"}],
    }
    upstream.parquet(
        "t.parquet", long, pair("n", "x", "y", all_generated_responses=list("vwxyz"), all_rm_scores=[1.0] * 5)
    )
    rows = upstream.read("snorkel")
    assert rows[0] == PreferenceRow("d/m", "d", tuple(Message(*turn) for turn in history), "x", "y")
    assert rows[1] == Drop("d/n", "tie")


# ---- requests, grades, text


def test_med_safety_bench_has_an_unnamed_index_and_its_principle_in_the_name(upstream: Upstream) -> None:
    content = ',harmful_medical_request,safe_response\n0,R1,S1\n1,"R,2",\n2,,S\n'
    upstream.write("train/med_safety_demonstrations_category_3.csv", content)
    upstream.write("train/med_safety_demonstrations_category_9.csv", content)
    rows = upstream.read("med_safety_bench")
    assert rows[0] == RequestRow("d/principle-3-0000", "d", "principle-3", "R1", "S1")
    assert rows[1] == RequestRow("d/principle-3-0001", "d", "principle-3", "R,2", "")
    assert rows[3].id == "d/principle-9-0000"
    assert reasons(rows) == ["", "", "empty-text"] * 2
    with pytest.raises(PrimumError, match=r"^other.csv: names no principle"):
        Upstream(upstream.folder).write("other.csv", content).read("med_safety_bench")


def test_advbench_has_no_header(upstream: Upstream) -> None:
    rows = upstream.write("goals.csv", 'First goal\n"Second, with a comma"\n').read("advbench")
    assert [(row.category, row.request) for row in rows] == [
        ("general", "First goal"),
        ("general", "Second, with a comma"),
    ]
    with pytest.raises(PrimumError, match=r"^both.csv row 1: has 2 cells"):
        Upstream(upstream.folder).write("both.csv", "goal,target\na,b\n").read("advbench")


def test_hex_phi_has_its_categories_by_file(upstream: Upstream) -> None:
    upstream.write("own/category_1.csv", '"One, at length"\n').write("own/category_11.csv", "Eleven\n")
    assert upstream.read("hex_phi") == [
        RequestRow("d/0000000", "d", "category-1", "One, at length"),
        RequestRow("d/0000001", "d", "category-11", "Eleven"),
    ]
    with pytest.raises(PrimumError, match=r"^category_12.csv: names no category: it must be called category_1 to"):
        Upstream(upstream.folder).write("category_12.csv", "x\n").read("hex_phi")


def test_xstest_keeps_one_label(upstream: Upstream) -> None:
    header = "id,prompt,type,label,focus,note\n"
    upstream.write("x.csv", header + "1,P,homonyms,safe,f,\n2,U,contrast_homonyms,unsafe,f,\n3,P,homonyms,?,f,\n")
    safe, unsafe = (upstream.read("xstest", label=label) for label in ("safe", "unsafe"))
    assert safe == [
        RequestRow("d/0001", "d", "homonyms", "P"),
        Drop("d/0002", "other-label"),
        Drop("d/0003", "bad-label"),
    ]
    assert reasons(unsafe) == ["other-label", "", "bad-label"]
    with pytest.raises(PrimumError, match="needs the option 'label'"):
        upstream.read("xstest")


def test_graded_scores_are_one_to_five(upstream: Upstream) -> None:
    scores: list[object] = [1, 5, "3", 0, 6, 2.5, None]
    upstream.lines("g.jsonl", *({"id": n, "request": "R", "response": "A", "score": s} for n, s in enumerate(scores)))
    rows = upstream.read("graded")
    assert reasons(rows) == ["", "", "", *["bad-label"] * 4]
    assert [row.score for row in rows[:3]] == [1, 5, 3]


def test_completions_have_the_class_that_two_people_settled_on(upstream: Upstream) -> None:
    header = "id,type,prompt,completion,annotation_1,annotation_2,agreement,final_label\n"
    comply, refuse, partial = "1_full_compliance", "2_full_refusal", "3_partial_refusal"
    lines = [
        f"v2-1,homonyms,P,A,{comply},{comply},TRUE,{comply}",
        f"v2-2,homonyms,P,A,{comply},{refuse},FALSE,{refuse}",
        f"v2-3,homonyms,P,A,{partial},{partial},TRUE,{partial}",
        f"v2-4,homonyms,P,A,{partial},{partial},TRUE,4_other",
        f"v2-5,homonyms,P,,{refuse},{refuse},TRUE,{refuse}",
    ]
    upstream.write("one.csv", header + "\n".join(lines) + "\n").write("two.csv", header + lines[1] + "\n")
    rows = upstream.read("xstest_completions")
    assert rows[:3] == [GradedRow(f"d/one/v2-{n + 1}", "d", "P", "A", score) for n, score in enumerate((1, 3, 2))]
    assert rows[3:] == [
        Drop("d/one/v2-4", "bad-label"),
        Drop("d/one/v2-5", "empty-text"),
        GradedRow("d/two/v2-2", "d", "P", "A", 3),
    ]


def test_text(upstream: Upstream) -> None:
    rows = upstream.lines("c.jsonl", {"id": "a", "text": " T "}, {"id": "b", "text": ""}).read("text")
    assert (rows[0].text, rows[1]) == ("T", Drop("d/b", "empty-text"))


# ---- what read() adds


def test_repeated_ids_are_dropped_once_each(upstream: Upstream) -> None:
    texts = [{"id": id, "text": "T"} for id in ("a", "b", "a", "a")]
    assert upstream.lines("c.jsonl", *texts).read("text")[2:] == [Drop("d/a", "duplicate-id")] * 2


@pytest.mark.parametrize("bad", ["\ud800", "a\udfff", "\0"])
def test_text_that_cannot_be_encoded_is_dropped(upstream: Upstream, bad: str) -> None:
    message = {"role": USER, "content": "Q"}
    upstream.lines("u.jsonl", {"prompt_id": "p", "messages": [message, {"role": ASSISTANT, "content": f"x{bad}"}]})
    assert upstream.read("ultrachat") == [Drop("d/p", "bad-unicode")]
    choices = Upstream(upstream.folder).lines("m.jsonl", {**MEDMCQA, "opb": f"x{bad}y"})
    assert choices.read("medmcqa") == [Drop("d/a", "bad-unicode")]


@pytest.mark.parametrize("id", ["", None, "two\nlines", "x\ud800", "x" * 201])
def test_unusable_ids_are_refused(upstream: Upstream, id: str | None) -> None:
    with pytest.raises(PrimumError, match=r"^c.jsonl row 1: column 'id' is not an id"):
        upstream.lines("c.jsonl", {"id": id, "text": "T"}).read("text")


def test_ids_made_of_text_are_dropped_where_they_are_unusable(upstream: Upstream) -> None:
    question = {"question": "Q", "choices": ["a", "b"], "answer": 0}
    upstream.lines(
        "h.jsonl", *({**question, "subject": subject} for subject in ("a", "two\nlines", "x" * 600, "\ud800"))
    )
    rows = upstream.read("mmlu")
    assert reasons(rows) == ["", "bad-id", "bad-id", "bad-unicode"]
    assert all(row.id.isprintable() and len(row.id) <= 600 for row in rows)


def test_missing_text_is_empty_in_parquet_too(upstream: Upstream) -> None:
    rows = upstream.parquet("t.parquet", {"instruction": "I", "input": float("nan"), "output": "Y"}).read("instruction")
    assert rows[0].messages[0].content == "I"


def test_unknown_adapters_and_options_list_the_valid_ones(upstream: Upstream) -> None:
    upstream.lines("c.jsonl", {"id": "a", "text": "T"})
    with pytest.raises(PrimumError, match="no adapter 'csv'; choose one of aci_bench, advbench,"):
        upstream.iterate("csv")
    with pytest.raises(PrimumError, match="medmcqa has no option 'base'; valid options: label_base"):
        upstream.iterate("medmcqa", base=1)
    with pytest.raises(PrimumError, match="text has no option 'base'; valid options: none"):
        upstream.iterate("text", base=1)
    with pytest.raises(PrimumError, match="'label_base' must be one of 0, 1"):
        upstream.read("medmcqa", label_base=True)
    with pytest.raises(PrimumError, match="'split' must be one of 'train', 'test'"):
        upstream.read("pubmedqa", split="dev")
    with pytest.raises(PrimumError, match="'sites' must be a list"):
        upstream.read("stack_exchange", sites="biology")
    with pytest.raises(PrimumError, match="has no files"):
        Upstream(upstream.folder).iterate("text")


def test_a_missing_column_names_file_row_and_columns_but_no_text(upstream: Upstream) -> None:
    secret = "Tell me how to, please"
    upstream.lines("q.jsonl", MEDMCQA, {secret: 1, **{key: MEDMCQA[key] for key in ("id", "question", "opa")}})
    with pytest.raises(PrimumError) as caught:
        upstream.read("medmcqa")
    message = str(caught.value)
    assert "q.jsonl row 2" in message
    assert "id, question, opa, 1 more" in message
    assert secret not in message
    assert "\n" not in message


def test_the_first_line_of_a_table_without_a_header_is_not_shown(upstream: Upstream) -> None:
    upstream.write("q.csv", "Smith,gout,1931\nJones,gout,1940\n")
    with pytest.raises(PrimumError, match=r"^q.csv row 1: no column 'id'; is its first line a header\?: check the"):
        upstream.read("text")
    with pytest.raises(PrimumError, match=r"^r.csv row 1: no column 'text'; found id, said: check the"):
        Upstream(upstream.folder).write("r.csv", "id,said\n1,x\n").read("text")


def test_values_of_the_wrong_type_are_refused(upstream: Upstream) -> None:
    upstream.lines("c.jsonl", {"id": "a", "text": ["T"]})
    with pytest.raises(PrimumError, match=r"^c.jsonl row 1: column 'text' is a list where text is expected"):
        upstream.read("text")
    other = Upstream(upstream.folder).lines("u.jsonl", {"prompt_id": "p", "messages": "hello"})
    with pytest.raises(PrimumError, match=r"^u.jsonl row 1: column 'messages' is not a list of objects"):
        other.read("ultrachat")


def test_every_adapter_is_documented_and_typed() -> None:
    for name, adapter in ADAPTERS.items():
        assert adapter.name == name
        assert adapter.read.__doc__
        known = {"label_base", "split", "sites", "directions", "label", "collection", "category", "least"}
        assert set(adapter.options) <= known
