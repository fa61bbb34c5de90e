"""Scores as lm-evaluation-harness 0.4.13 writes them: ``<model>/results_<date>.json`` and ``samples_<task>_<date>.jsonl``.

The layout is that of ``lm_eval.result_schema`` and ``EvaluationTracker``. No text is in it: ``doc`` holds an item's id,
``doc_hash`` the hash of its row, ``arguments`` are empty. ``primum`` holds what every number can be traced by, and
each task's perplexity of the right choices by token, for which lm-eval's multiple-choice tasks have no field.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from primum.artifact.canonical import digest
from primum.export.metrics import aggregate, metrics, pooled, unweighted
from primum.export.scores import Scored, Task


@dataclass(frozen=True, slots=True)
class _Part:
    """A task of lm-eval: a benchmark, or one subject of a macro benchmark, which is a group there."""

    name: str
    task: Task
    samples: Sequence[Mapping[str, Any]]
    values: Mapping[str, Any]
    items: int
    perplexity: float | None


def write_lm_eval(experiment: str, models: Sequence[Scored], folder: Path) -> None:
    """Write a folder a model, named as lm-eval names it."""
    for model in models:
        own = folder / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model.source)
        own.mkdir()
        date = max(task.finished for task in model.tasks).removesuffix("Z").replace(":", "-")
        parts = [part for task in model.tasks for part in _parts(task)]
        results = _results(experiment, model, parts)
        text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
        (own / f"results_{date}.json").write_text(text, encoding="utf-8")
        for part in parts:
            lines = (json.dumps(sample, ensure_ascii=False, allow_nan=False) + "\n" for sample in part.samples)
            (own / f"samples_{part.name}_{date}.jsonl").write_text("".join(lines), encoding="utf-8")


def task_values(task: Task) -> dict[str, Any]:
    """A benchmark's metrics under lm-eval's keys: over its items, or for a macro benchmark the mean over its subjects."""
    values = [part.values for part in _parts(task)]
    return dict(values[0]) if len(values) == 1 else unweighted(values)


def _parts(task: Task) -> Iterator[_Part]:
    subjects = sorted({row["subject"] for row in task.rows})
    if not task.macro or len(subjects) < 2:
        yield _part(task.benchmark, task, task.rows)
        return
    for subject in subjects:
        rows = [row for row in task.rows if row["subject"] == subject]
        yield _part(f"{task.benchmark}_{re.sub(r'[^A-Za-z0-9]', '_', subject)}", task, rows)


def _part(name: str, task: Task, rows: Sequence[Mapping[str, Any]]) -> _Part:
    numbers = {item: number for number, item in enumerate(dict.fromkeys(row["item"] for row in rows))}
    values = [metrics(row, task.spec.get("normalize", "none")) for row in rows]
    samples = [_sample(row, numbers[row["item"]], task, own) for row, own in zip(rows, values, strict=True)]
    pairs = [(row["item"], own) for row, own in zip(rows, values, strict=True)]
    return _Part(name, task, samples, aggregate(pairs), len(numbers), _perplexity(rows))


def _sample(row: Mapping[str, Any], number: int, task: Task, values: Mapping[str, float]) -> dict[str, Any]:
    """A line of the samples. lm-eval writes log-likelihoods as text, each with whether the choice is greedy."""
    responses = [[repr(each[0]), str(each[1])] for each in zip(row["loglikelihoods"], row["greedy"], strict=True)]
    doc = task.hashes[row["item"]]
    target = str(row["target"])
    return {
        "doc_id": number,
        "doc": {"id": row["item"], "subject": row["subject"]},
        "target": target,
        "arguments": {f"gen_args_{n}": {"arg_0": "", "arg_1": ""} for n in range(len(responses))},
        "resps": [[response] for response in responses],
        "filtered_resps": responses,
        "filter": "none",
        "metrics": list(values),
        "doc_hash": doc,
        # The prompt is not kept: its hash is that of what it was made from.
        "prompt_hash": digest({"doc": doc, "task": task.spec, "seed": row["seed"]}),
        "target_hash": _sha256(target),
        **values,
        **{key: row[key] for key in ("seed", "method", "status", "prediction", "truncated", "contaminated")},
        "perplexity": _finite(row["perplexity"]),
    }


def _perplexity(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The perplexity of the right choices' tokens, all together; None without log-likelihoods."""
    scored = [row for row in rows if row["loglikelihoods"]]
    if not scored:
        return None
    tokens = sum(row["tokens"][row["target"]] for row in scored)
    try:
        return math.exp(-sum(row["loglikelihoods"][row["target"]] for row in scored) / tokens)
    except OverflowError:
        return None


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _results(experiment: str, model: Scored, parts: Sequence[_Part]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    subtasks: dict[str, list[str]] = {}
    for task in model.tasks:
        own = [part for part in parts if part.task is task]
        if [part.name for part in own] != [task.benchmark]:
            subtasks[task.benchmark] = [part.name for part in own]
            size = sum(part.items for part in own)
            whole = {"name": task.benchmark, "alias": task.title, **unweighted([part.values for part in own])}
            groups[task.benchmark] = results[task.benchmark] = {**whole, "sample_len": size}
        for part in own:
            alias = task.title if part.name == task.benchmark else part.name
            results[part.name] = {"name": part.name, "alias": alias, "sample_len": part.items, **part.values}
    for name, group in model.groups.items():
        subtasks[name] = list(group["benchmarks"])
        groups[name] = results[name] = _group(name, group, [t for t in model.tasks if t.benchmark in subtasks[name]])
    names = {name: task for task in model.tasks for name in (task.benchmark, *subtasks.get(task.benchmark, ()))}
    better = {name: dict.fromkeys(_metrics(results[name]), True) for name in sorted(names)}
    manifest = model.tasks[0].manifest
    engine = manifest.spec.get("common", {}).get("engine", {})
    seed = manifest.spec.get("common", {}).get("seed")
    when = max(task.finished for task in model.tasks)
    return {
        "results": results,
        **({"groups": groups} if groups else {}),
        "group_subtasks": subtasks,
        "configs": {part.name: _config(part) for part in sorted(parts, key=lambda part: part.name)},
        "versions": {name: names[name].spec.get("version") for name in sorted(names)},
        "n-shot": {name: names[name].shots for name in sorted(names)},
        "higher_is_better": better,
        "n-samples": {part.name: {"original": part.items, "effective": part.items} for part in parts},
        "config": {
            "model": "primum",
            "model_args": {"pretrained": model.source, "revision": model.revision, "dtype": engine.get("dtype")},
            "model_dtype": engine.get("dtype"),
            "model_revision": model.revision,
            "model_sha": model.content,
            "batch_size": None,
            "batch_sizes": [],
            "device": None,
            "use_cache": None,
            "limit": None,
            "bootstrap_iters": 0,
            "gen_kwargs": None,
            "random_seed": seed,
            "numpy_seed": seed,
            "torch_seed": seed,
            "fewshot_seed": seed,
        },
        "git_hash": None,
        "date": datetime.fromisoformat(when).timestamp(),
        "transformers_version": manifest.spec["libraries"].get("transformers"),
        "lm_eval_version": None,
        "max_length": engine.get("max_length"),
        "task_hashes": {part.name: _task_hash(part) for part in parts},
        "model_source": "primum",
        "model_name": model.source,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model.source),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": None,
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": str(sum(task.manifest.run.get("seconds", 0) for task in model.tasks)),
        "primum": {
            "experiment": experiment,
            "model": model.name,
            "model_content": model.content,
            "perplexity": {part.name: part.perplexity for part in parts},
            "scores": {task.benchmark: task.provenance() for task in model.tasks},
        },
    }


