"""Which functions of a module differ between two versions of it, of what counts for a result (:mod:`primum.artifact.code`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from primum.artifact.code import ModuleCode, read_module

_Key = tuple[str, str]
_Parts = dict[_Key, list[ast.stmt]]


def changed_parts(old: str, new: str) -> list[tuple[str, int]]:
    """(what changed, its line in ``new``, 0 where it is gone): ``function apply_mask changed``, ``constant LIMIT is gone``.

    A class is told by its methods. Empty where nothing that counts differs, or one of the two is not valid Python.
    """
    try:
        before, now = _parts(ast.parse(old).body), _parts(ast.parse(new).body)
    except SyntaxError:
        return []
    found = [
        key
        for key in dict.fromkeys([*now, *before])
        if list(map(_text, before.get(key, []))) != list(map(_text, now.get(key, [])))
    ]
    codes = {key: _code({**now, key: before.get(key, [])}) for key in found}
    today = _code(now)
    # Where the code is the same it is words that somebody reads, or annotations.
    counting = [key for key in found if codes[key].code != today.code] or [k for k in found if codes[k] != today]
    return [each for key in counting for each in _told(key, before.get(key, []), now.get(key, []))]


def _code(parts: _Parts) -> ModuleCode:
    statements = [statement for each in parts.values() for statement in each]
    return read_module(ast.parse(ast.unparse(ast.Module(body=statements, type_ignores=[]))))


def _parts(body: Sequence[ast.stmt]) -> _Parts:
    """The statements of a module or a class by kind and name, in the order of the first of each."""
    parts: _Parts = {}
    for statement in body:
        parts.setdefault(_key(statement), []).append(statement)
    return parts


def _key(statement: ast.stmt) -> _Key:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return "function", statement.name
    if isinstance(statement, ast.ClassDef):
        return "class", statement.name
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return "", "its imports"
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if isinstance(target, ast.Name):
            return "constant" if target.id.isupper() else "variable", target.id
    return "", "what it does when it is imported"


def _told(key: _Key, old: Sequence[ast.stmt], new: Sequence[ast.stmt]) -> Iterator[tuple[str, int]]:
    kind, name = key
    if kind == "class" and len(old) == len(new) == 1:
        yield from _methods(name, old[0], new[0])
        return
    how = "changed" if old and new else "is new" if new else "is gone"
    yield (f"{kind} {name} {how}" if kind else f"{name} changed", new[0].lineno if new else 0)


def _methods(name: str, old: ast.stmt, new: ast.stmt) -> Iterator[tuple[str, int]]:
    """The methods of a class that differ; the class itself where anything else does."""
    before, now = (_parts(each.body) if isinstance(each, ast.ClassDef) else {} for each in (old, new))
    others = False
    for key in dict.fromkeys([*now, *before]):
        was, has = before.get(key, []), now.get(key, [])
        if list(map(_text, was)) == list(map(_text, has)):
            continue
        if key[0] == "function":
            how = "changed" if was and has else "is new" if has else "is gone"
            yield f"method {name}.{key[1]} {how}", has[0].lineno if has else 0
        else:
            others = True
    if others or _text(old, header=True) != _text(new, header=True):
        yield f"class {name} changed", new.lineno


def _text(statement: ast.stmt, header: bool = False) -> str:
    """The statement without its docstrings; of a class the ``header`` alone: its bases and decorators."""
    if header and isinstance(statement, ast.ClassDef):
        return " ".join(
            map(ast.unparse, [*statement.decorator_list, *statement.bases, *(k.value for k in statement.keywords)])
        )
    copied = ast.parse(ast.unparse(statement))
    for node in ast.walk(copied):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(copied)
