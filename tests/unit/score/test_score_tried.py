"""Tasks are tried on their first row: before a model is loaded, and by `primum check` where the rows are here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from stage_artifacts import folder_artifact, make_job, saved, table_artifact

from primum.audit.show import check
from primum.errors import PrimumError
from primum.experiment.benchmarks import Benchmark
from primum.score.stage import run
from primum.text.rows import DocumentRow, to_table

FAILS = {"function": "own.choices", "source": "def choices(doc): return doc['colours']"}
ROWS = [
    DocumentRow(f"d/{number:07d}", "d", json.dumps({"text": f"Of patient {number}?", "label": 1})) for number in (0, 1)
]


def _keys(**keys: Any) -> dict[str, Any]:
    return {"dataset": "d", "doc_to_text": "text", "doc_to_choice": ["no", "yes"], "doc_to_target": "label"} | keys


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"doc_to_choice": FAILS}, "b: d/0000000: doc_to_choice: the task's own.choices fails (KeyError): correct it"),
        ({"doc_to_target": "{{ right }}"}, "b: d/0000000: doc_to_target: template '{{ right }}' cannot be rendered"),
        (
            {
                "process_docs": {
                    "function": "own.keep",
                    "source": "def keep(docs): return docs.filter(lambda doc: False)",
                }
            },
            "b: process_docs: leaves none of 2 rows",
        ),
        (
            {"fewshot": {"k": 1, "samples": [{"text": "Of whom?"}]}},
            "b: fewshot_config.samples/0: doc_to_target: is none of its choices",
        ),
        ({"process_results": {"function": "own.f", "source": "def f(doc, results): return {}"}}, "gives no acc"),
    ],
)
def test_what_does_not_fit_fails_before_the_model_is_loaded(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")  # which could not be loaded at all
    table = table_artifact(tmp_path / "rows.parquet", to_table(ROWS, DocumentRow))
    inputs = {"model": folder_artifact(tmp_path / "model"), "benchmarks": table, "fewshot": table}
    common = {"engine": {"dtype": "float32", "max_length": 64, "batch_tokens": 64}, "seed": 0, "from_scratch": True}
    task = Benchmark.model_validate(_keys(**keys)).asked()
    with pytest.raises(PrimumError) as caught:
        next(iter(run(make_job(tmp_path, common, {"b": (task, inputs)}))))
    assert said in str(caught.value)
    assert "patient" not in str(caught.value)


def _project(root: Path, **keys: Any) -> None:
    datasets = {
        "d": {"adapter": "documents", "files": [{"path": "docs.jsonl"}]},
        "t": {"adapter": "text", "files": [{"path": "t.jsonl"}]},
    }
    optimization = {"learning_rate": 1, "batch": 1, "steps": 1}
    experiment = {
        "name": "own",
        "datasets": datasets,
        "mixtures": {"t": {"sources": {"t": {"dataset": "t"}}}},
        "models": {"m": {"train": "pretrain", "data": "t", "optimization": optimization}},
        "benchmarks": {"own": _keys(**keys)},
        "evaluate": {"models": ["m"], "benchmarks": ["own"]},
    }
    (root / "own.yaml").write_text(yaml.safe_dump(experiment))


def test_check_tries_tasks_where_the_rows_are_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _project(tmp_path, doc_to_choice=FAILS)
    check("own.yaml", tmp_path)
    assert "1 benchmarks have no rows here yet" in capsys.readouterr().out
    rows = tmp_path / "results" / "own" / "data" / "rows"
    rows.mkdir(parents=True)
    saved(table_artifact(rows / "d.parquet", to_table(ROWS, DocumentRow)))
    with pytest.raises(PrimumError, match=r"benchmarks.own: d/0000000: doc_to_choice: the task's own.choices fails"):
        check("own.yaml", tmp_path)
    _project(tmp_path)
    check("own.yaml", tmp_path)
    assert "no rows here" not in capsys.readouterr().out
