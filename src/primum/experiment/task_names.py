"""Where the tasks, groups and tags lie that a group file names: in all files below a folder, as with lm-eval's include_path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from primum.errors import PrimumError

_KEYS = ("task", "group", "tag", "class")


class _Names(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader to which a function is nothing: only names are read."""


_Names.add_constructor("!function", lambda *_: None)


@dataclass(frozen=True, slots=True)
class TaskNames:
    """The files of each task and of each group by name, and the names of the tasks that have a tag."""

    folder: Path
    tasks: dict[str, list[Path]]
    groups: dict[str, list[Path]]
    tags: dict[str, set[str]]

    def file_of(self, name: str, path: Path) -> Path:
        """The file of a task or group, of several the nearest to ``path``. PrimumError where two are as near as each other."""
        found = self.groups.get(name) or self.tasks[name]
        by_distance = sorted(found, key=lambda file: (_distance(file, path), file))
        if len(found) > 1 and _distance(by_distance[0], path) == _distance(by_distance[1], path):
            raise PrimumError(
                f"{path}: task: {name!r} is the name of {by_distance[0]} and of {by_distance[1]}: rename one"
            )
        return by_distance[0]


def names_below(folder: Path) -> TaskNames:
    """All that files below ``folder`` name. A file that cannot be read, or is no task, names nothing."""
    names, cache = TaskNames(folder, {}, {}, {}), dict[Path, dict[str, Any]]()
    for path in sorted(folder.rglob("*.yaml")):
        if "__pycache__" in path.parts or ".ipynb_checkpoints" in path.parts:
            continue
        given = _named(path, cache, ())
        if isinstance(given.get("task"), list) and isinstance(given.get("group"), str):
            names.groups.setdefault(given["group"], []).append(path)
        elif isinstance(given.get("task"), str):
            names.tasks.setdefault(given["task"], []).append(path)
            tags = given.get("tag") or []
            for tag in [tags] if isinstance(tags, str) else tags:
                names.tags.setdefault(str(tag), set()).add(given["task"])
    return names


def _named(path: Path, cache: dict[Path, dict[str, Any]], seen: Sequence[Path]) -> dict[str, Any]:
    """What a file says of its name, with what it includes below it."""
    path = Path(os.path.normpath(path))
    if path in seen:
        return {}
    if path not in cache:
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Names)  # noqa: S506 - a safe loader
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            content = None
        content = content if isinstance(content, dict) else {}
        included = content.get("include") or []
        merged: dict[str, Any] = {}
        for name in included if isinstance(included, list) else [included]:
            merged |= _named(path.parent / str(name), cache, (*seen, path))
        cache[path] = {key: value for key, value in {**merged, **content}.items() if key in _KEYS}
    return cache[path]


def _distance(file: Path, path: Path) -> int:
    """How many folders above ``path`` the first one is that holds both."""
    return len(path.parent.parts) - len(Path(os.path.commonpath([file.parent, path.parent])).parts)
