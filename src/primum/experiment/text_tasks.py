"""lm-eval's ``generate_until`` tasks, in their own YAML, as keys of a ``Benchmark``. What is not supported is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_files import version

_KEPT = (
    *("doc_to_text", "doc_to_choice", "doc_to_target", "process_docs", "description"),
    *("target_delimiter", "fewshot_delimiter"),
)
_READ = (
    *("task", "task_alias", "dataset_path", "dataset_name", "output_type", "metric_list", "metadata", "filter_list"),
    *("training_split", "validation_split", "test_split", "fewshot_split", "fewshot_config", "num_fewshot", "repeats"),
    "generation_kwargs",
)
_PASSED_OVER = ("tag", "group", "dataset_kwargs", "should_decontaminate", "doc_to_decontamination_query", "unsafe_code")
# Of drawing at temperature 0, and of beams, which are one where nothing is said.
_DRAWN = {"do_sample", "temperature", "top_p", "until", "max_gen_toks", "max_new_tokens", "max_tokens"}
_FILTERS: Mapping[str, frozenset[str] | set[str]] = {
    "regex": {"regex_pattern", "group_select", "fallback"},
    "multi_choice_regex": {
        *("regex_pattern", "group_select", "fallback", "ignore_case", "ignore_punctuation", "regexes_to_ignore"),
    },
    "map": {"mapping_dict", "default_value"},
    "take_first_k": {"k"},
    **dict.fromkeys(("take_first", "majority_vote", "remove_whitespace", "lowercase", "uppercase"), frozenset()),
}
_MATCH = ("ignore_case", "ignore_punctuation", "ignore_numbers", "regexes_to_ignore")
_FLAGS = ("ignore_case", "ignore_punctuation", "ignore_numbers")
_ABOUT_A_METRIC = ("metric", "aggregation", "higher_is_better")
_SAMPLERS = {"first_n": "first_n", "default": "random"}


def text_task(
    path: Path, task: Mapping[str, Any], dataset: Callable[[Mapping[str, Any], object], str]
) -> dict[str, Any]:
    """The task of the file at ``path`` as keys of a ``Benchmark``; ``dataset`` names that of a split in the catalog.

    ``exact_match`` is the metric that is reported, whatever others the file has beside it. PrimumError on one line, naming the
    file and the key, filter or metric that is not supported.
    """
    known = (*_READ, *_KEPT, *_PASSED_OVER)
    for key, value in task.items():
        if key not in known and value not in (None, False, ""):
            raise PrimumError(f"{path}: {key}: is not supported; supported keys: {', '.join(known)}")
    metadata = task.get("metadata") or {}
    entry = {key: task[key] for key in _KEPT if task.get(key) is not None}
    entry["title"] = str(task.get("task_alias") or task.get("task") or path.stem)
    entry["version"] = version(path, metadata.get("version", 1))
    entry["macro"] = bool(metadata.get("macro", False))
    split = task.get("test_split") or task.get("validation_split")
    if task.get("dataset_path"):
        entry["dataset"] = dataset(task, split)
    fewshot, examples = _fewshot(path, task, split, dataset)
    entry["generate_until"] = {
        **_drawing(path, task),
        "target_is_choice": "doc_to_choice" in entry,
        "filters": [_pipeline(path, each) for each in task.get("filter_list") or ()],
        "exact_match": _exact_match(path, task.get("metric_list") or ()),
        "examples": examples,
    }
    return {**entry, "fewshot": fewshot}


def _drawing(path: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(task.get("generation_kwargs") or {})
    for key, value in given.items():
        if key not in _DRAWN and not (key == "num_beams" and value == 1):
            raise PrimumError(
                f"{path}: generation_kwargs.{key}: is not supported; supported are: {', '.join(sorted(_DRAWN))}"
            )
    until = given.get("until", [task.get("fewshot_delimiter", "\n\n")])
    drawn: dict[str, Any] = {"until": [until] if isinstance(until, str) else [end for end in until or () if end]}
    if most := next((given[key] for key in ("max_gen_toks", "max_new_tokens", "max_tokens") if given.get(key)), None):
        drawn["max_gen_toks"] = most
    if given.get("do_sample") and given.get("temperature"):
        drawn |= {"temperature": float(given["temperature"]), "top_p": float(given.get("top_p") or 1.0)}
    return {**drawn, "repeats": task.get("repeats") or 1}


def _pipeline(path: Path, given: Any) -> dict[str, Any]:
    """A pipeline as it is. One that goes on behind ``take_first`` would read an answer letter by letter, and is refused."""
    name, steps = str(given.get("name")), given.get("filter") or []
    where = f"{path}: filter_list.{name}"
    functions = [step.get("function") for step in steps]
    for step, function in zip(steps, functions, strict=True):
        if not isinstance(function, str) or function not in _FILTERS:
            shown = function.get("function") if isinstance(function, Mapping) else function
            raise PrimumError(f"{where}: filter {shown}: is not supported; supported are: {', '.join(_FILTERS)}")
        if unknown := set(step) - {"function"} - _FILTERS[function]:
            raise PrimumError(f"{where}: {function}.{min(unknown)}: is not supported")
        _check_patterns(where, step)
    if functions.count("take_first") != 1 or functions[-1] != "take_first":
        raise PrimumError(f"{where}: needs take_first, once and as the last filter")
    return {"name": name, "filter": list(steps)}


def _check_patterns(where: str, step: Mapping[str, Any]) -> None:
    for pattern in (step.get("regex_pattern"), *(step.get("regexes_to_ignore") or ())):
        try:
            re.compile(pattern or "")
        except re.error:
            raise PrimumError(f"{where}: a pattern is no regular expression: correct it") from None


def _exact_match(path: Path, metrics: Any) -> dict[str, Any]:
    found = [each for each in metrics if isinstance(each, dict) and each.get("metric") == "exact_match"]
    if not found:
        names = ", ".join(_metric_name(each) for each in metrics) or "none"
        raise PrimumError(f"{path}: metric_list: {names}: is not supported; only exact_match is")
    metric = found[0]
    if metric.get("aggregation", "mean") != "mean":
        raise PrimumError(f"{path}: metric_list.exact_match.aggregation: only mean is supported")
    for key in metric:
        if key not in (*_MATCH, *_ABOUT_A_METRIC):
            raise PrimumError(
                f"{path}: metric_list.exact_match.{key}: is not supported; supported are: {', '.join(_MATCH)}"
            )
        if key in _FLAGS and not isinstance(metric[key], bool):
            raise PrimumError(f"{path}: metric_list.exact_match.{key}: is neither true nor false: correct it")
    _check_patterns(f"{path}: metric_list", metric)
    return {key: metric[key] for key in _MATCH if metric.get(key) is not None}


def _metric_name(given: Any) -> str:
    name = given.get("metric") if isinstance(given, dict) else given
    return str(name.get("function") if isinstance(name, Mapping) else name)


def _fewshot(
    path: Path, task: Mapping[str, Any], split: object, dataset: Callable[[Mapping[str, Any], object], str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of ``Fewshot``, and how examples are written (``Shown``)."""
    config = dict(task.get("fewshot_config") or {})
    sampler, same_subject = config.pop("sampler", "default"), config.pop("same_subject", False)
    source = config.pop("split", None) or task.get("fewshot_split")
    shown = {key: config.pop(key) for key in ("doc_to_text", "doc_to_target", "samples") if config.get(key) is not None}
    if config:
        raise PrimumError(f"{path}: fewshot_config.{next(iter(config))}: is not supported")
    if sampler not in _SAMPLERS:
        raise PrimumError(f"{path}: fewshot_config.sampler: {sampler!r} is none of {', '.join(_SAMPLERS)}")
    if not isinstance(shown.get("samples", []), list) or not all(isinstance(e, dict) for e in shown.get("samples", [])):
        raise PrimumError(f"{path}: fewshot_config.samples: only a list of records is supported")
    source = source or task.get("training_split") or task.get("validation_split") or split
    fewshot: dict[str, Any] = {"k": task.get("num_fewshot") or 0, "sampler": _SAMPLERS[sampler]}
    if same_subject:
        fewshot["same_subject"] = True
    if task.get("dataset_path") and source:
        fewshot["dataset"] = dataset(task, source)
    return fewshot, shown
