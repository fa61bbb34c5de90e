"""How a task file is read: its YAML with what it includes, and of every ``!function`` the source that it stands for.

The source of ``module.py`` beside the file is read here, and never run. A module that looks for files beside itself (by
``__file__``) brings those that it names, so that all that decides a score is part of the spec.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from primum.errors import PrimumError

# How far above a module's folder the files lie that it may name: the hub's tasks go one up.
_FOLDERS = ("", "../", "../../")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the quick one, where PyYAML was built with it


class Code(dict[str, Any]):
    """A function as its name, its source, and the files that it reads by their place: told apart from a mapping of choices."""


def read_task(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The YAML at ``path``, with the files that it includes below its own keys, and functions as ``Code``.

    PrimumError on one line, naming the file, when one of them cannot be read, is no mapping, or includes itself.
    """
    if path in seen:
        raise PrimumError(f"{path}: include: includes itself")

    loader: Any = type("Loader", (_LOADER,), {})  # its own, since the constructors are a class's
    loader.add_constructor("!function", lambda _, node: _code(path, str(node.value)))
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader
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
        merged |= read_task(path.parent / str(name), (*seen, path))
    return {**merged, **content}


def _code(path: Path, reference: str) -> Code:
    module, _, name = reference.rpartition(".")
    file = path.parent / f"{module.replace('.', '/')}.py"
    if not module or not name or not file.is_file():
        raise PrimumError(f"{path}: !function {reference}: no file {file.name} with it beside the task")
    try:
        source = file.read_text(encoding="utf-8")
        files = dict(_files(file, source))
    except (OSError, UnicodeDecodeError):
        raise PrimumError(f"{path}: !function {reference}: {file.name} cannot be read as UTF-8 text") from None
    except (SyntaxError, ValueError):
        raise PrimumError(f"{path}: !function {reference}: {file.name} is not valid Python: correct it") from None
    code = Code(function=reference, source=source)
    return Code(**code, files=files) if files else code


def _files(module: Path, source: str) -> Iterator[tuple[str, str]]:
    """Where ``source`` says ``__file__``: the files that its texts name, by their place seen from its folder, and their text."""
    if "__file__" not in source:
        return
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    names = sorted(text for text in texts if isinstance(text, str) and "." in text.strip(".") and "\n" not in text)
    for place in (f"{folder}{name}" for name in names if not name.startswith("/") for folder in _FOLDERS):
        if len(place) < 200 and (module.parent / place).is_file():
            yield place, (module.parent / place).read_text(encoding="utf-8")


def imported(source: str) -> set[str]:
    """The packages that a function's source imports, by their top names (``lm_eval``), the standard library's too."""
    found: set[str] = set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return found  # whoever runs it is told
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
