"""Models that answer by generation: the strict parser, and the stage against an endpoint on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Reply, Server, completion, misbehaving_server, send
from hypothesis import example, given
from hypothesis import strategies as st
from shipped import open_shipped
from stage_artifacts import folder_artifact, make_job, table_artifact
from tiny_llama import endpoint_json

import primum
from primum.artifact.job import Job, Result
from primum.artifact.manifest import Artifact
from primum.cluster.resources import rule_resources
from primum.cluster.site import Site
from primum.dag.dag import STAGES
from primum.dag.evaluation import ANSWER, SCORE
from primum.engine.journal import NAME
from primum.errors import PrimumError
from primum.experiment.types import Engine, Sampling
from primum.score.answers import ANSWERS, run
from primum.score.asked import question
from primum.score.parse import WORDED
from primum.score.parse import run as parse
from primum.score.questions import run as write_questions
from primum.score.strict import read_answer
from primum.text.rows import ChoiceRow, to_table

SECRET = "zebra-quartz-forbidden-text"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("B", 1),
        (" B.\n", 1),
        ("(C)", 2),
        ("**D**", 3),
        ("Answer: A", 0),
        ("answer:B", 1),
        ("It is not A, nor B.\n\nAnswer: C", 2),
        ("A. rest\nB. tea\nThe first helps.\r\nAnswer: A\r\n", 0),
        ("**Answer:** B", 1),
        ("**Answer: (B).**", 1),
        ("Answer: B\nSo it is tea.\nAnswer: B", 1),  # the same, said twice
    ],
)
def test_answers(text: str, option: int) -> None:
    assert read_answer(text, 4) == option


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n* *\n",
        "E",  # there are four options
        "b",  # the options are lettered in capitals
        "Answer: b",
        "\u0392",  # a Greek letter that looks like B
        "\uff22",  # a full-width B
        "An\u017fwer: B",  # a long s, which matches s where case is ignored
        "Answer: \u0412",  # a Cyrillic one
        "Answer:",
        "Answer: E",
        "Answer: A or B",
        "Answer: AB",
        "Answer: B. tea and water",
        "Answer: A\nAnswer: B",
        "Answer: E\nAnswer: B",
        "Answer: B\nBut I am not sure.",  # not the last line
        "The answer: B",
        "The answer is B.",
        "I think B",
        "A\nB",
        "B\nB",  # a lone letter is one line alone
        "A man of 50 years has gout.",
        "Answer: B\u2028Answer: B",
        "I cannot help with that.",
    ],
)
def test_what_is_no_answer(text: str) -> None:
    assert read_answer(text, 4) is None


@given(st.text(), st.integers(1, 26))
@example("Answer: Z", 26)
def test_any_text_gives_an_option_or_none(text: str, choices: int) -> None:
    option = read_answer(text, choices)
    assert option is None or (0 <= option < choices and chr(ord("A") + option) in text)


_PROSE = st.text(st.characters(codec="utf-8")).filter(lambda text: "answer" not in text.casefold())


@given(_PROSE, st.integers(0, 9), st.integers(0, 9), _PROSE.filter(lambda text: text.strip(" \t\r\n*")))
def test_a_last_line_is_the_answer_whatever_comes_before_it(thought: str, first: int, other: int, more: str) -> None:
    line, another = (f"Answer: {chr(ord('A') + option)}" for option in (first, other))
    assert read_answer(f"{thought}\n{line}", 10) == first
    assert read_answer(f"{another}\n{thought}\n{line}", 10) == (first if first == other else None)
    assert read_answer(f"{thought}\n{line}\n{more}", 10) is None
    assert read_answer(f"{thought}\n{line}", first) is None  # no option has that letter


def test_a_question_as_it_is_asked() -> None:
    row = ChoiceRow("b/0", "b", "", "A trial of tea.", "What helps a cough?", ("rest", "tea", "B. both"), 1)
    assert question(row) == (
        "A trial of tea.\n\nWhat helps a cough?\n\nA. rest\nB. tea\nC. B. both\n\n"
        'Choose one option. End with a line that holds only "Answer: " and the letter of that option.'
    )
    bare = ChoiceRow("b/0", "b", "", "", "What helps?", ("rest", "tea"), 1)
    assert question(bare).startswith("What helps?\n\nA. rest\nB. tea\n\nChoose")


# The stage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    with misbehaving_server() as running:
        yield running


def rows(count: int) -> list[ChoiceRow]:
    """Item i has the right answer i % 3."""
    return [
        ChoiceRow(f"b/{i:02d}", "b", f"s{i % 2}", "", f"Question {i}?", ("rest", "tea", SECRET), i % 3)
        for i in range(count)
    ]


def questions(work: Path, table: Artifact, spec: dict[str, Any]) -> Artifact:
    (result,) = write_questions(make_job(work, {}, {"b": (spec, {"benchmarks": table})}))
    assert result.table is not None
    return table_artifact(work / "questions.parquet", result.table)


def parsed(work: Path, table: Artifact, answers: Artifact, spec: dict[str, Any]) -> Result:
    inputs = {"benchmarks": table, "answers": answers}
    (result,) = parse(make_job(work, {}, {"b": ({"from_scratch": False, **spec}, inputs)}))
    return result


SPEC = {"version": 1, "group": "benchmark"}


def job(work: Path, server: Server, items: list[ChoiceRow]) -> Job:
    """Asked one at a time, so that the server's script is in the rows' order."""
    folder = work / "models" / "m"
    folder.mkdir(parents=True, exist_ok=True)
    endpoint_json(folder, server.url)
    engine = Engine(kind="openai", concurrency=1).model_dump(mode="json")
    asked = questions(work, table_artifact(work / "b.parquet", to_table(items, ChoiceRow)), SPEC)
    inputs = {"model": folder_artifact(folder), "questions": asked}
    return make_job(work, {"engine": engine, "seed": 0}, {"b": (DRAWN, inputs)})


DRAWN = {"sampling": Sampling(max_tokens=64).model_dump(mode="json"), "repeats": 1}


def say(text: str, finish: str = "stop") -> Reply:
    return lambda handler, _: send(handler, 200, completion(text, finish))


def refuse(status: int, code: str) -> Reply:
    return lambda handler, _: send(handler, status, {"error": {"code": code, "message": SECRET}})


def score(work: Path, server: Server, items: list[ChoiceRow]) -> tuple[Result, Result]:
    """What is kept of the answers, and what is read in them."""
    (answered,) = run(job(work, server, items))
    assert answered.table is not None
    assert answered.table.schema.equals(ANSWERS)
    table = table_artifact(work / "b.parquet", to_table(items, ChoiceRow))
    return answered, parsed(work, table, table_artifact(work / "answers.parquet", answered.table), SPEC)


def test_every_item_has_a_status(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.script = [
        say(f"{SECRET}\nAnswer: A"),  # right
        say("A"),  # wrong: it is B
        say("Answer: A\nAnswer: C"),
        say("Answer: A", "length"),  # cut off: more might have followed
        refuse(400, "context_length_exceeded"),
        refuse(400, "content_filter"),
        say(""),
        say("(B)"),  # right
    ]
    answered, result = score(tmp_path, server, rows(8))
    assert result.table is not None
    assert result.table.schema.equals(WORDED)
    records = result.table.to_pylist()
    assert [(r["status"], r["prediction"], r["correct"]) for r in records] == [
        ("scored", 0, True),
        ("scored", 0, False),
        ("no-answer", -1, False),
        ("length", -1, False),
        ("prompt-too-long", -1, False),
        ("error", -1, False),
        ("no-answer", -1, False),
        ("scored", 1, True),
    ]
    statuses = {"scored": 3, "no-answer": 2, "length": 1, "prompt-too-long": 1, "error": 1}
    assert result.counts == {"items": 8, "correct": 2, "flexible": 2, **statuses}
    stopped = {"stop": 5, "length": 1, "prompt-too-long": 1, "error": 1}
    assert answered.counts == {"rows": 8, **stopped, "errors": {"content-filter": 1}}
    # 3 + 2 tokens as the server states them, for the six requests that it answered.
    assert (answered.cost["prompt_tokens"], answered.cost["completion_tokens"]) == (18, 12)
    first = records[0]
    assert first | {"answer": None} == {
        "id": "b/00",
        "item": "b/00",
        "subject": "s0",
        "seed": 0,
        "method": "generation",
        "status": "scored",
        "choices": 3,
        "loglikelihoods": [],
        "greedy": [],
        "perplexity": None,
        "tokens": [],
        "characters": [],
        "context_tokens": 3,
        "prediction": 0,
        "target": 0,
        "correct": True,
        "truncated": False,
        "lost_left": 0,
        "lost_right": 0,
        "contaminated": None,
        "cluster": None,
        "answer": None,
        "flexible_prediction": 0,
        "flexible_correct": True,
        "read": None,
        "read_flexibly": None,
        "thinking_characters": 0,
    }
    assert first["answer"] == f"{SECRET}\nAnswer: A"
    asked = server.requests[0]
    assert asked["messages"] == [{"role": "user", "content": question(rows(1)[0])}]
    assert (asked["temperature"], asked["max_tokens"]) == (0.0, 64)
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err + (tmp_path / "log.txt").read_text()
    assert SECRET not in json.dumps(dict(result.counts))


def test_a_failed_request_fails_the_job_and_a_rerun_pays_for_it_alone(tmp_path: Path, server: Server) -> None:
    server.script = [say("A"), refuse(400, "bad"), say("C")]
    with pytest.raises(PrimumError, match=r"^b: 1 of 3 requests failed \(http-400 bad 1\): run again$"):
        score(tmp_path, server, rows(3))
    journal = tmp_path / "work" / "b" / NAME
    assert len(journal.read_text().splitlines()) == 2
    server.script = [say("B")]
    _, result = score(tmp_path, server, rows(3))
    assert len(server.requests) == 4
    assert server.requests[3]["messages"][0]["content"].startswith("Question 1?")
    assert result.counts == {"items": 3, "correct": 3, "flexible": 3, "scored": 3}


def test_one_failure_in_twenty_is_published(tmp_path: Path, server: Server) -> None:
    server.script = [refuse(400, "bad")]
    server.reply = say("A")
    answered, result = score(tmp_path, server, rows(20))
    assert result.counts["error"] == 1
    assert answered.counts["errors"] == {"http-400 bad": 1}
    # Rows 0, 3, ..., 18 have the answer A; row 0 failed.
    assert result.counts["correct"] == 6


def test_a_local_model_can_be_asked_the_same_way(tmp_path: Path, tiny_model: Path) -> None:
    """It has random weights and no answer, which is what is counted."""
    engine = Engine(max_length=200).model_dump(mode="json")
    items = [*rows(3), ChoiceRow("b/99", "b", "", "cough " * 300, "Which?", ("a", "b"), 0)]
    table = table_artifact(tmp_path / "b.parquet", to_table(items, ChoiceRow))
    inputs = {"model": folder_artifact(tiny_model), "questions": questions(tmp_path, table, SPEC)}
    drawn = {"sampling": Sampling(max_tokens=4).model_dump(mode="json"), "repeats": 1}
    (answered,) = run(make_job(tmp_path, {"engine": engine, "seed": 0}, {"b": (drawn, inputs)}))
    assert answered.table is not None
    result = parsed(tmp_path, table, table_artifact(tmp_path / "answers.parquet", answered.table), SPEC)
    assert result.table is not None
    assert result.table.column("status").to_pylist()[-1] == "prompt-too-long"
    assert set(result.table.column("status").to_pylist()[:3]) <= {"no-answer", "length"}
    assert result.counts["correct"] == 0


def test_asking_an_endpoint_needs_no_torch() -> None:
    stages = "import primum.score.answers, primum.score.parse, primum.score.questions"
    code = f"import sys; {stages}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    path = str(Path(primum.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


# The plan -----------------------------------------------------------------------------------------------------------


def test_what_is_made_of_log_likelihoods_is_not_asked_of_an_endpoint(tmp_path: Path) -> None:
    document: Any = open_shipped(tmp_path, "demo").experiment.model_dump(mode="json", by_alias=True)
    models = {**document["models"], "api": {"endpoint": "x", "engine": {"kind": "openai"}}}
    evaluate = {**document["evaluate"], "models": ["sft", "api"], "benchmarks": ["medqa", "pubmedqa"]}
    benchmarks = {name: {"dataset": document["benchmarks"][name]["dataset"]} for name in evaluate["benchmarks"]}
    worth = {"function": "own.f", "source": "def f(doc, results): return {'acc': 1}"}
    benchmarks["medqa"]["process_results"] = worth
    run = open_shipped(tmp_path, "demo", models=models, evaluate=evaluate, benchmarks=benchmarks)
    assert run.dag.scored() == [("sft", "medqa"), ("sft", "pubmedqa"), ("api", "pubmedqa")]
    # What is trained on is compared with its questions all the same.
    assert benchmarks["medqa"]["dataset"] in run.dag.knowledge()


def test_endpoint_models_answer_all_benchmarks_but_preferences(tmp_path: Path) -> None:
    document: Any = open_shipped(tmp_path, "demo").experiment.model_dump(mode="json", by_alias=True)
    models = {**document["models"], "api": {"endpoint": "x", "engine": {"kind": "openai"}}}
    evaluate = {**document["evaluate"], "models": ["sft", "api"]}
    run = open_shipped(tmp_path, "demo", models=models, evaluate=evaluate)
    groups = {name: run.experiment.benchmarks[name].group for name in evaluate["benchmarks"]}
    knowledge = [name for name, group in groups.items() if group == "benchmark"]
    assert set(groups.values()) == {"benchmark", "preference"}
    assert [b for m, b in run.dag.scored() if m == "sft"] == list(groups)
    assert [b for m, b in run.dag.scored() if m == "api"] == knowledge
    jobs = {(job.stage.name, job.name): job for job in run.dag.jobs}
    answer = jobs["answer", "api"]
    assert answer.paths == [run.dag.path(ANSWER, model="api", benchmark=name) for name in knowledge]
    assert ("score", "api") not in jobs
    assert set(answer.plan.roles) == {"model", "questions"}
    parse_job = jobs["parse", "answers"]
    # The local model answers one benchmark in words, and is scored on all others.
    worded = [("sft", "usmle-in-words"), *(("api", name) for name in knowledge)]
    assert parse_job.paths == [run.dag.path(SCORE, model=model, benchmark=name) for model, name in worded]
    assert set(parse_job.plan.roles) == {"answers", "benchmarks", "overlaps"}
    assert jobs["score", "sft"].paths == [
        run.dag.path(SCORE, model="sft", benchmark=name) for name in groups if name != "usmle-in-words"
    ]
    assert set(json.loads(parse_job.spec)["libraries"]) == {"pyarrow", "jinja2"}
    spec = json.loads(answer.spec)
    assert set(spec["libraries"]) == {"pyarrow", "jinja2", "openai"}
    drawn = {"temperature": 0.0, "top_p": 1.0, "max_tokens": document["sampling"]["max_tokens"]}
    asked = {name: item["sampling"] for name, item in spec["items"]}
    assert asked.pop("usmle-in-words") == {**drawn, "max_tokens": 24}
    assert all(each == drawn for each in asked.values())
    assert [name for name, _ in spec["items"]] == knowledge
    assert STAGES["answer"].target == STAGES["score"].target
    called = rule_resources(run.experiment, Site(), {}, "answer")["api"]
    assert called(type("Wildcards", (), {"model": "api"})()) == 1
