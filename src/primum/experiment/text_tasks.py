"""lm-eval's ``generate_until`` tasks, in their own YAML, as keys of a ``Benchmark``. What is not supported is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.task_keys import check_keys, entry_of, fewshot_of, is_records

_KEPT = (
    *("doc_to_text", "doc_to_choice", "doc_to_target", "process_docs", "description"),
    *("target_delimiter", "fewshot_delimiter"),
)
_READ = ("filter_list", "generation_kwargs")
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


def text_task(path: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """The task of the file at ``path`` as keys of a ``Benchmark``.

    ``exact_match`` is the metric that is reported, whatever others the file has beside it. PrimumError on one line, naming the
    file and the key, filter or metric that is not supported.
    """
    check_keys(path, task, (*_READ, *_KEPT))
    entry = entry_of(path, task, _KEPT)
    fewshot, examples = fewshot_of(path, task, ("doc_to_text", "doc_to_target"))
    if not is_records(examples.get("samples", [])):
        raise PrimumError(f"{path}: fewshot_config.samples: only a list of records is supported")
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
