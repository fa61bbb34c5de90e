"""What changed in the code of a stage: the modules whose digests differ, and, by the versions that git has, their functions."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from primum.artifact.code import TEMPLATES, digest_of, read_module
from primum.audit.differences import changed_modules
from primum.trace.functions import changed_parts
from primum.trace.history import NOT_COMMITTED, Commit, Version, version_at, versions_of

_SOURCE = "src"
_DIGITS = 16  # of a digest in a manifest
_MOST = 60  # versions that are read for one answer


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """``change`` is in words (``function apply_mask changed``); ``commit`` was the first to make it, ``more`` came after."""

    module: str
    change: str
    file: str = ""
    line: int = 0
    commit: Commit | None = None
    more: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A version of a module, at its ``index`` in the history, the newest first: -1 is what is here, None is not known."""

    version: Version
    index: int | None


class Code:
    """The modules of the project at ``root``, and its history. What was looked up once is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._left = _MOST
        self._history: dict[str, list[tuple[Version, set[str]]]] = {}
        self._known: dict[tuple[str, str, str], tuple[ModuleChange, ...]] = {}

    def changes(self, before: Mapping[str, str], now: Mapping[str, str], commit: str = "") -> list[ModuleChange]:
        """What differs between two lists of module digests (``run.modules``); nothing where one is not known.

        ``commit`` is where ``before`` was made, if that is known.
        """
        found: list[ModuleChange] = []
        for name in changed_modules(before, now) or []:
            if name not in now:
                found.append(ModuleChange(name, "is imported no more"))
            elif name not in before:
                found.append(ModuleChange(name, "is imported now, and was not", self._file(name)))
            else:
                key = (name, before[name], now[name])
                if key not in self._known:
                    self._known[key] = tuple(self._within(*key, commit))
                found += self._known[key]
        return found

    def _file(self, module: str) -> str:
        path = f"{_SOURCE}/{module.replace('.', '/')}"
        return f"{path}.py" if (self.root / f"{path}.py").is_file() else f"{path}/__init__.py"

    def _within(self, module: str, before: str, now: str, commit: str) -> Iterator[ModuleChange]:
        file = self._file(module)
        old, new = self._version(file, before, commit), self._version(file, now, "")
        if old is None or new is None:
            yield ModuleChange(module, "changed", file)
            return
        first, more = self._between(file, old, new)
        for name in sorted({*old.version.files, *new.version.files} - {file}):
            if _sha256(old.version.files.get(name)) != _sha256(new.version.files.get(name)):
                yield ModuleChange(module, f"{name.rpartition('/')[2]} changed", name, 0, first, more)
        for change, line in changed_parts(_text(old.version.files[file]), _text(new.version.files[file])):
            yield ModuleChange(module, change, file, line if new.index == -1 else 0, first, more)
        if old.version.files == new.version.files:
            yield ModuleChange(module, "counts otherwise: other code reads what it says", file)

    def _between(self, file: str, old: _Found, new: _Found) -> tuple[Commit | None, int]:
        """The first commit behind ``old``, and how many there are from it up to ``new``."""
        if old.index is None or new.index is None or old.index < new.index:
            return None, 0
        passed = self._history[file][max(new.index, 0) : max(old.index, 0)]
        return (passed[-1][0].commit, len(passed) - 1) if passed else (NOT_COMMITTED, 0)

    def _version(self, file: str, digest: str, commit: str) -> _Found | None:
        """What is here, or the newest committed version, or that of ``commit``, if it has the digest."""
        if (self.root / file).is_file():
            here = Version(NOT_COMMITTED, self._here(file))
            if digest in _digests(here, file):
                return _Found(here, -1)
        if file not in self._history:
            self._history[file] = []
            for version in versions_of(self.root, file, _beside(file)):
                if self._left == 0:
                    break
                self._left -= 1
                self._history[file].append((version, _digests(version, file)))
                if digest in self._history[file][-1][1]:
                    break
        for index, (version, digests) in enumerate(self._history[file]):
            if digest in digests:
                return _Found(version, index)
        made = version_at(self.root, file, _beside(file), commit) if commit else None
        return _Found(made, None) if made is not None and digest in _digests(made, file) else None

    def _here(self, file: str) -> dict[str, bytes]:
        beside = [path.relative_to(self.root).as_posix() for each in _beside(file) for path in self.root.glob(each)]
        return {name: (self.root / name).read_bytes() for name in [file, *beside]}


def _beside(file: str) -> list[str]:
    """Patterns of the templates, scripts and styles that count for a package."""
    folder, _, name = file.rpartition("/")
    return [f"{folder}/*{suffix}" for suffix in sorted(TEMPLATES)] if name == "__init__.py" else []


def _digests(version: Version, file: str) -> set[str]:
    """What a manifest may have of a version: who reads words or annotations depends on the other modules."""
    if file not in version.files:
        return set()
    try:
        code = read_module(ast.parse(_text(version.files[file])))
    except SyntaxError:
        return set()
    templates = {name.rpartition("/")[2]: content for name, content in version.files.items() if name != file}
    return {
        digest_of(code, words, annotations, templates)[:_DIGITS]
        for words in (False, True)
        for annotations in (False, True)
    }


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _sha256(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()
