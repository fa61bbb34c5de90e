"""Reading an experiment file and the catalogs it names, with one-line errors before any job starts."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from primum.errors import PrimumError
from primum.experiment.experiment import Experiment
from primum.experiment.tasks import load_task, task_path

CATALOG_SECTIONS = ("datasets", "mixtures", "preferences", "models", "benchmarks", "prompts", "judges")


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
    if not names:
        raise PrimumError(
            f"experiment {name!r}: no such experiment: looked in {folder.resolve()}, which has none; "
            "run it in the clone of primum, or give the path of a .yaml file"
        )
    raise PrimumError(f"experiment {name!r}: no such experiment; there are: {names}; or give the path of a .yaml file")


def load_experiment(name: str, root: Path) -> Experiment:
    """The experiment ``name`` (a name or a path) of the project at ``root``, its catalogs merged in, all checked.

    An entry of the experiment and one of a catalog may not have the same name. Raises PrimumError on one line.
    """
    path = experiment_path(name, root)
    content = read_yaml(path)
    catalogs = content.get("catalogs") or []
    if not isinstance(catalogs, list) or not all(isinstance(catalog, str) for catalog in catalogs):
        raise PrimumError(f"{path}: catalogs: expected a list of names, such as [demo-datasets]")
    for catalog in catalogs:
        file = root / "config" / "catalog" / f"{catalog}.yaml"
        for section, entries in read_yaml(file).items():
            if section not in CATALOG_SECTIONS:
                raise PrimumError(f"{file}: unknown section {section!r}; valid: {', '.join(CATALOG_SECTIONS)}")
            own = _entries(content, section, path)
            for key, entry in _entries({section: entries}, section, file).items():
                if key in own:
                    raise PrimumError(f"{path}: {section}.{key} is also in catalog {catalog!r}: rename one")
                own[key] = entry
    _merge_tasks(content, path, root)
    return validate(content, path)


def _merge_tasks(content: dict[str, Any], path: Path, root: Path) -> None:
    """Give every benchmark that names a task file what it does not say itself."""
    benchmarks = content["benchmarks"] if isinstance(content.get("benchmarks"), dict) else {}
    for name, entry in benchmarks.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("task"), str):
            continue
        try:
            task = load_task(task_path(entry["task"], root))
        except PrimumError as error:
            raise PrimumError(f"{path}: benchmarks.{name}: {error}") from None
        fewshot = entry.get("fewshot", {})
        if isinstance(fewshot, dict) and "fewshot" in task:
            fewshot = {**task["fewshot"], **fewshot}
        benchmarks[name] = {**task, **entry, "fewshot": fewshot}


def _entries(content: dict[str, Any], section: str, path: Path) -> dict[str, Any]:
    """The entries of a section, empty if it has none."""
    if content.get(section) is None:
        content[section] = {}
    if not isinstance(content[section], dict):
        raise PrimumError(f"{path}: {section}: expected names with their entries")
    entries: dict[str, Any] = content[section]
    return entries


def validate(content: dict[str, Any], path: Path) -> Experiment:
    """The typed experiment; the first thing that is wrong as a one-line PrimumError: file, key, what is wrong."""
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        tags = {"hub", "endpoint", "pretrain", "sft", "dpo"}
        inside_models = first["loc"][:1] == ("models",)
        where = ".".join(
            str(part) if str(part).isprintable() else repr(part)
            for index, part in enumerate(first["loc"])
            if not (inside_models and index == 2 and part in tags)
        )
        message = " ".join(first["msg"].removeprefix("Value error, ").split())
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise PrimumError(f"{path}: {where + ': ' if where else ''}{message}{more}") from None
