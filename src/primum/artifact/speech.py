"""Which statements of a module only speak, and what of their words has an effect all the same."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from primum.artifact.names import Names, bound

PROGRESS = "primum.progress.Progress"
JOB = "primum.artifact.job.Job"
_SAYS = frozenset({"say", "update", "record"})
_HUSH = "primum.progress.hush_transformers"
# Modules that only speak, and what they may give to others; `only_speaks` holds them to it.
SPEAKING = {"primum.progress": frozenset({"Progress", "hush_transformers"})}
_LOGS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Spoken:
    """``words`` are left out. ``place`` is the called function where the statement itself counts, ``rest`` what it is given
    beside the words."""

    words: list[ast.expr]
    place: ast.expr | None = None
    rest: tuple[ast.AST, ...] = ()


class Speech:
    """Knows the statements that only speak; to be told which functions and classes it is in."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._stored = Counter(n.attr for n in names.nodes if isinstance(n, ast.Attribute) and _is_stored(n))
        # Names of Progress objects, of jobs, and attributes of self that are Progress objects.
        self._known: list[tuple[frozenset[str], frozenset[str], frozenset[str]]] = [(frozenset(),) * 3]

    def enter(self, scope: ast.AST) -> None:
        speaking, jobs, own = self._known[-1]
        if isinstance(scope, _FUNCTIONS):
            arguments = [node for node in ast.walk(scope.args) if isinstance(node, ast.arg)]
            hidden = {each.arg for each in arguments}
            speaking = (speaking - hidden) | self._annotated(scope, PROGRESS)
            jobs = (jobs - hidden) | self._annotated(scope, JOB)
        elif isinstance(scope, ast.ClassDef):
            own = self._attributes(scope)
        self._known.append((frozenset(speaking), frozenset(jobs), own))

    def leave(self) -> None:
        self._known.pop()

    def of(self, statement: ast.Expr) -> Spoken | None:
        """What a statement says, None if it does anything else."""
        call = statement.value
        if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
            return None
        path = self._names.path(call.func)
        named = {str(keyword.arg): keyword.value for keyword in call.keywords}
        said: Spoken | None = None
        if path == "warnings.warn":
            rest = [ast.keyword(name, value) for name, value in named.items() if name != "message"]
            words = call.args[:1] or [named[name] for name in ("message",) if name in named]
            said = Spoken(words, call.func, (*call.args[1:], *rest))
        elif path == "builtins.print" and self._names.path(named.get("file", call)) == "sys.stderr":
            said = Spoken([*call.args, *named.values()], call.func)
        elif path == _HUSH or self._is_method(call.func, _SAYS, self._is_progress):
            said = Spoken([*call.args, *named.values()])
        elif self._is_method(call.func, _LOGS, self._names.is_logger):
            said = Spoken([*call.args, *named.values()], call.func)
        return said

    def _is_method(self, called: ast.expr, names: frozenset[str], of: Callable[[ast.expr], bool]) -> bool:
        return isinstance(called, ast.Attribute) and called.attr in names and of(called.value)

    def _is_progress(self, node: ast.expr) -> bool:
        speaking, jobs, own = self._known[-1]
        if isinstance(node, ast.Name):
            return node.id in speaking
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            return False
        if node.attr == "progress" and not self._stored["progress"]:
            return node.value.id in jobs
        return node.value.id == "self" and node.attr in own

    def _annotated(self, function: ast.FunctionDef | ast.AsyncFunctionDef, kind: str) -> frozenset[str]:
        """The parameters of a function that are annotated as ``kind``, and that nothing in it gives another value."""
        found = {
            node.arg
            for node in ast.walk(function.args)
            if isinstance(node, ast.arg) and node.annotation is not None and self._names.path(node.annotation) == kind
        }
        if found:
            others = (node for node in ast.walk(function) if not isinstance(node, ast.arg))
            found -= {name for node in others for name in bound(node)}
        return frozenset(found)

    def _attributes(self, scope: ast.ClassDef) -> frozenset[str]:
        """The attributes of self that ``__init__`` makes a Progress object of, and that the module sets nowhere else."""
        found = set()
        for method in scope.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                speaking = self._annotated(method, PROGRESS)
                for node in ast.walk(method):
                    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in speaking:
                        found |= {target.attr for target in node.targets if isinstance(target, ast.Attribute)}
        return frozenset(name for name in found if self._stored[name] == 1 and name.startswith("_"))


def _is_stored(node: ast.Attribute) -> bool:
    return not isinstance(node.ctx, ast.Load)


def effects(words: list[ast.expr], names: Names, guarded: bool) -> list[ast.expr]:
    """What of ``words`` must be kept: each expression that is not known to be free of effects, whole and in order.

    Reading names and attributes, operators, formatting and a few builtins are free of effects; a call, an index (which may
    add to a defaultdict), and whatever may go through an iterator are not. ``guarded`` keeps all but the text itself.
    """
    return [kept for each in words for kept in _effects(each, names, guarded)]


def _effects(node: ast.expr, names: Names, guarded: bool) -> list[ast.expr]:
    parts = _guarded_parts(node) if guarded else _parts(node, names)
    if parts is None:
        return [node]
    kept = effects(parts, names, guarded)
    # Which of these parts is evaluated depends on the others.
    return [node] if kept and isinstance(node, ast.BoolOp | ast.IfExp | ast.Compare) else kept


def _guarded_parts(node: ast.expr) -> list[ast.expr] | None:
    match node:
        case ast.Constant():
            return []
        case ast.JoinedStr(values=values):
            return values
        case ast.FormattedValue(value=ast.Constant() as value, format_spec=None):
            return [value]
    return None


def _parts(node: ast.expr, names: Names) -> list[ast.expr] | None:
    """What an expression without effects of its own is made of; None where it may have some."""
    parts: list[ast.expr | None] | None = None
    match node:
        case ast.Constant() | ast.Name():
            parts = []
        case ast.JoinedStr(values=values) | ast.BoolOp(values=values):
            parts = [*values]
        case ast.FormattedValue(value=value, format_spec=specification):
            parts = [value, specification]
        case ast.Attribute(value=value) | ast.UnaryOp(operand=value):
            parts = [value]
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            parts = [*elements]
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
        case ast.IfExp(test=test, body=body, orelse=other):
            parts = [test, body, other]
        case ast.Compare(left=left, ops=operators, comparators=others):
            # `in` may go through an iterator.
            parts = None if any(isinstance(each, ast.In | ast.NotIn) for each in operators) else [left, *others]
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower, upper=upper, step=step)):
            parts = [value, lower, upper, step]
        case ast.Call() if names.is_pure(node) or names.read_attribute(node):
            parts = [*node.args]
    return None if parts is None else [each for each in parts if each is not None]


def only_speaks(tree: ast.Module, public: frozenset[str]) -> frozenset[str] | None:
    """The private attributes of a module that gives others ``public`` alone, and no value; None if it does more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Global | ast.Yield | ast.YieldFrom | ast.Await):
            return None
        if isinstance(node, ast.Return) and node.value is not None:
            return None
    given = {name for node in tree.body for name in _given(node)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    inside = {name for each in classes for node in each.body for name in _given(node)}
    stored = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_stored(node)}
    shown = {name for name in given - public | inside - _SAYS | stored if not name.startswith("_")}
    return None if shown else frozenset(stored)


def _given(statement: ast.stmt) -> list[str]:
    """What a statement of a module or class binds for others to use, imports apart."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return []
    return [name for node in ast.walk(statement) for name in bound(node)]
