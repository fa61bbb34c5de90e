"""The adapters of multiple-choice questions, on hand-made records that hold the traps of each format."""

import json
from pathlib import Path

import pytest
from upstream_files import MEDMCQA, Upstream, reasons

from primum.errors import PrimumError
from primum.text.rows import ChoiceRow, Drop


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path)


def test_medmcqa_counts_labels_from_one_in_the_authors_files(upstream: Upstream) -> None:
    upstream.lines("dev.json", MEDMCQA, {**MEDMCQA, "id": "b", "cop": 4, "exp": "Because."})
    rows = upstream.read("medmcqa")
    assert rows[0] == ChoiceRow("d/a", "d", "Anatomy", "", "Which?", ("one", "two", "three", "four"), 0, "")
    assert (rows[1].target, rows[1].explanation) == (3, "Because.")


def test_medmcqa_counts_labels_from_zero_on_the_hub(upstream: Upstream) -> None:
    upstream.parquet("train.parquet", {**MEDMCQA, "cop": 0}, {**MEDMCQA, "id": "b", "cop": 3, "exp": "e"})
    assert [row.target for row in upstream.read("medmcqa", label_base=0)] == [0, 3]


def test_medmcqa_without_a_valid_label_is_dropped(upstream: Upstream) -> None:
    hidden = {key: value for key, value in MEDMCQA.items() if key != "cop"}
    labels: list[object] = [-1, 0, 5, None, "2", 2.0, "\u0665", True, "two"]
    upstream.lines("t.jsonl", {**hidden, "id": "x"}, *({**MEDMCQA, "id": i, "cop": c} for i, c in enumerate(labels, 1)))
    dropped = ["bad-label"] * 5 + ["", ""] + ["bad-label"] * 3
    assert reasons(upstream.read("medmcqa")) == dropped


def test_medmcqa_without_text_is_dropped(upstream: Upstream) -> None:
    upstream.lines("t.jsonl", {**MEDMCQA, "question": "  "}, {**MEDMCQA, "id": "b", "opc": None})
    assert upstream.read("medmcqa") == [Drop("d/a", "empty-question"), Drop("d/b", "empty-choice")]


def test_medqa(upstream: Upstream) -> None:
    record = {"question": "Q", "answer": "y", "options": {"B": "y", "A": "x"}, "meta_info": "step1", "answer_idx": "B"}
    upstream.lines("t.jsonl", record, {**record, "answer": "x"}, {**record, "answer_idx": "E"})
    rows = upstream.read("medqa")
    assert rows[0] == ChoiceRow("d/0000000", "d", "step1", "", "Q", ("x", "y"), 1)
    assert reasons(rows[1:]) == ["bad-label", "bad-label"]


def test_medqa_options_as_key_and_value(upstream: Upstream) -> None:
    options = [{"key": "A", "value": "x"}, {"key": "B", "value": "y"}]
    upstream.parquet("t.parquet", {"question": "Q", "answer": "x", "options": options, "answer_idx": "A"})
    assert upstream.read("medqa")[0].choices == ("x", "y")


def test_mmlu_carriers_agree(upstream: Upstream) -> None:
    upstream.write("test/virology_test.csv", 'Q1,w,x,y,z,D\n"Q2, with a comma",w,x,y,z,A\n')
    upstream.write("dev/virology_dev.csv", "question,choice0,choice1,choice2,choice3,answer\r\nQ3,w,x,y,z,3\r\n")
    hub = {"question": "Q4", "subject": "virology", "choices": ["w", "x", "y", "z"], "answer": 2}
    upstream.parquet("validation.parquet", hub)
    rows = upstream.read("mmlu")
    assert [row.id for row in rows] == [f"d/virology-000{n}" for n in range(4)]
    assert [row.target for row in rows] == [3, 0, 3, 2]
    assert {row.subject for row in rows} == {"virology"}
    assert {row.choices for row in rows} == {("w", "x", "y", "z")}


