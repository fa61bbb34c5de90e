"""Model cards, and scores as the Hugging Face hub reads them: a README.md and ``.eval_results/*.yaml``, a model each.

A card says how a model that was trained here was made. Its ``model-index`` is the older form of scores, which cards show. The
newer form (https://huggingface.co/docs/hub/eval-results) is attached to a benchmark's dataset, so that only benchmarks whose
dataset is on the hub have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml

from primum.export.lineage import Step
from primum.export.lm_eval import task_values
from primum.export.markdown import plain
from primum.export.model_card import licences, limits, making, safety, uses
from primum.export.scores import Scored, Task


def write_hub(experiment: str, models: Sequence[Scored], folder: Path) -> None:
    """Write a folder a model: README.md, and ``.eval_results/<benchmark>.yaml`` where the hub has the dataset."""
    for model in models:
        own = folder / model.name
        own.mkdir()
        values = {task.benchmark: task_values(task) for task in model.tasks}
        _card(experiment, model, values).save(own / "README.md")
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


def _card(experiment: str, model: Scored, values: Mapping[str, Mapping[str, Any]]) -> ModelCard:
    results = [result for task in model.tasks for result in _results(task, values[task.benchmark])]
    data = ModelCardData(model_name=model.title, eval_results=results, **_metadata(model.lineage))
    lines = [
        f"# {plain(model.title)}{'' if model.lineage[-1].train else ': evaluation results'}",
        "",
        *([model.disclaimer, ""] if model.disclaimer else []),
        *uses(model),
        *_training(model.lineage),
        *(["## Evaluation", ""] if model.lineage[-1].train else []),
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
            f"| {plain(task.title)} | {metric} | {own[f'{metric},none']:.4f} | {shown} | {_items(task)} | {task.shots} "
            f"| `{task.manifest.key}` `{task.manifest.content}` |"
        )
    lines += ["", *safety(model), *limits(model), *licences(model.lineage), *making(experiment, model)]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n")


def _metadata(lineage: Sequence[Step]) -> dict[str, Any]:
    """What the hub shows beside a card: nothing of a model that was fetched, which has its own."""
    if not lineage[-1].train:
        return {}
    first = lineage[0]
    datasets = [entry["hub"] for step in lineage for entry in step.datasets.values() if entry.get("hub")]
    known = {"base_model": first.hub, "license": first.license, "datasets": sorted(set(datasets))}
    tags = ["primum", *dict.fromkeys(step.train for step in lineage if step.train)]
    return {key: value for key, value in known.items() if value} | {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": tags,
    }


def _training(lineage: Sequence[Step]) -> list[str]:
    """How a model was trained, step by step, and on which datasets; of one that was fetched, nothing."""
    if not lineage[-1].train:
        return []
    lines = ["## Training", "", "| model | how | data | counted | settings | content |", "|---|---|---|---|---|---|"]
    for step in lineage:
        how = f"{step.train} of `{step.start}`" if step.start else step.train or f"fetched: {step.hub}@{step.revision}"
        counted = ", ".join(f"{key} {value:,}" for key, value in step.counts.items())
        settings = ", ".join(f"{key} {value}" for key, value in step.settings.items() if value is not None)
        cells = [f"`{step.name}`", how, step.data, counted, settings, f"`{step.content}`"]
        lines.append(f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |")
    lines += ["", "| model | dataset | source | revision | license |", "|---|---|---|---|---|"]
    for step in (step for step in lineage if step.train):
        for name, entry in step.datasets.items():
            source = entry.get("hub") or entry.get("git") or "files of the catalog"
            cells = [
                f"`{step.name}`",
                f"`{name}`",
                source,
                entry.get("revision") or "",
                entry.get("license") or "unknown",
            ]
            lines.append(f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |")
    return [*lines, ""]


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
