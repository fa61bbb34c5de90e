"""Task files: a multiple-choice task of lm-evaluation-harness, in its own YAML, as keys of a ``Benchmark``.

The files that lm-eval ships load as they are; what cannot be scored here is refused with the key's name. Of ``!function
module.name`` the source of ``module.py`` beside the file is read, never run: it runs when the benchmark is scored.
Which dataset of the catalog is meant follows from ``dataset_path``, ``dataset_name`` and the split, joined by dashes
(``dataset_path: medqa`` and ``test_split: test`` are ``medqa-test``); a benchmark's own ``dataset`` goes before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from primum.errors import PrimumError
from primum.experiment.text_tasks import text_task

_KEPT = (
    "doc_to_text",
    "doc_to_choice",
    "doc_to_target",
    "process_docs",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
)
_READ = (
    *("include", "task", "task_alias", "dataset_path", "dataset_name", "output_type", "metric_list", "metadata"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot", "repeats"),
)
# They say nothing of what is asked: how tasks are grouped, where lm-eval finds data, what it decontaminates with.
_PASSED_OVER = ("tag", "group", "dataset_kwargs", "should_decontaminate", "doc_to_decontamination_query", "unsafe_code")
_NORMALIZE = {"acc": "none", "acc_norm": "characters", "acc_bytes": "bytes"}
_SAMPLERS = {"first_n": "first_n", "default": "random"}


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
    targets or inputs, metrics other than accuracy, or a key that nobody here knows.
    """
    task = _read(path, ())
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
    if isinstance(entry.get("doc_to_choice"), dict):
        entry["doc_to_choice"] = list(entry["doc_to_choice"].values())
    if isinstance(entry.get("doc_to_target"), list):
        raise PrimumError(f"{path}: doc_to_target: a list of targets is not supported")
    if isinstance(entry.get("doc_to_text"), int):
        raise PrimumError(f"{path}: doc_to_text: a number, for tasks with several inputs, is not supported")
    entry["title"] = str(task.get("task_alias") or task.get("task") or path.stem)
    entry["version"] = max(1, int(float(metadata.get("version", 1))))
    entry["macro"] = bool(metadata.get("macro", False))
    entry["normalize"] = _normalize(path, task.get("metric_list"))
    split = task.get("test_split") or task.get("validation_split")
    if task.get("dataset_path"):
        entry["dataset"] = _dataset(task, split)
    fewshot = _fewshot(path, task, split)
    return {**entry, "fewshot": fewshot} if fewshot else entry


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The YAML at ``path``, with the files that it includes below its own keys."""
    if path in seen:
        raise PrimumError(f"{path}: include: includes itself")

    class Loader(yaml.SafeLoader):
        """Plain YAML, and functions as their names and sources."""

    Loader.add_constructor("!function", lambda _, node: _function(path, str(node.value)))
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506 - a safe loader
    except (OSError, UnicodeDecodeError):
        raise PrimumError(
            f"{path}: cannot be read as UTF-8 text: check the file, or the 'include' that names it"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise PrimumError(f"{path}: not valid YAML: correct it") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise PrimumError(f"{path}: expected keys and values at the top level")
    included = content.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        merged |= _read(path.parent / str(name), (*seen, path))
    return {**merged, **content}


def _function(path: Path, reference: str) -> dict[str, str]:
    module, _, name = reference.rpartition(".")
    file = path.parent / f"{module.replace('.', '/')}.py"
    if not module or not name or not file.is_file():
        raise PrimumError(f"{path}: !function {reference}: no file {file.name} with it beside the task")
    return {"function": reference, "source": file.read_text(encoding="utf-8")}


def _normalize(path: Path, metrics: Any) -> str:
    """That of the first metric: of acc and acc_norm a benchmark reports one."""
    named = [str(metric.get("metric")) for metric in metrics or [{"metric": "acc"}] if isinstance(metric, dict)]
    found = [_NORMALIZE[name] for name in named if name in _NORMALIZE]
    if not found:
        raise PrimumError(f"{path}: metric_list: has none of {', '.join(_NORMALIZE)}")
    return found[0]


def _dataset(task: Mapping[str, Any], split: object) -> str:
    """The catalog's name for a split of the task's dataset, or for all of it where the task names no split."""
    parts = [task.get("dataset_path"), task.get("dataset_name"), split]
    return re.sub(r"[^a-z0-9.]+", "-", "-".join(str(part) for part in parts if part).lower()).strip("-.")[:64]


def _fewshot(path: Path, task: Mapping[str, Any], split: object) -> dict[str, Any]:
    config = dict(task.get("fewshot_config") or {})
    sampler, same_subject = config.pop("sampler", "default"), config.pop("same_subject", False)
    source = config.pop("split", None) or task.get("fewshot_split")
    if config:
        raise PrimumError(f"{path}: fewshot_config.{next(iter(config))}: is not supported; only sampler and split are")
    if sampler not in _SAMPLERS:
        raise PrimumError(f"{path}: fewshot_config.sampler: {sampler!r} is none of {', '.join(_SAMPLERS)}")
    # Without a split of their own lm-eval takes examples from the training questions, or else from others.
    source = source or task.get("training_split") or task.get("validation_split") or split
    fewshot: dict[str, Any] = {"k": task.get("num_fewshot") or 0, "sampler": _SAMPLERS[sampler]}
    if same_subject:
        fewshot["same_subject"] = True
    if task.get("dataset_path") and source:
        fewshot["dataset"] = _dataset(task, source)
    return fewshot
