"""Task files: a multiple-choice task of lm-evaluation-harness, in its own YAML, as keys of a ``Benchmark``.

The files that lm-eval ships load as they are; what cannot be scored here is refused with the key's name. Which dataset of
the catalog is meant follows from ``dataset_path``, ``dataset_name`` and the split, joined by dashes (``dataset_path: medqa``
and ``test_split: test`` are ``medqa-test``); a benchmark's own ``dataset`` goes before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import Code, read_task
from primum.experiment.task_keys import check_keys, entry_of, examples_split, fewshot_of, is_records, named
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
# How long an answer that nobody writes may be says nothing of what is asked.
_PASSED_OVER = ("generation_kwargs",)
# What lm-eval takes of a file without metrics.
_UNSAID = ({"metric": "acc"}, {"metric": "acc_norm"})
_NORMALIZE = {"acc": "none", "acc_norm": "characters", "acc_bytes": "bytes"}


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

    PrimumError on one line, naming the file and the key, for what is not supported: another ``output_type``, several
    targets, a metric other than an accuracy or not its mean, or a key that nobody here knows. A group is no benchmark of its
    own, and read by :mod:`primum.experiment.task_groups`.
    """
    task = read_task(path)
    if isinstance(task.get("task"), list):
        raise PrimumError(f"{path}: task: is a group of tasks: it is no benchmark of its own")
    return benchmark_keys(path, task)


def is_group(path: Path) -> bool:
    """Whether a task file names other tasks. PrimumError where it cannot be read."""
    return isinstance(read_task(path).get("task"), list)


def benchmark_keys(path: Path, task: Mapping[str, Any], metric: str = "") -> dict[str, Any]:
    """What the file at ``path`` says, ``task``, as keys of a ``Benchmark`` that reports ``metric``, or the first that it may.

    PrimumError as in :func:`load_task`.
    """
    if task.get("output_type") == "generate_until":
        return text_task(path, task)
    check_keys(path, task, (*_KEPT, *_PASSED_OVER))
    if task.get("output_type", "multiple_choice") != "multiple_choice":
        raise PrimumError(f"{path}: output_type: only multiple_choice and generate_until are supported")
    if task.get("repeats", 1) != 1:
        raise PrimumError(f"{path}: repeats: log-likelihoods do not vary, so only 1 is supported")
    entry = entry_of(path, task, _KEPT)
    # A function is a mapping too, of its name and its source.
    if isinstance(entry.get("doc_to_choice"), dict) and not isinstance(entry["doc_to_choice"], Code):
        entry["doc_to_choice"] = list(entry["doc_to_choice"].values())
    if isinstance(entry.get("doc_to_target"), list):
        raise PrimumError(f"{path}: doc_to_target: a list of targets is not supported")
    if isinstance(entry.get("doc_to_text"), int):
        raise PrimumError(f"{path}: doc_to_text: a number, the same input for every question, is not supported")
    entry["normalize"] = _normalize(path, task.get("metric_list"), metric)
    fewshot, own = fewshot_of(path, task)
    samples = own.get("samples")
    if samples is not None and not is_records(samples):
        raise PrimumError(f"{path}: fewshot_config.samples: is no list of documents; a function is not supported")
    if samples and not examples_split(task):
        fewshot = {key: value for key, value in fewshot.items() if key != "dataset"} | {"samples": samples}
    return {**entry, "fewshot": fewshot}


def reported(task: Mapping[str, Any]) -> list[str]:
    """The metrics that a task can report here, one at a time, by lm-eval's names and in the file's order."""
    if task.get("output_type") == "generate_until":
        return ["exact_match"]
    listed = [str(metric.get("metric")) for metric in task.get("metric_list") or _UNSAID if isinstance(metric, dict)]
    return [metric for metric in listed if metric in _NORMALIZE]


def _normalize(path: Path, metrics: Any, wanted: str) -> str:
    """That of the ``wanted`` accuracy, or the first: of acc and acc_norm a benchmark reports one, and no other metric."""
    listed = [metric for metric in metrics or _UNSAID if isinstance(metric, dict)]
    may = [wanted] if wanted else list(_NORMALIZE)
    found = next((metric for metric in listed if str(metric.get("metric")) in may), None)
    if found is None:
        names = ", ".join(named(metric.get("metric")) for metric in listed[:5]) or "none"
        raise PrimumError(f"{path}: metric_list: {names}: not supported; one of {', '.join(_NORMALIZE)} is needed")
    aggregation = found.get("aggregation")
    if aggregation not in (None, "mean"):
        raise PrimumError(
            f"{path}: metric_list: {found['metric']}: aggregation {named(aggregation)} is not supported; only mean is"
        )
    return _NORMALIZE[str(found["metric"])]
