"""Task files: a multiple-choice task of lm-evaluation-harness, in its own YAML, as keys of a ``Benchmark``.

The files that lm-eval ships load as they are; what cannot be scored here is refused with the key's name. Which dataset of
the catalog is meant follows from ``dataset_path``, ``dataset_name`` and the split, joined by dashes (``dataset_path: medqa``
and ``test_split: test`` are ``medqa-test``); a benchmark's own ``dataset`` goes before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import Code, read_task, version
from primum.experiment.text_tasks import text_task

_KEPT = (
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "process_docs",
    "process_results",
    "cluster",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "gen_prefix",
)
_READ = (
    *("include", "task", "task_alias", "dataset_path", "dataset_name", "output_type", "metric_list", "metadata"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot", "repeats"),
)
# They say nothing of what is asked: how tasks are grouped, where lm-eval finds data, what it decontaminates with, how long an
# answer that nobody writes may be.
_PASSED_OVER = (
    *("tag", "group", "dataset_kwargs", "should_decontaminate", "doc_to_decontamination_query", "unsafe_code"),
    "generation_kwargs",
)
_NORMALIZE = {"acc": "none", "acc_norm": "characters", "acc_bytes": "bytes"}
_SAMPLERS = {"first_n": "first_n", "default": "random"}
_LONGEST = 64  # characters of a name in the catalog


def task_path(name: str, root: Path) -> Path:
    """The file of a task given by name (``medqa``) or by its path in the project. PrimumError listing the names."""
    folder = root / "config" / "tasks"
    path = root / name if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise PrimumError(f"task {name!r}: no such task file; there are: {names}; or give a path of the project")
    return path


def load_task(path: Path) -> dict[str, Any]:
    """The file at ``path``, what it includes merged in, as keys of a ``Benchmark``.

    PrimumError on one line, naming the file and the key, for what is not supported: a group, another ``output_type``,
    several targets, a metric other than an accuracy or not its mean, or a key that nobody here knows.
    """
    task = read_task(path)
    if isinstance(task.get("task"), list):
        raise PrimumError(f"{path}: task: is a group: name its tasks as benchmarks, and give them a common part_of")
    if task.get("output_type") == "generate_until":
        return text_task(path, task, _dataset)
    known = (*_READ, *_KEPT, *_PASSED_OVER)
    for key, value in task.items():
        if key not in known and value not in (None, False, ""):
            raise PrimumError(f"{path}: {key}: is not supported; supported keys: {', '.join(known)}")
    if task.get("output_type", "multiple_choice") != "multiple_choice":
        raise PrimumError(f"{path}: output_type: only multiple_choice and generate_until are supported")
    if task.get("repeats", 1) != 1:
        raise PrimumError(f"{path}: repeats: log-likelihoods do not vary, so only 1 is supported")
    metadata = task.get("metadata") or {}
    entry = {key: task[key] for key in _KEPT if task.get(key) is not None}
    # A function is a mapping too, of its name and its source.
    if isinstance(entry.get("doc_to_choice"), dict) and not isinstance(entry["doc_to_choice"], Code):
        entry["doc_to_choice"] = list(entry["doc_to_choice"].values())
    if isinstance(entry.get("doc_to_target"), list):
        raise PrimumError(f"{path}: doc_to_target: a list of targets is not supported")
    if isinstance(entry.get("doc_to_text"), int):
        raise PrimumError(f"{path}: doc_to_text: a number, the same input for every question, is not supported")
    entry["title"] = str(task.get("task_alias") or task.get("task") or path.stem)
    entry["version"] = version(path, metadata.get("version", 1))
    entry["macro"] = bool(metadata.get("macro", False))
    entry["normalize"] = _normalize(path, task.get("metric_list"))
    split = task.get("test_split") or task.get("validation_split")
    if task.get("dataset_path"):
        entry["dataset"] = _dataset(task, split)
    fewshot = _fewshot(path, task, split)
    return {**entry, "fewshot": fewshot} if fewshot else entry


def _normalize(path: Path, metrics: Any) -> str:
    """That of the first accuracy: of acc and acc_norm a benchmark reports one, and no other metric beside it."""
    listed = [metric for metric in metrics or [{"metric": "acc"}] if isinstance(metric, dict)]
    found = next((metric for metric in listed if str(metric.get("metric")) in _NORMALIZE), None)
    if found is None:
        names = ", ".join(_named(metric.get("metric")) for metric in listed[:5]) or "none"
        raise PrimumError(f"{path}: metric_list: {names}: not supported; one of {', '.join(_NORMALIZE)} is needed")
    aggregation = found.get("aggregation")
    if aggregation not in (None, "mean"):
        raise PrimumError(
            f"{path}: metric_list: {found['metric']}: aggregation {_named(aggregation)} is not supported; only mean is"
        )
    return _NORMALIZE[str(found["metric"])]


def _named(value: Any) -> str:
    return str(value["function"] if isinstance(value, Code) else value)[:40]


def _dataset(task: Mapping[str, Any], split: object) -> str:
    """The catalog's name for a split of the task's dataset, or for all of it where the task names no split.

    Names that are too long differ at their ends, so that they get a hash of the whole in the place of what is cut.
    """
    parts = [task.get("dataset_path"), task.get("dataset_name"), split]
    name = re.sub(r"[^a-z0-9.]+", "-", "-".join(str(part) for part in parts if part).lower()).strip("-.")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _fewshot(path: Path, task: Mapping[str, Any], split: object) -> dict[str, Any]:
    config = dict(task.get("fewshot_config") or {})
    sampler, same_subject = config.pop("sampler", "default"), config.pop("same_subject", False)
    named = config.pop("split", None) or task.get("fewshot_split")
    samples = config.pop("samples", None)
    if config:
        raise PrimumError(
            f"{path}: fewshot_config.{next(iter(config))}: is not supported; only sampler, samples and split are"
        )
    if sampler not in _SAMPLERS:
        raise PrimumError(f"{path}: fewshot_config.sampler: {_named(sampler)!r} is none of {', '.join(_SAMPLERS)}")
    if samples is not None and not (isinstance(samples, list) and all(isinstance(each, dict) for each in samples)):
        raise PrimumError(f"{path}: fewshot_config.samples: is no list of documents; a function is not supported")
    # Without a split of their own lm-eval takes examples from the training questions, or else from others.
    source = named or task.get("training_split") or task.get("validation_split") or split
    fewshot: dict[str, Any] = {"sampler": _SAMPLERS[sampler], "own_split": named == task.get("test_split")}
    if task.get("num_fewshot") is not None:
        fewshot["k"] = task["num_fewshot"]
    if same_subject:
        fewshot["same_subject"] = True
    if samples and not named:
        fewshot["samples"] = samples
    elif task.get("dataset_path") and source:
        fewshot["dataset"] = _dataset(task, source)
    return fewshot
