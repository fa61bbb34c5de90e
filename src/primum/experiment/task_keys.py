"""What task files of every kind have in common: which keys say something, a task's name and dataset, and its examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import Code

_READ = (
    *("include", "task", "task_alias", "dataset_path", "dataset_name", "output_type", "metric_list", "metadata"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot", "repeats"),
)
# They say nothing of what is asked: how tasks are grouped, where lm-eval finds data, what it decontaminates with.
_PASSED_OVER = ("tag", "group", "dataset_kwargs", "should_decontaminate", "doc_to_decontamination_query", "unsafe_code")
_SAMPLERS = {"first_n": "first_n", "default": "random"}
_LONGEST = 64  # characters of a name in the catalog


def check_keys(path: Path, task: Mapping[str, Any], own: Sequence[str]) -> None:
    """PrimumError for a key that is neither common to all tasks nor one of this kind's ``own``, and says something."""
    known = (*_READ, *own, *_PASSED_OVER)
    for key, value in task.items():
        if key not in known and value not in (None, False, ""):
            raise PrimumError(f"{path}: {key}: is not supported; supported keys: {', '.join(known)}")


def entry_of(path: Path, task: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """Keys of a ``Benchmark``: those that are ``kept`` as they are, the task's title and version, and its dataset."""
    metadata = task.get("metadata") or {}
    entry = {key: task[key] for key in kept if task.get(key) is not None}
    entry["title"] = str(task.get("task_alias") or task.get("task") or path.stem)
    entry["version"] = _version(path, metadata.get("version", 1))
    entry["macro"] = bool(metadata.get("macro", False))
    if task.get("dataset_path"):
        entry["dataset"] = _dataset(task, _split(task))
    return entry


def fewshot_of(path: Path, task: Mapping[str, Any], own: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of ``Fewshot``, and what else ``fewshot_config`` says: ``samples``, and keys that are this kind's ``own``.

    ``k`` is there where the file says it: 0 pins 0. PrimumError for another key, and for a sampler that is not supported.
    """
    config = dict(task.get("fewshot_config") or {})
    sampler, same_subject = config.pop("sampler", "default"), config.pop("same_subject", False)
    config.pop("split", None)
    found = {key: value for key in (*own, "samples") if (value := config.pop(key, None)) is not None}
    if config:
        only = ", ".join(("sampler", "split", *own, "samples"))
        raise PrimumError(f"{path}: fewshot_config.{next(iter(config))}: is not supported; only {only} are")
    if not isinstance(sampler, str) or sampler not in _SAMPLERS:
        raise PrimumError(f"{path}: fewshot_config.sampler: {named(sampler)!r} is none of {', '.join(_SAMPLERS)}")
    # Without a split of their own lm-eval takes examples from the training questions, or else from others.
    split = examples_split(task)
    source = split or task.get("training_split") or task.get("validation_split") or _split(task)
    fewshot: dict[str, Any] = {"sampler": _SAMPLERS[sampler], "own_split": split == task.get("test_split")}
    if task.get("num_fewshot") is not None:
        fewshot["k"] = task["num_fewshot"]
    if same_subject:
        fewshot["same_subject"] = True
    if task.get("dataset_path") and source:
        fewshot["dataset"] = _dataset(task, source)
    return fewshot, found


def examples_split(task: Mapping[str, Any]) -> Any:
    """The split that the file names for examples, if any."""
    return (task.get("fewshot_config") or {}).get("split") or task.get("fewshot_split")


def is_records(samples: object) -> bool:
    """Whether ``samples`` are a list of documents, and no function that gives them."""
    return isinstance(samples, list) and all(isinstance(each, dict) for each in samples)


def _split(task: Mapping[str, Any]) -> Any:
    return task.get("test_split") or task.get("validation_split")


def _version(path: Path, given: object) -> int:
    """The major number of 2, 2.1 or "2.1.0"."""
    number = re.match(r"[0-9]+", str(given))
    if number is None:
        raise PrimumError(f"{path}: metadata.version: must begin with a number, such as 1 or 1.0.2")
    return max(1, int(number[0]))


def named(value: Any) -> str:
    """A name as it is shown: of a function its own."""
    return str(value["function"] if isinstance(value, Code) else value)[:40]


def _dataset(task: Mapping[str, Any], split: object) -> str:
    """The catalog's name for a split of the task's dataset, or for all of it where the task names no split."""
    parts = [task.get("dataset_path"), task.get("dataset_name"), split]
    return shortened(re.sub(r"[^a-z0-9.]+", "-", "-".join(str(part) for part in parts if part).lower()).strip("-."))


def shortened(name: str) -> str:
    """A name that is too long for the catalog gets a hash of the whole in the place of what is cut, since ends differ."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
