"""The same rows, the same task and the same model through lm-eval-harness and through primum."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from stage_artifacts import folder_artifact, make_job, table_artifact

from primum.curate.adapters import RawFile, read
from primum.experiment.benchmarks import Benchmark
from primum.experiment.datasets import Dataset
from primum.experiment.tasks import load_task, task_path
from primum.score.stage import run
from primum.text.choices import choice_values
from primum.text.rows import ChoiceRow, Row, to_table

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("PRIMUM_REAL_DATA", ROOT.parent / "shared" / "data"))
# The published files where they are at hand, else the demo's, in the same formats.
DATASETS = {
    "medmcqa": ("medmcqa-dev", "demo-medmcqa-dev"),
    "medqa": ("medqa-test", "demo-medqa-test"),
    "mmlu": ("mmlu-medical-test", "demo-mmlu-test"),
    "mmlu-dev": ("mmlu-medical-dev", "demo-mmlu-dev"),
    "pubmedqa": ("pubmedqa-test", "demo-pubmedqa-test"),
    "pubmedqa-train": ("pubmedqa-train", "demo-pubmedqa-train"),
}


def rows(name: str) -> list[ChoiceRow]:
    """The rows of a benchmark's dataset, read through the catalog, in id order."""
    real, demo = DATASETS[name]
    catalog, dataset, folder = ("datasets", real, REAL) if REAL.is_dir() else ("demo-datasets", demo, ROOT)
    text = (ROOT / "config" / "catalog" / f"{catalog}.yaml").read_text(encoding="utf-8")
    entry = Dataset.model_validate(yaml.safe_load(text)["datasets"][dataset])
    files = [RawFile(folder / file.path, file.path) for file in entry.files]
    found = [row for row in read(entry.adapter, files, dataset, entry.options) if isinstance(row, ChoiceRow)]
    return sorted(found, key=lambda row: row.id)


@dataclass(frozen=True)
class Scores:
    """By item in the rows' order: of the choices log-likelihoods and whether greedy, what is correct; means with errors."""

    loglikelihoods: list[list[float]]
    greedy: list[list[bool]]
    correct: dict[str, list[bool]]
    value: dict[str, float]
    stderr: dict[str, float]


def task(name: str, **override: Any) -> Benchmark:
    """The project's own task file of that name, with a benchmark's switches."""
    keys = load_task(task_path(name, ROOT))
    fewshot = {**keys.get("fewshot", {}), "dataset": "examples", **override.pop("fewshot", {})}
    return Benchmark.model_validate({**keys, **override, "dataset": "questions", "fewshot": fewshot})


def primum(
    model: Path, work: Path, benchmark: Benchmark, asked: Sequence[Row], examples: Sequence[Row] = (), **engine: Any
) -> list[dict[str, Any]]:
    """The rows of the score artifact that the stage makes."""
    inputs = {"model": folder_artifact(model), "benchmarks": _artifact(work / "asked.parquet", asked)}
    inputs["fewshot"] = _artifact(work / "examples.parquet", examples or asked)
    common = {
        "engine": {"dtype": "float32", "max_length": 4096, "batch_tokens": 6000, **engine},
        "seed": 0,
        "from_scratch": True,
    }
    result = next(iter(run(make_job(work, common, {"b": (benchmark.asked(), inputs)}))))
    assert isinstance(result.table, pa.Table)
    return result.table.to_pylist()


def _artifact(path: Path, kept: Sequence[Row]) -> Any:
    return table_artifact(path, to_table(kept, type(kept[0])))


def document(row: ChoiceRow) -> dict[str, Any]:
    """A row as a record for lm-eval; ``lettered`` is what is scored as letter and answer."""
    letters = list(choice_values(row)["letters"])
    return {
        **{"subject": row.subject, "context": row.context, "question": row.question, "choices": list(row.choices)},
        **{"letters": letters, "target": row.target},
        "lettered": [f"{letter}. {choice}" for letter, choice in zip(letters, row.choices, strict=True)],
    }


def lm_eval_task(
    name: str, work: Path, asked: Sequence[ChoiceRow], examples: Sequence[ChoiceRow] | None
) -> dict[str, Any]:
    """The project's task file as lm-eval reads it, on local files; examples are the questions' own file if None."""
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(task_path(name, ROOT))
    files = {"test": str(_lines(work / "test.jsonl", asked))}
    if examples is not None:
        files["examples"] = str(_lines(work / "examples.jsonl", examples))
    for key in ("validation_split", "dataset_name", "fewshot_config"):
        config.pop(key, None)
    metrics = [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")]
    return {
        **config,
        **{"dataset_path": "json", "dataset_kwargs": {"data_files": files, "cache_dir": str(work / "cache")}},
        **{"test_split": "test", "fewshot_split": "test" if examples is None else "examples"},
        **{"fewshot_config": {"sampler": "first_n"}, "metric_list": metrics},
    }


def _lines(path: Path, asked: Sequence[ChoiceRow]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document(row)) + "\n" for row in asked), encoding="utf-8")
    return path


def lm_eval(
    lm: Any,
    config: Mapping[str, Any],
    k: int,
    chat_template: bool,
    multiturn: bool = True,
    metrics: Sequence[str] = ("acc", "acc_norm"),
) -> Scores:
    """lm-eval's own evaluation, in process."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    done = simple_evaluate(
        model=lm,
        tasks=[dict(config)],
        num_fewshot=k,
        apply_chat_template=chat_template,
        fewshot_as_multiturn=multiturn and chat_template,
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=1,  # standard errors, which of a mean need no bootstrap
    )
    assert done is not None
    (name,) = done["samples"]
    samples = sorted(done["samples"][name], key=lambda sample: sample["doc_id"])
    result = done["results"][name]
    return Scores(
        [[float(response[0][0]) for response in sample["resps"]] for sample in samples],
        [[str(response[0][1]) == "True" for response in sample["resps"]] for sample in samples],
        {metric: [bool(sample[metric]) for sample in samples] for metric in metrics},
        {metric: result[f"{metric},none"] for metric in metrics},
        {metric: result[f"{metric}_stderr,none"] for metric in metrics},
    )
