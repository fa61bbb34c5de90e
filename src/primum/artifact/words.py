"""What of a module's code can reach an artifact, and what only speaks: see :mod:`primum.artifact.code` for the rules."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from primum.artifact.heard import ERROR
from primum.artifact.names import Names
from primum.artifact.speech import SPEAKING, Speech, effects

# Decorators that do not look at annotations.
_BLIND = frozenset(
    {"builtins.staticmethod", "builtins.classmethod", "builtins.property", "functools.cache", "functools.lru_cache"}
    | {"functools.cached_property", "contextlib.contextmanager", "torch.inference_mode", "torch.no_grad"}
)
# What annotations are written in.
_TYPES = frozenset({"typing", "collections.abc"})


class Reader:
    """Writes a syntax tree down, in three: the code, the words that it says, the annotations of its functions."""

    def __init__(self, tree: ast.Module, names: Names, package: str) -> None:
        self.words: list[str] = []
        self.annotations: list[str] = []
        self.imports: set[str] = set()
        self.spoken: set[ast.stmt] = set()
        self._code: list[str] = []
        self._to = self._code
        self._names, self._speech, self._package = names, Speech(names), package
        imports = [node for node in names.nodes if isinstance(node, ast.ImportFrom)]
        self._postponed = any(node.module == "__future__" and _imports(node, "annotations") for node in imports)
        # It puts what an assertion says into an error of its own.
        self._pydantic = any((node.module or "").partition(".")[0] == "pydantic" for node in imports)
        self._scope: ast.AST = tree
        # Within a `try` with handlers, or a `with`: words that fail may change what follows.
        self._guarded = False
        self._blind = False
        self._used: set[str] = set()
        self._counting = True
        self._later: list[tuple[int, ast.ImportFrom]] = []

    def read(self, tree: ast.Module) -> None:
        self._write(_undocumented(tree))

    def finished(self) -> list[str]:
        """The code, with those of the imports that it was not sure of which something uses."""
        for index, node in self._later:
            # Another module could take a name from here that is not what it says.
            kept = [each for each in node.names if each.asname or each.name in {*self._used, "*"}]
            self._code[index] = "".join(sorted(f"from {node.module} {each.name} {each.asname};" for each in kept))
            if kept and node.module in SPEAKING:
                self.imports.add(node.module)
        return self._code

    def _write(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            writer = _WRITERS.get(type(value))
            if writer is not None:
                writer(self, value)
            else:
                self._plain(value, *(field for field in value._fields if field not in _UNSAID))
        elif isinstance(value, list):
            self._to.append("[")
            for each in value:
                self._write(each)
            self._to.append("]")
        else:
            self._to.append(f"{value!r},")

    def _plain(self, node: ast.AST, *fields: str) -> None:
        self._to.append(f"{type(node).__name__}(")
        for field in fields:
            self._write(getattr(node, field, None))
        self._to.append(")")

    def _aside(self, to: list[str], *nodes: ast.AST | None) -> None:
        """Write ``nodes`` elsewhere; what they name is not used."""
        before = self._to, self._counting
        self._to, self._counting = to, False
        for node in nodes:
            self._write(node)
        self._to.append(";")
        self._to, self._counting = before

    @contextmanager
    def _inside(self, scope: ast.AST) -> Iterator[None]:
        before, self._scope = self._scope, scope
        self._speech.enter(scope)
        yield
        self._speech.leave()
        self._scope = before

    def _name(self, node: ast.Name) -> None:
        if self._counting:
            self._used.add(node.id)
        self._to.append(f"{node.id},")

    def _constant(self, node: ast.Constant) -> None:
        if self._counting and isinstance(node.value, str):
            self._used.add(node.value)  # in __all__, say
        self._to.append(f"={node.value!r},")

    # Functions and classes ------------------------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorators = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
        blind = self._postponed and all(self._names.path(each) in _BLIND for each in decorators)
        self._plain(node, "name", "decorator_list")
        self._blind, before = blind, self._blind
        self._write(node.args)
        self._blind = before
        if blind:
            self._aside(self.annotations, node.returns)
        else:
            self._write(node.returns)
        with self._inside(node):
            self._write(_undocumented(node))

    def _argument(self, node: ast.arg) -> None:
        self._plain(node, "arg", *(() if self._blind else ("annotation",)))
        if self._blind:
            self._aside(self.annotations, node.annotation)

    def _class(self, node: ast.ClassDef) -> None:
        self._plain(node, "name", "bases", "keywords", "decorator_list")
        with self._inside(node):
            self._write(_undocumented(node))

    def _annotated(self, node: ast.AnnAssign) -> None:
        """Within functions annotations are never evaluated nor kept; those of a class body are data."""
        if isinstance(self._scope, ast.ClassDef):
            self._plain(node, "target", "value", "simple")
            # A dataclass takes them as text.
            if self._postponed and any(self._is_dataclass(each) for each in self._scope.decorator_list):
                self._aside(self._code, node.annotation)
            else:
                self._write(node.annotation)
        elif isinstance(self._scope, ast.Module) and not self._postponed:
            self._plain(node, *node._fields)
        else:
            self._aside(self.annotations, node.annotation)
            if node.value is None:
                self._plain(node, "target")
            else:
                self._write(ast.Assign(targets=[node.target], value=node.value))

    def _is_dataclass(self, node: ast.expr) -> bool:
        return self._names.path(node.func if isinstance(node, ast.Call) else node) == "dataclasses.dataclass"

    # What is said ---------------------------------------------------------------------------------------------------

    def _expression(self, node: ast.Expr) -> None:
        said = self._speech.of(node)
        if said is None:
            self._plain(node, "value")
            return
        self.spoken.add(node)
        if said.place is not None:
            self._to.append("Said(")
            self._write([said.place, *said.rest])
        self._leave_out(said.words)

    def _raise(self, node: ast.Raise) -> None:
        call = node.exc
        if isinstance(call, ast.Call) and self._names.path(call.func) == ERROR:
            self._to.append("PrimumError:")
            self._plain(node, "cause")
            self._leave_out([*call.args, *(keyword.value for keyword in call.keywords)])
        else:
            self._plain(node, "exc", "cause")

    def _assert(self, node: ast.Assert) -> None:
        if node.msg is None or self._pydantic:
            self._plain(node, "test", "msg")
        else:
            self._plain(node, "test")
            self._leave_out([node.msg])

    def _leave_out(self, words: list[ast.expr]) -> None:
        for kept in effects(words, self._names, self._guarded):
            self._to.append("Effect(")
            self._write([kept])
        self._aside(self.words, *words)

    # Blocks and imports ---------------------------------------------------------------------------------------------

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self._to.append(f"{type(node).__name__}(")
        self._guard(node.body, bool(node.handlers))
        self._write([node.handlers, node.orelse, node.finalbody])

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        self._plain(node, "items")
        self._guard(node.body, True)

    def _guard(self, body: list[ast.stmt], guarded: bool) -> None:
        before, self._guarded = self._guarded, self._guarded or guarded
        self._write(body)
        self._guarded = before

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = "" if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
        modules = [module] if module else [each.name for each in node.names]
        if isinstance(node, ast.ImportFrom) and (module in SPEAKING or module in _TYPES):
            self._later.append((len(self._code), node))
            self._code.append("")
            return
        self._plain(node, *node._fields)
        if self._package in {each.partition(".")[0] for each in modules}:
            self.imports.update(modules)
            self.imports.update(f"{module}.{each.name}" for each in node.names if module)
            # Somebody else's import of what speaks: it is used for more than to speak.
            spoken = {each for each, given in SPEAKING.items() for alias in node.names if alias.name in given}
            self.imports.update(spoken if module else ())


# No attribute of a reader: its own methods in it would keep the whole tree until Python looks for cycles.
_WRITERS: dict[type[ast.AST], Callable[[Reader, Any], None]] = {
    ast.Name: Reader._name,
    ast.Constant: Reader._constant,
    ast.FunctionDef: Reader._function,
    ast.AsyncFunctionDef: Reader._function,
    ast.arg: Reader._argument,
    ast.ClassDef: Reader._class,
    ast.Expr: Reader._expression,
    ast.Raise: Reader._raise,
    ast.Assert: Reader._assert,
    ast.AnnAssign: Reader._annotated,
    ast.Import: Reader._import,
    ast.ImportFrom: Reader._import,
    ast.Try: Reader._try,
    ast.TryStar: Reader._try,
    ast.With: Reader._with,
    ast.AsyncWith: Reader._with,
    ast.Pass: lambda reader, node: None,
}
# What does not change what a node does.
_UNSAID = frozenset({"ctx", "type_comment", "kind"})


def _imports(node: ast.Import | ast.ImportFrom, name: str) -> bool:
    return any(each.name == name for each in node.names)


def _undocumented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The statements of a node behind its docstring."""
    first = node.body[0] if node.body else None
    said = first.value if isinstance(first, ast.Expr) else None
    documented = isinstance(said, ast.Constant) and isinstance(said.value, str)
    return node.body[1:] if documented else node.body
