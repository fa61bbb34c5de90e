"""The digest of the code that a stage runs: its module and all of the package that it imports, directly or not.

Comments, formatting and docstrings are left out (the digest is over the syntax tree), so that they recompute nothing.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from primum.errors import PrimumError

PACKAGE = "primum"


def _source(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parse(path: Path, stamp: tuple[int, int]) -> tuple[str, frozenset[str]]:
    """The digest of one file's syntax tree, and the names that it may import from the package."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise PrimumError(f"{path}: line {error.lineno}: not valid Python: {error.msg}") from None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and body:
            first = body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = body[1:]
    dumped = ast.dump(tree, annotate_fields=False, include_attributes=False)
    own = frozenset(name for name in names if name == PACKAGE or name.startswith(f"{PACKAGE}."))
    return hashlib.sha256(dumped.encode()).hexdigest(), own


def imported_modules(module: str, root: Path) -> dict[str, Path]:
    """Every module of the package that ``module`` imports, itself included: name -> file. ``root`` holds the package.

    Imports inside functions count as well; packages count with their ``__init__``.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(root, name)
        if name in found or path is None:
            continue
        found[name] = path
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        waiting.extend(_parse(path, _stamp(path))[1])
    if module not in found:
        raise PrimumError(f"{module}: no such module under {root}")
    return found


def code_digest(module: str, root: Path) -> str:
    """The sha256 over the syntax trees of :func:`imported_modules`, by module name; also of the templates beside them."""
    state = hashlib.sha256()
    for name, path in sorted(imported_modules(module, root).items()):
        state.update(f"{name}={_parse(path, _stamp(path))[0]};".encode())
        if path.name == "__init__.py":
            for template in sorted(path.parent.glob("*.j2")):
                state.update(f"{name}/{template.name}={hashlib.sha256(template.read_bytes()).hexdigest()};".encode())
    return state.hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