def _group(name: str, group: Mapping[str, Any], tasks: Sequence[Task]) -> dict[str, Any]:
    """A group of tasks, as lm-eval's ``Group.aggregate`` has it."""
    values = [task_values(task) for task in tasks]
    sizes = [len({row["item"] for row in task.rows}) for task in tasks]
    mean = pooled(values, sizes) if group["weight_by_size"] else unweighted(values)
    counts = {key: sum(sizes) for key in mean if "_stderr," not in key}
    return {"name": name, "alias": group["title"] or name, **mean, "sample_len": sum(sizes), "sample_count": counts}


def _metrics(values: Mapping[str, Any]) -> list[str]:
    return [key.partition(",")[0] for key in values if "," in key and "_stderr," not in key]


def _config(part: _Part) -> dict[str, Any]:
    """The task's configuration: lm-eval's keys, and under ``metadata`` what the score was asked with."""
    task = part.task
    return {
        "task": part.name,
        "task_alias": task.title,
        "dataset_path": task.dataset,
        "output_type": "generate_until" if "exact_match,none" in part.values else "multiple_choice",
        "num_fewshot": task.shots,
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in _metrics(part.values)
        ],
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {"version": task.spec.get("version"), "dataset_revision": task.revision, "spec": dict(task.spec)},
    }


def _task_hash(part: _Part) -> str:
    return _sha256("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in part.samples))