def test_mmlu_bad_answers_are_dropped_and_ragged_rows_refused(upstream: Upstream) -> None:
    upstream.write("anatomy_test.csv", "Q,w,x,y,z,E\nQ,w,x,y,z,4\nQ,w,x,y,z,\nQ,w,x,y,A\n")
    rows = upstream.iterate("mmlu")
    assert reasons([next(rows) for _ in range(3)]) == ["bad-label"] * 3
    with pytest.raises(PrimumError, match=r"anatomy_test.csv row 4: has 5 cells"):
        next(rows)


def test_mmlu_pro(upstream: Upstream) -> None:
    record = {"question_id": 70, "question": "Q", "options": list("abcdefghij"), "answer": "J", "answer_index": 9}
    rows = upstream.lines("t.jsonl", {**record, "category": "health", "cot_content": "", "src": "x"}).read("mmlu_pro")
    assert rows == [ChoiceRow("d/70", "d", "health", "", "Q", tuple("abcdefghij"), 9)]


HEADQA = {
    **{"qid": "7", "qtext": "Q", "ra": 2, "category": "medicine", "image": ""},
    "answers": [{"aid": 1, "atext": "x"}, {"aid": 2, "atext": "y"}],
}


def test_headqa_counts_answers_from_one_and_drops_images(upstream: Upstream) -> None:
    upstream.lines("t.jsonl", HEADQA, {**HEADQA, "qid": "8", "image": "x.png"}, {**HEADQA, "qid": "9", "ra": 0})
    rows = upstream.read("headqa")
    assert (rows[0].id, rows[0].target, rows[0].subject) == ("d/0007", 1, "medicine")
    assert rows[1:] == [Drop("d/0008", "image"), Drop("d/0009", "bad-label")]


def test_headqa_question_numbers_repeat_over_examinations(upstream: Upstream) -> None:
    pictured = {"bytes": b"png", "path": None}
    upstream.parquet(
        "t.parquet",
        {**HEADQA, "name": "2013_M", "image": {"bytes": None, "path": None}},
        {**HEADQA, "name": "2014_M", "image": pictured},
    )
    rows = upstream.read("headqa")
    assert [row.id for row in rows] == ["d/2013_M-0007", "d/2014_M-0007"]
    assert reasons(rows) == ["", "image"]


def test_headqa_answers_as_an_object_of_lists(upstream: Upstream) -> None:
    upstream.lines("t.jsonl", {**HEADQA, "answers": {"aid": [2, 1], "atext": ["y", "x"]}})
    row = upstream.read("headqa")[0]
    assert (row.choices, row.target) == (("y", "x"), 0)


def test_sciq_order_depends_on_the_id_alone(upstream: Upstream) -> None:
    record = {"question": "Q", "correct_answer": "right", "distractor1": "a", "distractor2": "b", "distractor3": "c"}
    rows = upstream.lines("t.jsonl", *[{**record, "support": "S"}] * 100).read("sciq")
    assert all(row.choices[row.target] == "right" and sorted(row.choices) == ["a", "b", "c", "right"] for row in rows)
    assert all(row.context == "S" for row in rows)
    targets = [row.target for row in rows]
    assert all(10 <= targets.count(place) <= 45 for place in range(4))  # 25 expected, 4 standard deviations are 17
    assert upstream.read("sciq") == rows


def pubmed(decision: str) -> dict[str, object]:
    return {"QUESTION": "Q?", "CONTEXTS": ["One.", "", "Two."], "LONG_ANSWER": "Long.", "final_decision": decision}


def test_pubmedqa_splits_by_the_official_ids(upstream: Upstream) -> None:
    questions = {"11": pubmed("yes"), "12": pubmed("maybe"), "13": pubmed("none")}
    upstream.write("ori_pqal.json", json.dumps(questions, indent=1)).write("test_ground_truth.json", '{"12": "maybe"}')
    test, train = upstream.read("pubmedqa", split="test"), upstream.read("pubmedqa", split="train")
    row = ChoiceRow("d/12", "d", "", "One.\n\nTwo.", "Q?", ("yes", "no", "maybe"), 2, "Long.")
    assert test == [Drop("d/11", "other-split"), row, Drop("d/13", "other-split")]
    assert reasons(train) == ["", "other-split", "bad-label"]
    assert train[0].target == 0


