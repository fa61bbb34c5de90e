"""The digest of the code that a stage runs: its module and all of the package that it imports, directly or not.

What cannot reach an artifact is left out, so that another word in it makes nothing again:

- Comments, formatting, docstrings and ``pass``.
- What ``raise PrimumError(...)`` says. The class, the condition around it and ``from`` count. Other classes may be read by
  libraries (pydantic reads every ValueError), so what they say counts.
- What an ``assert`` says, but for modules that import pydantic, which reads it.
- Progress: a statement ``x.say(...)`` or ``x.update(...)`` as a whole, where ``x`` is a parameter annotated ``Progress`` that
  is never given another value, ``job.progress`` of a parameter annotated ``Job``, or an attribute that ``__init__`` alone sets
  to one; and ``hush_transformers()``.
- What ``logging`` and module-level loggers, ``warnings.warn`` and ``print(..., file=sys.stderr)`` are told; the statement counts.
- Annotations: of variables in functions and modules, and of functions without decorators or with those that ignore them
  (``_BLIND``). Those of a class body are data and count. What is imported from ``typing`` and
  ``collections.abc`` counts where something else uses it.
- ``primum.progress``, while nobody uses it but to speak and it can do nothing else (``only_speaks``). ``primum.errors`` counts:
  its classes say what is caught.

Words that do something count. An expression is left out only if it is built of names, attributes, slices, operators, formatting
and the builtins in ``names._PURE``. A call, an index, a walrus, ``await``, ``yield``, and whatever may exhaust an iterator is
kept. Words are taken not to fail; within a ``try`` that has handlers, or a ``with``, of the same function, where that would
change what follows, all but the text itself is kept.

Words that somebody reads count. What errors, assertions, logs and warnings say counts in every stage in whose code a caught
exception goes anywhere but into ``raise``, ``isinstance``, ``type``, or the words of a PrimumError or of progress: into a
row, a status, a file, a call (:mod:`primum.artifact.heard`). Annotations count in every stage whose code may read them
(``inspect.signature`` and the like, as the adapters' options do).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from primum.artifact.heard import overhears
from primum.artifact.names import Names, spelled
from primum.artifact.speech import SPEAKING, only_speaks
from primum.artifact.words import Reader
from primum.errors import PrimumError

PACKAGE = "primum"
# Files beside a package's modules that get into what it writes.
TEMPLATES = frozenset({".j2", ".js", ".css"})
# Who names one of these may read the annotations of functions.
_READS_ANNOTATIONS = frozenset(
    {"__annotations__", "annotation", "return_annotation", "signature", "get_type_hints", "get_annotations", "script"}
    | {"singledispatch", "singledispatchmethod", "validate_call", "TypeAdapter", "create_model", "computed_field"}
    | {"PlainSerializer", "WrapSerializer", "field_serializer", "model_serializer"}
)


@dataclass(frozen=True, slots=True)
class ModuleCode:
    """One module, read: ``code`` counts always, ``words`` and ``annotations`` where somebody reads them (all sha256).

    ``imports`` are the names that it may import from the package, ``private`` the private attributes that it takes from
    other objects.
    """

    code: str
    words: str
    annotations: str
    imports: frozenset[str]
    overhears: bool
    reads_annotations: bool
    private: frozenset[str]


def read_module(tree: ast.Module) -> ModuleCode:
    """What counts of a module's syntax tree."""
    names = Names(tree)
    reader = Reader(tree, names, PACKAGE)
    reader.read(tree)
    return ModuleCode(
        _sha256(reader.finished()),
        _sha256(reader.words),
        _sha256(reader.annotations),
        frozenset(reader.imports),
        overhears(names, reader.spoken),
        _reads_annotations(names),
        frozenset(_private(names)),
    )


def _reads_annotations(names: Names) -> bool:
    if _READS_ANNOTATIONS.isdisjoint(names.spelled):
        return False
    harmless: set[ast.AST] = set()
    for node in names.nodes:
        # Names alone.
        if isinstance(node, ast.Attribute) and node.attr == "keys" and ast.unparse(node).endswith(").parameters.keys"):
            harmless.update(ast.walk(node))
    return not _READS_ANNOTATIONS.isdisjoint(spelled(node for node in names.nodes if node not in harmless))


def _private(names: Names) -> Iterator[str]:
    for node in names.nodes:
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not own:
            yield node.attr


def _sha256(parts: Sequence[str]) -> str:
    return hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise PrimumError(f"{path}: line {error.lineno}: not valid Python: {error.msg}") from None


@cache
def _read_once(path: Path, stamp: tuple[int, int]) -> ModuleCode:
    return read_module(_parse(path))


@cache
def _speaks(path: Path, stamp: tuple[int, int], public: frozenset[str]) -> frozenset[str] | None:
    return only_speaks(_parse(path), public)


