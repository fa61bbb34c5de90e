"""An experiment of one model behind an endpoint, really run against a server on this machine: no training, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from chat_server import completion, misbehaving_server, send
from project import copy_project, environment
from tiny import TINY, snakemake, started, write

SECRET = "zebra-quartz-forbidden-text"


def _answer(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
    """B to questions about a woman, an answer that nobody can read to all others."""
    text = f"{SECRET}\nAnswer: B" if "woman" in request["messages"][0]["content"] else f"{SECRET}, maybe B"
    send(handler, 200, completion(text))


def test_an_endpoint_has_its_row_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-0123456789")
    project = copy_project(tmp_path / "project")
    with misbehaving_server() as server:
        server.reply = _answer
        model = {
            "endpoint": "x",
            "base_url": server.url,
            "key_env": "TEST_KEY",
            "engine": {"kind": "openai"},
            "phi": "stop",
        }
        document = {**TINY, "models": {**TINY["models"], "api": model}}
        document["evaluate"] = {"models": ["api"], "benchmarks": ["exam"]}
        write(project, document)
        output = snakemake(project)
        assert started(output) == {
            *(
                "fetch_dataset",
                "read_benchmarks",
                "fetch_model",
                "answer_benchmarks",
                "aggregate_tables",
                "write_report",
            )
        }
        paid = len(server.requests)
        assert started(snakemake(project)) == set()
        assert len(server.requests) == paid == 40
    results = project / "results/tiny"
    rows = pq.read_table(results / "scores/api/exam.parquet").to_pylist()
    questions = {
        row["id"]: row["question"] for row in pq.read_table(next(results.glob("data/rows/*.parquet"))).to_pylist()
    }
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
    # What was sent was looked through before (phi: stop), and none of it identifies anybody.
    assert "x: no identifiers found in 40 requests to 127.0.0.1" in (results / "logs/answer/api.log").read_text()
    # What the model said is in its artifact alone, and hidden there.
    assert SECRET in rows[0]["answer"]
    assert SECRET not in output
    others = [p for p in results.rglob("*") if p.is_file() and p.suffix in (".json", ".log", ".html", ".csv", ".tsv")]
    assert not [path for path in others if SECRET in path.read_text(encoding="utf-8")]
    show = [sys.executable, "-m", "primum.cli", "show", str(results / "scores/api/exam.json")]
    printed = subprocess.run(show, env=environment(project), capture_output=True, text=True, check=True).stdout
    assert "answer: (" in printed
    assert SECRET not in printed
    assert "method: generation" in printed
    counts = json.loads((results / "scores/api/exam.json").read_text())["counts"]
    assert counts["scored"] + counts["no-answer"] == counts["items"] == 40
