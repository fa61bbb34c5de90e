"""Scores as the Hugging Face hub reads them: ``model-index`` in a README.md, and ``.eval_results/*.yaml``, a model each.

The first is the older form, which model cards show; the second (https://huggingface.co/docs/hub/eval-results) is attached to a
benchmark's dataset, so that only benchmarks whose dataset is on the hub have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from primum.export.lm_eval import task_values
from primum.export.scores import Scored, Task


def write_hub(experiment: str, models: Sequence[Scored], folder: Path) -> None:
    """Write a folder a model: README.md, and ``.eval_results/<benchmark>.yaml`` where the hub has the dataset."""
    for model in models:
        own = folder / model.name
        own.mkdir()
        values = {task.benchmark: task_values(task) for task in model.tasks}
        (own / "README.md").write_text(_card(experiment, model, values), encoding="utf-8")
        for task in (task for task in model.tasks if task.on_hub):
            (own / ".eval_results").mkdir(exist_ok=True)
            entries = eval_result_entries_to_yaml([_entry(experiment, task, values[task.benchmark])])
            text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
            (own / ".eval_results" / f"{task.benchmark}.yaml").write_text(text, encoding="utf-8")


def headline(task: Task, values: Mapping[str, Any]) -> str:
    """The metric that the tables of primum show, which goes by how the benchmark normalizes."""
    if "exact_match,none" in values:
        return "exact_match"
    normalize = task.spec.get("normalize", "none")
    return {"none": "acc", "characters": "acc_norm"}.get(normalize, f"acc_{normalize}")


def _card(experiment: str, model: Scored, values: Mapping[str, Mapping[str, Any]]) -> str:
    results = [result for task in model.tasks for result in _results(task, values[task.benchmark])]
    data = ModelCardData(model_name=model.title, eval_results=results)
    lines = [
        f"# {_plain(model.title)}: evaluation results",
        "",
        f"Experiment `{experiment}`, model `{model.name}` (content `{model.content}`). Accuracies are shares, from 0 to 1.",
        "",
        "| benchmark | metric | value | stderr | items | examples | score artifact (key, content) |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for task in model.tasks:
        own = values[task.benchmark]
        metric = headline(task, own)
        error = own[f"{metric}_stderr,none"]
        shown = f"{error:.4f}" if isinstance(error, float) else error
        lines.append(
            f"| {_plain(task.title)} | {metric} | {own[f'{metric},none']:.4f} | {shown} | {_items(task)} | {task.shots} "
            f"| `{task.manifest.key}` `{task.manifest.content}` |"
        )
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~&])", r"\\\1", " ".join(text.split()))


def _items(task: Task) -> int:
    return len({row["item"] for row in task.rows})


def _results(task: Task, values: Mapping[str, Any]) -> list[EvalResult]:
    names = [key.partition(",")[0] for key in values if "_stderr," not in key]
    return [
        EvalResult(
            task_type="multiple-choice",
            task_name="Multiple choice",
            dataset_type=task.dataset,
            dataset_name=task.title,
            # Two benchmarks of one dataset are two results.
            dataset_config=task.benchmark,
            dataset_revision=task.revision if task.on_hub else None,
            dataset_args={"num_few_shot": task.shots, "n": _items(task)},
            metric_type="accuracy",
            metric_name=name,
            metric_value=values[f"{name},none"],
            metric_args={
                "stderr": values[f"{name}_stderr,none"],
                "macro": task.macro,
                "primum_key": task.manifest.key,
                "primum_content": task.manifest.content,
                "primum_spec": task.provenance()["spec"],
            },
        )
        for name in names
    ]


def _entry(experiment: str, task: Task, values: Mapping[str, Any]) -> EvalResultEntry:
    metric = headline(task, values)
    how = "generation" if metric == "exact_match" else "log-likelihood of the choices"
    return EvalResultEntry(
        dataset_id=task.dataset,
        task_id=task.benchmark,
        value=values[f"{metric},none"],
        dataset_revision=task.revision if re.fullmatch("[0-9a-f]{40}", task.revision or "") else None,
        date=task.finished,
        notes=f"{metric}, {how}, {task.shots}-shot, n={_items(task)}, stderr={values[f'{metric}_stderr,none']}; primum "
        f"{experiment}: key {task.manifest.key}, content {task.manifest.content}",
    )