class _Sources:
    """The package's files under ``root`` as they are at one moment: each is looked for, and read, once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: dict[str, Path | None] = {}
        self._codes: dict[Path, ModuleCode] = {}
        self._leads: dict[str, list[str]] = {}
        self._digests: dict[tuple[Path, bool, bool], str] = {}

    def path(self, module: str) -> Path | None:
        if module not in self._paths:
            path = self._root.joinpath(*module.split("."))
            files = (path.with_suffix(".py"), path / "__init__.py")
            self._paths[module] = next((each for each in files if each.is_file()), None)
        return self._paths[module]

    def read(self, path: Path) -> ModuleCode:
        if path not in self._codes:
            self._codes[path] = read_file(path)
        return self._codes[path]

    def imported(self, module: str) -> dict[str, Path]:
        """:func:`imported_modules`."""
        if self.path(module) is None:
            raise PrimumError(f"{module}: no such module under {self._root}")
        waiting, names = [module], {module}
        while waiting:
            new = set(self._leads_to(waiting.pop())) - names
            names |= new
            waiting.extend(new)
        found = {name: path for name in names if (path := self.path(name)) is not None}
        private = {name for path in found.values() for name in self.read(path).private}
        for name, public in SPEAKING.items():
            path = self.path(name)
            if path is not None and name not in found:
                own = _speaks(path, _stamp(path), public)
                # A part of the code could use it through an object that it was given.
                if own is None or not private.isdisjoint(own):
                    found[name] = path
        return found

    def _leads_to(self, name: str) -> list[str]:
        """The modules there are of those that one imports, and its package."""
        path = self.path(name)
        if name not in self._leads:
            named = (name.rpartition(".")[0], *self.read(path).imports) if path is not None else ()
            self._leads[name] = [each for each in named if each and self.path(each) is not None]
        return self._leads[name]

    def digests(self, module: str) -> dict[str, str]:
        """:func:`module_digests`."""
        modules = self.imported(module)
        read = [self.read(path) for path in modules.values()]
        words, annotations = any(each.overhears for each in read), any(each.reads_annotations for each in read)
        return {name: self._digest(path, words, annotations) for name, path in sorted(modules.items())}

    def _digest(self, path: Path, words: bool, annotations: bool) -> str:
        counted = (path, words, annotations)
        if counted not in self._digests:
            beside = path.parent.iterdir() if path.name == "__init__.py" else ()
            templates = {each.name: each.read_bytes() for each in sorted(beside) if each.suffix in TEMPLATES}
            self._digests[counted] = digest_of(self.read(path), words, annotations, templates)
        return self._digests[counted]


def imported_modules(module: str, root: Path) -> dict[str, Path]:
    """Every module of the package that can reach what ``module`` makes, itself included: name -> file.

    ``root`` holds the package. Imports inside functions count as well; packages count with their ``__init__``.
    """
    return _Sources(root).imported(module)


def module_digests(module: str, root: Path) -> dict[str, str]:
    """The sha256 of what counts of each of :func:`imported_modules`; a package's with the files of ``TEMPLATES`` beside it."""
    return _Sources(root).digests(module)


def digest_of(code: ModuleCode, words: bool, annotations: bool, templates: Mapping[str, bytes]) -> str:
    """The sha256 of what counts of one module, with a package's ``templates``; whether ``words`` and ``annotations`` are read."""
    state = hashlib.sha256(f"{code.code}{code.words * words}{code.annotations * annotations}".encode())
    for name, content in sorted(templates.items()):
        state.update(f"{name}={hashlib.sha256(content).hexdigest()};".encode())
    return state.hexdigest()


def code_digest(module: str, root: Path) -> str:
    """The sha256 over :func:`module_digests`."""
    return combined(module_digests(module, root))


def code_digests(modules: Iterable[str], root: Path) -> dict[str, str]:
    """:func:`code_digest` of each of ``modules``, from one look at the files that they share."""
    sources = _Sources(root)
    return {module: combined(sources.digests(module)) for module in modules}


def combined(digests: Mapping[str, str]) -> str:
    """The one digest of many modules."""
    return hashlib.sha256("".join(f"{name}={each};" for name, each in sorted(digests.items())).encode()).hexdigest()


def recorded_digests(module: str, root: Path, code: str) -> dict[str, str]:
    """:func:`module_digests` in 16 hex digits each, for a manifest; empty where they are not those of the digest ``code``."""
    digests = module_digests(module, root)
    return {name: each[:16] for name, each in digests.items()} if combined(digests) == code else {}


def read_file(path: Path) -> ModuleCode:
    """What counts of one file. PrimumError if it is not valid Python."""
    return _read_once(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
