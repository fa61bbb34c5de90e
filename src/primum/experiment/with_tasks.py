"""Benchmarks that name a task file, with what it says; one that names a group file becomes the benchmarks of its tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from primum.errors import PrimumError
from primum.experiment.document import Document
from primum.experiment.task_groups import Unfolded, unfold
from primum.experiment.task_names import TaskNames, names_below
from primum.experiment.tasks import is_group, load_task, task_path

# What a group has none of, since each of its tasks has its own.
_OF_ONE = ("dataset", "part_of")


def with_tasks(document: Document, root: Path) -> Document:
    """``document`` with what task files say where a benchmark says nothing itself, and groups as their benchmarks.

    ``groups`` then has their rows, and ``evaluate`` their benchmarks where it names a group. PrimumError on one line, naming
    the benchmark and the file.
    """
    given = document.content.get("benchmarks")
    if not isinstance(given, dict):
        return document
    names = cache(names_below)  # read when the first group is met
    benchmarks: dict[str, Any] = {}
    unfolded: dict[str, Unfolded] = {}
    for name, entry in given.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("task"), str):
            benchmarks[name] = entry
            continue
        where = f"benchmarks.{name}"
        try:
            path = task_path(entry["task"], root)
            if not is_group(path):
                benchmarks[name] = _merged(document, name, load_task(path), entry)
                continue
            unfolded[name] = unfold(name, path, _names(path, root, names))
        except PrimumError as error:
            raise PrimumError(f"{document.file_of(where)}: {where}: {error}") from None
        benchmarks |= _members(document, name, entry, unfolded[name], root, {**given, **benchmarks})
    return _with_groups(document, benchmarks, unfolded)


def _names(path: Path, root: Path, names: Callable[[Path], TaskNames]) -> TaskNames:
    """What there is to name: all of the project's tasks, or what lies beside a group that is not among them."""
    folder = root / "config" / "tasks"
    return names(folder if path.is_relative_to(folder) else path.parent)


def _members(
    document: Document, name: str, entry: dict[str, Any], group: Unfolded, root: Path, others: dict[str, Any]
) -> dict[str, Any]:
    """The benchmarks of a group: what the entry says is said of each."""
    where = f"benchmarks.{name}"
    if key := next((key for key in _OF_ONE if key in entry), None):
        raise PrimumError(
            f"{document.file_of(where)}: {where}.{key}: {name!r} is a group, whose tasks have their own: leave it out"
        )
    if taken := sorted(group.benchmarks.keys() & others.keys()):
        raise PrimumError(f"{document.file_of(where)}: {where}: its task {taken[0]!r} is a benchmark, too: rename one")
    own = {key: value for key, value in entry.items() if key != "title"}
    made = {}
    for member, keys in group.benchmarks.items():
        file = group.files[member]
        made[member] = {
            **_merged(document, name, keys, own),
            "task": (file.relative_to(root) if file.is_relative_to(root) else file).as_posix(),
        }
    return made


def _with_groups(document: Document, benchmarks: dict[str, Any], unfolded: dict[str, Unfolded]) -> Document:
    content = {**document.content, "benchmarks": benchmarks}
    groups = dict(content["groups"]) if isinstance(content.get("groups"), dict) else content.get("groups") or {}
    for name, group in unfolded.items():
        for row, each in group.rows.items():
            if row in groups:
                where = f"groups.{row}"
                raise PrimumError(f"{document.file_of(where)}: {where}: is also in benchmarks.{name}: rename one")
            title = document.content["benchmarks"][name].get("title") if row == name else None
            groups[row] = {
                "title": title or each.title,
                "benchmarks": list(each.benchmarks),
                "weight_by_size": each.weight_by_size,
            }
    if groups:
        content["groups"] = groups
    # A group without a row of its own stands for its benchmarks, too.
    members = {name: list(group.benchmarks) for name, group in unfolded.items()}
    if isinstance(groups, dict):
        members |= {
            name: each["benchmarks"]
            for name, each in groups.items()
            if isinstance(each, dict) and isinstance(each.get("benchmarks"), list)
        }
    evaluate = content.get("evaluate")
    if isinstance(evaluate, dict) and isinstance(evaluate.get("benchmarks"), list):
        named = [each for name in evaluate["benchmarks"] for each in members.get(str(name), [name])]
        content["evaluate"] = {**evaluate, "benchmarks": list(dict.fromkeys(named))}
    file = {name: document.file_of(f"benchmarks.{name}") for name in unfolded}
    places = {f"benchmarks.{each}": file[name] for name, group in unfolded.items() for each in group.benchmarks}
    places |= {f"groups.{row}": file[name] for name, group in unfolded.items() for row in group.rows}
    grids = dict(document.grids)
    if unfolded:
        grids["benchmarks"] = {
            **grids.get("benchmarks", {}),
            **{name: tuple(group.benchmarks) for name, group in unfolded.items()},
        }
    return replace(document, content=content, places={**document.places, **places}, grids=grids)


def _merged(document: Document, name: str, task: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """What a benchmark says, over what its task file says."""
    merged = {**task, **entry, "fewshot": _merged_fewshot(document, name, task, entry.get("fewshot", {}))}
    own = entry.get("generate_until")
    if isinstance(own, dict) and "generate_until" in task:
        merged["generate_until"] = {**task["generate_until"], **own}
    return merged


def _merged_fewshot(document: Document, name: str, task: dict[str, Any], fewshot: Any) -> Any:
    """What a benchmark says of its examples, over what its task file says."""
    given = task.get("fewshot", {})
    if not isinstance(fewshot, dict):
        return fewshot
    if given.get("k") == 0 and fewshot.get("k"):
        where = f"benchmarks.{name}.fewshot.k"
        raise PrimumError(
            f"{document.file_of(where)}: {where}: the task's num_fewshot is 0, which pins it, in lm-eval too: leave k out"
        )
    if "dataset" in fewshot:
        given = {key: value for key, value in given.items() if key != "samples"}
    return {**given, **fewshot}
