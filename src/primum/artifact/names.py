"""What the names of a module stand for, as far as its syntax tree alone can tell."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterable, Iterator

# Builtins that have no effect, go through no iterator, and keep nothing of what they are given.
_PURE = frozenset({"len", "str", "repr", "type", "isinstance", "int", "float", "bool", "round", "abs", "format"})
_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.MatchAs | ast.MatchStar
_BINDING = ast.Name | ast.arg | ast.alias | ast.MatchMapping | _NAMED


class Names:
    """The names of ``tree``. One that is bound twice, anywhere in the module, stands for nothing that is known.

    ``nodes`` are all nodes of the tree but for contexts, ``spelled`` all names that they spell.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.nodes = _nodes(tree)
        self._bound = Counter(name for node in self.nodes if isinstance(node, _BINDING) for name in bound(node))
        self.spelled = spelled(self.nodes)
        self._imported: dict[str, str] = {}
        self._loggers: set[str] = set()
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self._imported.update(
                    {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
                )
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self._imported[name] = alias.name if alias.asname else name
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and self.is_logger(statement.value):
                self._loggers.update(
                    t.id for t in statement.targets if isinstance(t, ast.Name) and self.is_bound_once(t.id)
                )

    def is_bound_once(self, name: str) -> bool:
        return self._bound[name] == 1

    def path(self, node: ast.AST) -> str | None:
        """``warnings.warn``, ``primum.errors.PrimumError``, ``builtins.len``: None where that cannot be told."""
        if isinstance(node, ast.Attribute):
            base = self.path(node.value)
            return f"{base}.{node.attr}" if base else None
        if isinstance(node, ast.Name):
            if self.is_bound_once(node.id):
                return self._imported.get(node.id)
            if not self._bound[node.id] and hasattr(builtins, node.id):
                return f"builtins.{node.id}"
        return None

    def is_logger(self, node: ast.AST) -> bool:
        """Whether this is the module ``logging``, ``logging.getLogger(...)``, or a name of the module for the latter."""
        if isinstance(node, ast.Call):
            return self.path(node.func) == "logging.getLogger"
        return self.path(node) == "logging" or (isinstance(node, ast.Name) and node.id in self._loggers)

    def is_pure(self, call: ast.Call) -> bool:
        """Whether the call, its arguments apart, has no effect, exhausts no iterator and keeps nothing."""
        path = self.path(call.func) or ""
        plain = not call.keywords and not any(isinstance(each, ast.Starred) for each in call.args)
        return plain and path.removeprefix("builtins.") in _PURE and path.startswith("builtins.")

    def read_attribute(self, node: ast.AST) -> tuple[ast.expr, str] | None:
        """(of what, name) of ``value.name`` and ``getattr(value, "name", default)``."""
        if isinstance(node, ast.Attribute):
            return node.value, node.attr
        if isinstance(node, ast.Call) and self.path(node.func) == "builtins.getattr" and len(node.args) in (2, 3):
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and not node.keywords:
                return node.args[0], name.value
        return None


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """As ``ast.walk``, faster, and without the contexts of names (``Load`` and the like)."""
    nodes = [tree]
    for node in nodes:
        for field in node._fields:
            value = getattr(node, field, None) if field != "ctx" else None
            if isinstance(value, ast.AST):
                nodes.append(value)
            elif isinstance(value, list):
                nodes.extend(each for each in value if isinstance(each, ast.AST))
    return nodes


def bound(node: ast.AST) -> Iterator[str]:
    """The names that a node itself binds."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.MatchMapping):
        yield node.rest or ""
    elif isinstance(node, _NAMED):
        yield node.name or ""


_SPELLED_IN = {
    ast.Name: "id",
    ast.Attribute: "attr",
    ast.arg: "arg",
    ast.keyword: "arg",
    ast.alias: "name",
    ast.ImportFrom: "module",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
}


def spelled(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that ``nodes`` spell, the last part of dotted ones."""
    fields = ((node, _SPELLED_IN.get(type(node))) for node in nodes)
    names = {getattr(node, field) for node, field in fields if field is not None}
    return {name.rpartition(".")[2] for name in names if name is not None}
