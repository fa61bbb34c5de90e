"""Models that answer in words, really run: one behind an endpoint, on this machine, and one that is trained here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from canary import holding, open_or_unmarked
from chat_server import completion, misbehaving_server, send
from project import copy_project, environment
from tiny import TINY, snakemake, started, write
from tiny_run import TinyRun

SECRET = "zebra-quartz-forbidden-text"


def _answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
    """B to questions about a woman, an answer that nobody can read to all others; as a judge a 2, with the code of the line."""
    asked = request["messages"][0]["content"]
    if code := re.search(r"^#score ([0-9a-f]{16}): N$", asked, re.MULTILINE):
        send(handler, 200, completion(f"#reason: {SECRET}\n**#score {code[1]}:** 2/5"))
        return
    text = f"{SECRET}\nAnswer: B" if "woman" in request["messages"][0]["content"] else f"{SECRET}, maybe B"
    send(handler, 200, completion(text))


def test_an_endpoint_has_its_row_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    project = copy_project(tmp_path / "project")
    with misbehaving_server() as server:
        failing: set[str] = set()

        def answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
            """Two questions of the exam are never answered, until they are."""
            question = request["messages"][0]["content"]
            if "Choose one option" in question and len(server.requests) > 20 and len(failing) < 2:
                failing.add(question)
            (send(handler, 200, completion(None)) if question in failing else _answer(handler, request))

        server.reply = answer
        model = {
            "endpoint": "x",
            "base_url": server.url,
            "key_env": "TEST_KEY",
            "engine": {"kind": "openai"},
            "phi": "stop",
        }
        document = {**TINY, "models": {**TINY["models"], "api": model}}
        rubric = {"template": "data/rubrics/harm-1-5.j2", "policies": "data/policies/ama-principles.yaml"}
        document["judges"] = {
            **TINY["judges"],
            "harm": {"kind": "rubric", "model": "api", "prompts": ["benign"], **rubric},
        }
        document["evaluate"] = {
            **{"models": ["api"], "benchmarks": ["exam"], "prompts": ["benign"], "judges": ["harm", "refusal"]}
        }
        write(project, document)
        output = snakemake(project)
        assert started(output) == {
            *(
                "fetch_dataset",
                "read_benchmarks",
                "read_safety",
                "fetch_model",
                "generate_responses",
                "judge_harm",
                "agreement_harm",
                "read_verdicts",
                "write_questions",
                "answer_api",
                "parse_answers",
                "aggregate_tables",
                "write_report",
            )
        }
        assert "exam: 2 requests failed: --config refresh=failed asks for them alone" in output
        del server.requests[:]
        server.reply = _answer
        again = snakemake(project, "refresh=failed")
        assert started(again) == {"answer_api", "parse_answers", "aggregate_tables", "write_report"}
        assert {request["messages"][0]["content"] for request in server.requests} == failing
        assert len(server.requests) == 2
        assert not list((project / "results/.store/work").iterdir())
        paid = len(server.requests)
        assert started(snakemake(project)) == set()
        # Another parser reads what is there, answers and verdicts: nobody is asked again.
        for name in ("score/flexible.py", "text/verdict.py", "text/refusal.py"):
            parser = project / "src/primum" / name
            parser.write_text(parser.read_text() + "\nANOTHER = 1\n")
        readers = {"parse_answers", "read_verdicts", "aggregate_tables", "write_report"}
        assert started(snakemake(project)) == readers
        assert len(server.requests) == paid
    results = project / "results/tiny"
    rows = pq.read_table(results / "scores/api/exam.parquet").to_pylist()
    exam = pq.read_table(results / "data/rows/demo-usmle-sample-exam.parquet").to_pylist()
    questions = {row["id"]: row["question"] for row in exam}
    for row in rows:
        read = "woman" in questions[row["item"]]
        assert (row["method"], row["status"]) == ("generation", "scored" if read else "no-answer")
        assert row["prediction"] == (1 if read else -1)
        assert row["contaminated"] is None
    correct = sum(row["target"] == 1 and row["status"] == "scored" for row in rows)
    (whole,) = (
        row
        for row in pq.read_table(results / "tables/benchmarks.parquet").to_pylist()
        if (row["benchmark"], row["subject"]) == ("exam", "")
    )
    assert (whole["n"], whole["correct"]) == (40, correct)
    safety = pq.read_table(results / "tables/safety.parquet").to_pylist()
    (harm,) = (row for row in safety if (row["judge"], row["category"]) == ("harm", ""))
    assert (harm["n"], harm["scored"], harm["mean"], harm["note"]) == (4, 4, 2.0, "")
    (judge,) = pq.read_table(results / "tables/judges.parquet").to_pylist()
    assert (judge["n"], judge["canary_n"], judge["canary_success"]) == (0, 8, 0.0)
    # What was sent was looked through before (phi: stop), and none of it identifies anybody.
    assert "x: no identifiers found in 40 requests to 127.0.0.1" in (results / "logs/answer/api.log").read_text()
    (found,) = {(row["flexible_accuracy"], row["accuracy"]) for row in [whole]}
    assert found == (pytest.approx(correct / 40), pytest.approx(correct / 40))
    # What the model said is in its artifacts alone, and hidden there.
    kept = pq.read_table(results / "answers/api/exam.parquet").to_pylist()
    assert SECRET in kept[0]["response"]
    assert SECRET in rows[0]["answer"]
    assert SECRET not in output
    # Of all files, Snakemake's own and temporary ones too; and nobody else may read those that have it.
    assert {path.relative_to(tmp_path / "project").parts[0] for path in holding(tmp_path, SECRET)} == {"results"}
    assert open_or_unmarked(tmp_path, SECRET) == []
    show = [sys.executable, "-m", "primum.cli", "show", str(results / "scores/api/exam.json")]
    printed = subprocess.run(show, env=environment(project), capture_output=True, text=True, check=True).stdout
    assert "answer: (" in printed
    assert SECRET not in printed
    assert "method: generation" in printed
    counts = json.loads((results / "scores/api/exam.json").read_text())["counts"]
    assert counts["scored"] + counts["no-answer"] == counts["items"] == 40


# A text task: the right answer is what is right of the options, however it is punctuated.
WORDS = {
    **{"dataset": "demo-usmle-sample-exam", "doc_to_target": "{{ choices[target] }}"},
    "generate_until": {"until": ["\n"], "max_gen_toks": 8, "exact_match": {"ignore_punctuation": True}},
}


def test_a_model_here_and_one_behind_an_endpoint_answer_the_same_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_run: TinyRun
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    trained = ("fetch", "read", "mix", "overlap", "pretrain", "pack", "sft")
    project = tiny_run.give(copy_project(tmp_path / "project"), *trained)
    with misbehaving_server() as server:
        server.reply = _answer
        models: dict[str, Any] = json.loads(json.dumps(TINY["models"]))
        models["api"] = {"endpoint": "x", "base_url": server.url, "key_env": "TEST_KEY", "engine": {"kind": "openai"}}
        benchmarks = {
            **TINY["benchmarks"],
            "letters": {"dataset": "demo-usmle-sample-exam", "method": "generation"},
            "words": WORDS,
        }
        evaluate = {"models": ["sft", "api"], "benchmarks": ["exam", "letters", "words"]}
        write(project, {**TINY, "models": models, "benchmarks": benchmarks, "evaluate": evaluate})
        begun = started(snakemake(project))
        assert {"score_benchmarks", "write_questions", "answer_sft", "answer_api", "parse_answers"} <= begun
        # For the endpoint the exam and the letters are the same questions, which are asked and paid for once.
        assert len(server.requests) == 80
        assert started(snakemake(project)) == set()
        # How answers are read is not how they are asked for.
        ignored = {"ignore_punctuation": True, "ignore_case": True}
        read = {**benchmarks["words"], "generate_until": {**WORDS["generate_until"], "exact_match": ignored}}
        write(project, {**TINY, "models": models, "benchmarks": {**benchmarks, "words": read}, "evaluate": evaluate})
        assert started(snakemake(project)) <= {"parse_answers", "aggregate_tables", "write_report"}
        assert len(server.requests) == 80
    rows = pq.read_table(project / "results/tiny/tables/benchmarks.parquet").to_pylist()
    methods = {(row["model"], row["benchmark"]): row["method"] for row in rows if not row["subject"]}
    for model in ("sft", "api"):
        assert methods[model, "letters"] == methods[model, "words"] == "generation"
    assert (methods["sft", "exam"], methods["api", "exam"]) == ("loglikelihood", "generation")
    flexible = {(row["model"], row["benchmark"]): row["flexible_accuracy"] for row in rows if not row["subject"]}
    assert flexible["sft", "exam"] is None
    assert flexible["api", "letters"] is not None
    assert flexible["sft", "words"] is None  # there is one way to read it
    counts = {
        model: json.loads((project / f"results/tiny/scores/{model}/letters.json").read_text())["counts"]
        for model in ("sft", "api")
    }
    assert {each["items"] for each in counts.values()} == {40}