def test_pubmedqa_without_its_list_or_with_unknown_ids_is_refused(upstream: Upstream) -> None:
    upstream.write("ori_pqal.json", json.dumps({"11": pubmed("yes")}))
    with pytest.raises(PrimumError, match=r"one test_ground_truth.json"):
        upstream.read("pubmedqa", split="test")
    upstream.write("test_ground_truth.json", '{"11": "yes", "99": "no"}')
    with pytest.raises(PrimumError, match=r"1 of its 2 ids have no question"):
        upstream.read("pubmedqa", split="test")


def test_usmle_with_answers_inside(upstream: Upstream) -> None:
    record = {"no": 1, "question": "Q", "options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"}
    rows = upstream.write("e.json", json.dumps([record, {**record, "no": 2, "answer_idx": None}])).read("usmle")
    assert rows == [ChoiceRow("d/0001", "d", "", "", "Q", ("x", "y"), 1), Drop("d/0002", "bad-label")]


def test_usmle_with_solutions_and_images_beside(upstream: Upstream) -> None:
    for step in ("step1", "step2"):
        questions = [{"no": n, "question": "Q", "options": {"A": "x", "B": "y"}} for n in (1, 2)]
        upstream.write(f"{step}.json", json.dumps(questions)).write(f"{step}_solutions.json", '{"1": "b", "2": "A"}')
    upstream.write("question_with_images.json", '{"step1": [1], "step2": []}')
    rows = upstream.read("usmle")
    assert [row.id for row in rows] == ["d/step1-0001", "d/step1-0002", "d/step2-0001", "d/step2-0002"]
    assert reasons(rows) == ["", "image", "", ""]
    assert [row.target for row in rows if isinstance(row, ChoiceRow)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("e_solutions.json", "[]", "is not an object of letters by question"),
        ("question_with_images.json", "[]", "is not an object of positions by step"),
        ("question_with_images.json", '{"e": 0}', "the positions of a step are not a list"),
    ],
)
def test_usmle_with_broken_lists_beside(upstream: Upstream, name: str, content: str, problem: str) -> None:
    record = {"no": 1, "question": "Q", "options": {"A": "x", "B": "y"}, "answer_idx": "B"}
    with pytest.raises(PrimumError, match=f"^{name}: {problem}"):
        upstream.write("e.json", json.dumps([record])).write(name, content).read("usmle")


def test_usmle_options_absent_from_a_row_are_null_in_parquet(upstream: Upstream) -> None:
    base = {"question": "Q", "answer_idx": "B"}
    few, many = {"A": "x", "B": "y", "C": None}, {"A": "x", "B": "y", "C": "z"}
    rows = upstream.parquet("t.parquet", {**base, "options": few}, {**base, "options": many}).read("usmle")
    assert [row.choices for row in rows] == [("x", "y"), ("x", "y", "z")]


def test_toxigen_threshold(upstream: Upstream) -> None:
    record = {"text": "T", "target_group": "g"}
    scores = [(2.5, 3.0), (2.6, 3.0), (1, 1), (5, 5), (None, 3), (0, 5), ("x", 3), (float("nan"), 5), (10**400, 3)]
    upstream.lines("t.jsonl", *({**record, "toxicity_ai": ai, "toxicity_human": human} for ai, human in scores))
    rows = upstream.read("toxigen")
    assert [row.target for row in rows[:4]] == [0, 1, 0, 1]
    assert (rows[0].choices, rows[0].context, rows[0].subject) == (("No", "Yes"), "T", "g")
    assert reasons(rows[4:]) == ["bad-label"] * 5
