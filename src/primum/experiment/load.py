"""Reading an experiment file and the catalogs it names, with one-line errors before any job starts."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from primum.errors import PrimumError
from primum.experiment.document import Document, places_of
from primum.experiment.experiment import Experiment
from primum.experiment.extends import BASES, extended
from primum.experiment.grid import SECTIONS, expand
from primum.experiment.with_tasks import with_tasks
from primum.hub.lock import GIT, UNKNOWN_REVISION, Lock, read_lock


class _UniqueKeys(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader that refuses a key given twice, which YAML would silently let win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # "<<": what it brings in gives way to the mapping's own keys
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise PrimumError(f"line {key_node.start_mark.line + 1}: a key that is no plain value: quote it")
            if key in seen:
                raise PrimumError(f"line {key_node.start_mark.line + 1}: key {key!r} is given twice: remove one")
            seen.add(key)
        result: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return result


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a dictionary. PrimumError naming file and line for bad YAML, duplicate keys, or another type."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a safe loader
    except FileNotFoundError:
        raise PrimumError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError):
        raise PrimumError(f"{path}: cannot be read as UTF-8 text: check the file") from None
    except PrimumError as error:
        raise PrimumError(f"{path}: {error}") from None
    except (RecursionError, ValueError):  # nesting beyond measure; a date such as 2024-99-99
        raise PrimumError(f"{path}: not valid YAML: nested too deeply, or a value that is no date: quote it") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise PrimumError(f"{path}:{line} not valid YAML: {getattr(error, 'problem', 'syntax error')}") from None
    if not isinstance(content, dict):
        raise PrimumError(f"{path}: expected keys and values at the top level")
    return content


def experiment_path(name: str, root: Path) -> Path:
    """The file of an experiment given by name (``demo``) or by path. PrimumError listing the names there are."""
    folder = root / "config" / "experiments"
    for candidate in (Path(name), folder / f"{name}.yaml"):
        if candidate.suffix in (".yaml", ".yml") and candidate.is_file():
            return candidate
    names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise PrimumError(f"experiment {name!r}: no such experiment; there are: {names}; or give the path of a .yaml file")


def load_experiment(name: str, root: Path) -> Experiment:
    """The experiment ``name`` (a name or a path) of the project at ``root``, its catalogs merged in, all checked.

    An entry of the experiment and one of a catalog may not have the same name. Raises PrimumError on one line.
    """
    return validate(read_experiment(name, root))


def read_experiment(name: str, root: Path, locked: bool = True) -> Document:
    """What :func:`load_experiment` checks: the file, what it extends, catalogs and task files, with grids as their entries.

    An unknown revision is the lock's, where it has the repository and ``locked`` does not forbid it.
    """
    path = experiment_path(name, root)
    if path.resolve().parent == (root / BASES).resolve():
        raise PrimumError(
            f"{path}: is a base, and not run itself: write an experiment that says 'extends: {path.stem}'"
        )
    document = with_tasks(expand(_with_catalogs(extended(path, root, read_yaml), root)), root)
    if locked:
        _pin(document, root)
    return document


def _with_catalogs(document: Document, root: Path) -> Document:
    content, places = dict(document.content), dict(document.places)
    catalogs = content.get("catalogs") or []
    if not isinstance(catalogs, list) or not all(isinstance(catalog, str) for catalog in catalogs):
        file = document.file_of("catalogs")
        raise PrimumError(f"{file}: catalogs: expected a list of names, such as [demo-datasets]")
    for catalog in catalogs:
        file = root / "config" / "catalog" / f"{catalog}.yaml"
        for section, entries in read_yaml(file).items():
            if section not in SECTIONS:
                raise PrimumError(f"{file}: unknown section {section!r}; valid: {', '.join(SECTIONS)}")
            content[section] = own = dict(_entries(content, section, document.file_of(section)))
            for key, entry in _entries({section: entries}, section, file).items():
                where = f"{section}.{key}"
                if key in own:
                    raise PrimumError(f"{document.file_of(where)}: {where} is also in catalog {catalog!r}: rename one")
                own[key] = entry
                places |= {where: file, **places_of({where: entry}, file)}
    return replace(document, content=content, places=places)


def _pin(document: Document, root: Path) -> None:
    """Give every entry of a repository whose revision is unknown the commit that the lock has of its repository."""
    lock = read_lock(root)
    for section in ("datasets", "models"):
        entries = document.content.get(section)
        if not isinstance(entries, dict):
            continue
        for name, entry in entries.items():
            entries[name] = pinned = _pinned(entry, lock, section.removesuffix("s"))
            if isinstance(pinned, dict) and isinstance(pinned.get("files"), list):
                entries[name] = {**pinned, "files": [_pinned(file, lock, "dataset") for file in pinned["files"]]}


def _pinned(entry: Any, lock: Lock, kind: str) -> Any:
    """What names a repository, with the lock's revision if it gives none."""
    if not isinstance(entry, dict) or entry.get("revision") != UNKNOWN_REVISION:
        return entry
    key = (GIT, str(entry[GIT])) if entry.get(GIT) is not None else (kind, str(entry.get("hub")))
    found = lock.get(key)
    return entry if found is None else {**entry, "revision": found.commit}


def _entries(content: dict[str, Any], section: str, path: Path) -> dict[str, Any]:
    """The entries of a section, empty if it has none."""
    if content.get(section) is None:
        content[section] = {}
    if not isinstance(content[section], dict):
        raise PrimumError(f"{path}: {section}: expected names with their entries")
    entries: dict[str, Any] = content[section]
    return entries


def validate(document: Document) -> Experiment:
    """The typed experiment; the first thing that is wrong as a one-line PrimumError: file, key, what is wrong."""
    try:
        return Experiment.model_validate(document.content)
    except ValidationError as error:
        # A misspelt key comes before what is missing for want of it.
        errors = error.errors(include_url=False, include_context=False)
        first = next((each for each in errors if each["type"] != "missing"), errors[0])
        tags = {
            "models": {"hub", "endpoint", "pretrain", "sft", "dpo"},
            "preferences": {"read", "sampled", "demonstrated"},
        }.get(str(first["loc"][0]) if first["loc"] else "", set())
        where = ".".join(
            str(part) if str(part).isprintable() else repr(part)
            for index, part in enumerate(first["loc"])
            if not (index == 2 and part in tags)
        )
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        # A wrong reference says itself where it is; an unknown key stands in the file that gives it.
        place = where or message.partition(": ")[0]
        if unknown := re.match(r"unknown key '([^']*)'", message):
            place = f"{where}.{unknown[1]}".removeprefix(".")
        grid = document.grid_of(place)
        made = f" (an entry of {grid})" if grid else ""
        raise PrimumError(f"{document.file_of(place)}: {where + ': ' if where else ''}{message}{made}{more}") from None
