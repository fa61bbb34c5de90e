"""Whether a module may look at what an exception says: at its words, not at its class.

Followed is every exception that a handler binds, that a parameter annotated ``Exception`` or ``BaseException`` takes, or that
``.exception()`` returns, through the function that it is in. It
may be raised again, asked for its class, named in the words of another error or of a progress line; everything else is
looking at it, and so is every other way to come by an exception.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Set

from primum.artifact.names import Names, spelled

ERROR = "primum.errors.PrimumError"
# Who names one of these may come by an exception, or by what is printed, in a way that is not followed.
_OTHER_WAYS = frozenset(
    {"traceback", "exc_info", "format_exc", "print_exc", "__cause__", "__context__", "__traceback__", "__notes__"}
    | {"__exit__", "__aexit__", "excepthook", "unraisablehook", "set_exception_handler", "return_exceptions"}
    | {"retry_if_exception_message", "retry_error_callback", "add_done_callback"}
    | {
        "catch_warnings",
        "showwarning",
        "captureWarnings",
        "addHandler",
        "addFilter",
        "LoggerAdapter",
        "redirect_stderr",
    }
)
_SCOPES = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


def overhears(names: Names, spoken: Set[ast.stmt]) -> bool:
    """``spoken`` are its statements that only speak."""
    if not _OTHER_WAYS.isdisjoint(names.spelled):
        return True
    if any(isinstance(node, ast.Call) and _hands_over(node, names) for node in names.nodes):
        return True
    if not any(
        _is_exception_call(node) or _binds_error(node, names) or _takes_error(node, names) for node in names.nodes
    ):
        return False
    return any(_Scope(scope, names, spoken).looks() for scope in names.nodes if isinstance(scope, _SCOPES))


def _is_exception_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exception"


def _takes_error(node: ast.AST, names: Names) -> bool:
    """Whether this is a parameter for any exception."""
    kinds = ("builtins.BaseException", "builtins.Exception")
    return isinstance(node, ast.arg) and node.annotation is not None and names.path(node.annotation) in kinds


def _hands_over(call: ast.Call, names: Names) -> bool:
    """Whether a retry gives its exceptions to a function in which they are not followed."""
    if "retry_if_exception" not in spelled([call.func]):
        return False
    functions = {node.name: node for node in names.nodes if isinstance(node, ast.FunctionDef)}
    given = [functions.get(each.id) if isinstance(each, ast.Name) else None for each in call.args]
    return not given or any(each is None or not _takes_error(each.args.args[0], names) for each in given)


def _binds_error(node: ast.AST, names: Names) -> bool:
    """Whether this is a handler that may bind a PrimumError or an AssertionError: one that names other builtin classes cannot."""
    if not isinstance(node, ast.ExceptHandler) or not node.name:
        return False
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    for each in kinds:
        module, _, name = ((names.path(each) if each is not None else None) or "").rpartition(".")
        found = getattr(builtins, name, None) if module == "builtins" else None
        if not isinstance(found, type) or issubclass(AssertionError, found):
            return True
        if issubclass(found, AssertionError | BaseExceptionGroup) or not issubclass(found, BaseException):
            return True
    return False


class _Scope:
    """A function, or the statements of a module outside its functions."""

    def __init__(self, scope: ast.AST, names: Names, spoken: Set[ast.stmt]) -> None:
        self._names, self._said = names, spoken
        own = list(_own(scope))
        self._caught = {
            node.name or "" for node in own if isinstance(node, ast.ExceptHandler) and _binds_error(node, names)
        }
        self._caught |= {node.arg for node in own if isinstance(node, ast.arg) and _takes_error(node, names)}
        self._derived: set[str] = set()
        self._asks = any(_is_exception_call(node) for node in own)
        # Functions inside may use what this one has bound.
        self._nodes = own if isinstance(scope, ast.Module) else list(ast.walk(scope))
        self._at_large = isinstance(scope, ast.Module)

    def looks(self) -> bool:
        if not self._caught and not self._asks:
            return False
        # What is raised again, or said, is no looking; calls inside of it may be.
        self._spoken = {
            id(node.exc) for node in self._nodes if isinstance(node, ast.Raise) and self._is_error(node.exc)
        }
        self._spoken |= {id(node.value) for node in self._nodes if isinstance(node, ast.Expr) and node in self._said}
        while True:
            before = len(self._caught) + len(self._derived)
            if any(self._is_look(node) for node in self._nodes):
                return True
            if len(self._caught) + len(self._derived) == before:
                return False

    def _is_error(self, node: ast.AST | None) -> bool:
        return isinstance(node, ast.Call) and self._names.path(node.func) == ERROR

    def _carries(self, node: ast.AST | None) -> bool:
        """Whether the value of an expression may hold an exception, or what one says."""
        if isinstance(node, ast.Name):
            return node.id in self._caught or node.id in self._derived
        if node is None or self._is_of_class(node):
            return False
        of, name = self._names.read_attribute(node) or (None, "")
        if isinstance(of, ast.Name) and of.id in self._caught:
            # A PrimumError has no other attributes than those of every exception; a group has its members.
            return hasattr(BaseExceptionGroup, name) or name.startswith("_")
        return _is_exception_call(node) or any(map(self._carries, ast.iter_child_nodes(node)))

    def _is_of_class(self, node: ast.AST) -> bool:
        """Whether an expression asks for the class of something, or which object it is."""
        if isinstance(node, ast.Compare):
            return all(isinstance(each, ast.Is | ast.IsNot) for each in node.ops)
        return isinstance(node, ast.Call) and self._names.path(node.func) in ("builtins.isinstance", "builtins.type")

    def _is_look(self, node: ast.AST) -> bool:
        looked: ast.AST | None = None
        match node:
            case ast.Call() if not self._is_harmless(node):
                looked = node
            case ast.Assign(targets=targets, value=value):
                return self._flows(value, targets)
            case ast.AnnAssign() | ast.AugAssign() | ast.NamedExpr():
                return self._flows(node.value, [node.target])
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                return self._flows(node.iter, [node.target])
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                return not (self._caught | self._derived).isdisjoint(names)
            case ast.Return(value=value) | ast.Yield(value=value) | ast.YieldFrom(value=value):
                looked = value
            case ast.Lambda(body=value) | ast.Match(subject=value) | ast.withitem(context_expr=value):
                looked = value
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
                looked = None if _is_bare(test) else test
        return self._carries(looked)

    def _is_harmless(self, call: ast.Call) -> bool:
        known = self._names.is_pure(call) or self._names.read_attribute(call) is not None
        return known or id(call) in self._spoken or _is_exception_call(call)

    def _flows(self, value: ast.expr | None, targets: list[ast.expr]) -> bool:
        """Follow a value into the names that it is given to; True where it goes elsewhere."""
        if not self._carries(value):
            return False
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        asked = value.body if isinstance(value, ast.IfExp) else value
        if asked is not None and _is_exception_call(asked):
            self._caught |= names
        else:
            self._derived |= names
        return self._at_large or len(names) < len(targets)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions inside."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own(child)


def _is_bare(test: ast.expr) -> bool:
    """Whether a test only asks whether there is something: ``x``, ``not x``, ``x and y``."""
    if isinstance(test, ast.BoolOp):
        return all(map(_is_bare, test.values))
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _is_bare(test.operand)
    return isinstance(test, ast.Name | ast.Constant)
