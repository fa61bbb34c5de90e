"""Clusters of what is answered in words: from the task's key to the interval and the paired test, options and texts alike."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from stage_artifacts import make_job, table_artifact

from primum.artifact.manifest import Artifact
from primum.experiment.benchmarks import Benchmark
from primum.score.answers import ANSWERS
from primum.score.parse import run as parse
from primum.score.questions import run as write_questions
from primum.tables.accuracy import accuracy_rows, measure
from primum.tables.answers import read_answers
from primum.tables.comparisons import comparison_rows
from primum.text.rows import ChoiceRow, to_table

PASSAGES, EACH = 8, 3
ROWS = [
    ChoiceRow(f"b/{p}{q}", "b", "", f"Passage {p}.", f"Question {p} {q}?", ("rest", "tea"), (p + q) % 2)
    for p in range(PASSAGES)
    for q in range(EACH)
]
# By passage, alike for all of its questions: what one passage asks is known or is not.
KNOWN = {"a": [p < 6 for p in range(PASSAGES)], "b": [p in (0, 1, 6) for p in range(PASSAGES)]}
TASKS: dict[str, dict[str, Any]] = {
    "options": {"method": "generation"},
    "texts": {
        "doc_to_target": "{{ choices[target] }}",
        "generate_until": {"until": ["\n"], "exact_match": {"ignore_case": True}},
    },
}


def scored(work: Path, model: str, kind: str, cluster: str) -> Artifact:
    """The score of a model that knows what ``KNOWN`` says, through the stages that write questions and read answers."""
    spec = Benchmark.model_validate({"dataset": "b", "cluster": cluster, **TASKS[kind]}).asked()
    table = table_artifact(work / "b.parquet", to_table(ROWS, ChoiceRow))
    (questions,) = write_questions(make_job(work, {}, {"b": (spec, {"benchmarks": table})}))
    assert questions.table is not None
    assert questions.table.num_rows == len(ROWS)
    answers = []
    for row in ROWS:
        place = row.target if KNOWN[model][int(row.id[2])] else 1 - row.target
        said = f"Answer: {'AB'[place]}" if kind == "options" else row.choices[place].upper()
        answers.append(
            {
                "id": row.id,
                "question": row.id,
                "item": row.id,
                "seed": 0,
                "repeat": 0,
                "response": said,
                "reasoning": "",
            }
            | {"status": "stop", "prompt_tokens": 1, "completion_tokens": 1, "error": ""}
        )
    inputs = {
        "benchmarks": table,
        "answers": table_artifact(work / "a.parquet", pa.Table.from_pylist(answers, ANSWERS)),
    }
    (result,) = parse(make_job(work, {}, {"b": ({**spec, "from_scratch": False}, inputs)}))
    assert result.table is not None
    return table_artifact(work / model / f"{kind}{bool(cluster)}.parquet", result.table)


def told(work: Path, kind: str, cluster: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model a's row of the table ``benchmarks``, and b's of ``comparisons`` with it."""
    entry = {"name": "m", "group": "benchmark", "macro": False, "part_of": ""}
    scores = {(model, "m"): read_answers(scored(work, model, kind, cluster)) for model in KNOWN}
    measured = measure(scores, [{"name": "a", "start": None}, {"name": "b", "start": "a"}], [entry])
    (row,) = [r for r in accuracy_rows(measured) if (r["model"], r["benchmark"]) == ("a", "m")]
    compared = comparison_rows(measured, scores, {"m": False}, "benchmark", 0.02)
    (other,) = [r for r in compared if (r["model"], r["benchmark"], r["against"]) == ("b", "m", "start")]
    return row, other


@pytest.mark.parametrize("kind", TASKS)
def test_a_cluster_counts_as_one_draw(tmp_path: Path, kind: str) -> None:
    row, other = told(tmp_path, kind, "context")
    alone, apart = told(tmp_path, kind, "")
    assert row["accuracy"] == alone["accuracy"] == 6 / 8
    assert other["difference"] == pytest.approx(-3 / 8)
    # The variance is that of eight passages' means; without the key, that of 24 items.
    assert row["stderr"] == pytest.approx(math.sqrt(np.var(KNOWN["a"], ddof=1) / PASSAGES))
    assert alone["stderr"] == pytest.approx(math.sqrt(0.75 * 0.25 / 23))
    assert (row["interval"], alone["interval"]) == ("effective", "wilson")
    assert row["ci_high"] - row["ci_low"] > 1.5 * (alone["ci_high"] - alone["ci_low"])
    # By passage the difference is -1 four times, +1 once and 0 three times; two more items speak, one for each side.
    by_passage = np.var([float(b) - float(a) for a, b in zip(KNOWN["a"], KNOWN["b"], strict=True)], ddof=1) / PASSAGES
    assert other["stderr"] == pytest.approx(math.sqrt(by_passage + 2 / len(ROWS) ** 2))
    assert other["stderr"] > 1.5 * apart["stderr"]
    assert other["p_value"] > apart["p_value"]
