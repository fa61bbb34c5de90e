"""Where in an experiment a place of a spec comes from: its dotted key, and the line of the YAML file that gives it.

A spec is a slice of the experiment under other names. Its value is looked for in the entries that the artifact is named after,
and is taken for theirs only where they have it: what cannot be found is told by its place in the spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from primum.artifact.canonical import digest
from primum.dag.judges import CANARIES
from primum.errors import PrimumError
from primum.experiment.document import Document
from primum.experiment.load import read_experiment, validate

# The sections whose entries an artifact of a stage is named after, the first that may decide first.
_SECTIONS = {
    **dict.fromkeys(("fetch", "read"), ("datasets",)),
    **dict.fromkeys(("snapshot", "pack", "pretrain", "sft", "reference", "dpo"), ("models",)),
    "mix": ("mixtures",),
    **dict.fromkeys(("overlap", "pair-overlap"), ("mixtures", "preferences")),
    **dict.fromkeys(("pairs", "pair", "contrast", "sample", "rank", "rate", "rewards"), ("preferences",)),
    **dict.fromkeys(("generate", "respond"), ("prompts", "models")),
    **dict.fromkeys(("score", "questions", "answer", "parse"), ("benchmarks", "models")),
    **dict.fromkeys(("judge", "grade", "agreement", "assess", "verdicts"), ("judges", "prompts")),
}
# Keys by which an entry names another one, and the section of that.
_NAMES = (("ranker", "rankers"), ("model", "models"), ("from", "models"))
# The stages that look for the benchmarks' questions.
_AGAINST = ("mix", "overlap", "pair-overlap")
# Where the rest of a stage's keys stand.
_BELOW = {"rank": "engine", "rate": "engine", "tables": "evaluate", "report": "evaluate"}
# Keys of a spec that an experiment calls otherwise.
_RENAMED = {"max_tokens": "max_gen_toks"}
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """``name`` is a dotted key of the experiment, or a path below the project where ``is_file``, whose text is in the spec.

    ``file`` (relative to the project) and ``line`` give it, and ``exact`` says whether the key itself stands there. What is not
    ``found`` in the experiment is named by its place in the spec.
    """

    name: str
    found: bool = True
    is_file: bool = False
    file: str = ""
    line: int = 0
    exact: bool = False


class Settings:
    """An experiment in which keys are looked for: ``content`` is what it holds, ``document`` how it is written, if known."""

    def __init__(self, content: Mapping[str, Any], root: Path, document: Document | None = None) -> None:
        self.content, self.root, self.document = content, root, document

    @classmethod
    def of(cls, name: str, root: Path) -> Settings:
        """Those of an experiment by name or path. Raises PrimumError where it is not valid."""
        document = read_experiment(name, root)
        return cls(validate(document).model_dump(mode="json", by_alias=True), root, document)

    def find(self, stage: str, artifact: str, path: Sequence[str], spec: Mapping[str, Any]) -> Setting:
        """What gives ``path`` (``item.optimization.epochs``) of the ``spec`` of an artifact (``models/sft``) of ``stage``."""
        rest, value = tuple(path[1:]), _follow(spec, path)
        if "canary" in rest:
            return Setting(CANARIES, is_file=True)
        if rest[0] == "licences":  # the one place where a spec takes a key of many entries
            setting = self._setting(("datasets", rest[1], "license"))
            return setting if len(path) == 3 and value is not _ABSENT else replace(setting, found=False)
        if rest == ("benchmarks",) and stage in _AGAINST:
            return self._setting(("evaluate", "benchmarks"))
        entries = list(self._entries(stage, artifact.split("/")))
        below = [(_BELOW[stage], *rest)] if stage in _BELOW else []
        for entry in entries:
            for keys in (rest, _named(spec, path)[1:], *below):
                if (found := self._at((*entry, *keys), value)) is not None:
                    return found
        if stage == "fetch" and rest[-1] == "sha256":  # of a file that is here, which the experiment does not pin
            return Setting(str(_follow(spec, (*path[:-1], "path"))), is_file=True)
        return self._nearly(entries[:-1], rest, value) or Setting(f"{stage}, {'.'.join(path)}", found=False)

    def _nearly(self, entries: Sequence[tuple[str, ...]], rest: tuple[str, ...], value: Any) -> Setting | None:
        """A key of these entries that ends so, or is gone, or has the value in another form."""
        for entry in entries:
            if keys := self._below(entry, rest, value):
                return self._setting(keys)
            # A key that is gone stood where the one above it is.
            above = _follow(self.content, (*entry, *rest[:-1]))
            if value is _ABSENT and isinstance(above, Mapping):
                return self._setting((*entry, *rest))
        for entry in entries:
            # A default that a spec has as nothing, a shipped template as its text.
            if _member(_follow(self.content, entry), rest[0]) is not _ABSENT:
                return self._setting((*entry, *rest))
        return None

    def key(self, *keys: str) -> Setting:
        """A key of the experiment, as it is."""
        return self._setting(keys)

    def _entries(self, stage: str, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Keys of entries in which a key may stand; () is the experiment itself."""
        for section in _SECTIONS.get(stage, ()):
            for name in reversed(names):
                entry = (self.content.get(section) or {}).get(name)
                if not isinstance(entry, Mapping):
                    continue
                yield section, name
                for key, other in _NAMES:
                    named = entry.get(key)
                    if isinstance(named, str) and named in (self.content.get(other) or {}):
                        yield other, named
                        model = self.content[other][named].get("model")
                        if other == "rankers" and model in (self.content.get("models") or {}):
                            yield "models", model
        yield ()

    def _at(self, keys: tuple[str, ...], value: Any) -> Setting | None:
        """The key, where the experiment has ``value`` there, or a file whose text or entries are in the spec."""
        found: Any = self.content
        for index, key in enumerate(keys):
            found = _member(found, key)
            if found is _ABSENT:
                return None
            if isinstance(found, str) and digest(found) != digest(value) and (self.root / found).is_file():
                return Setting(found, is_file=True) if index else None
        if value is _ABSENT or digest(found) == digest(value):
            return self._setting(keys)
        if isinstance(found, Mapping) and not isinstance(value, Mapping | list):
            inside = [leaf for leaf, each in _leaves(found, keys) if each == value]
            return self._setting(inside[0]) if len(inside) == 1 else None
        return None

    def _below(self, entry: tuple[str, ...], rest: tuple[str, ...], value: Any) -> tuple[str, ...]:
        """The one key below an entry that ends as ``rest`` does and has the value; () where there is none or are several."""
        if value is _ABSENT or isinstance(value, Mapping | list):
            return ()
        ends, below = {rest[-1], _RENAMED.get(rest[-1])}, _leaves(_follow(self.content, entry), entry)
        found = [keys for keys, each in below if keys[-1] in ends and each == value]
        return found[0] if len(found) == 1 else ()

    def _setting(self, keys: tuple[str, ...]) -> Setting:
        name = ".".join(keys)
        if self.document is None:
            return Setting(name)
        path = self.document.file_of(name)
        line, exact = _line(path, keys, self.document.grid_of(name))
        return Setting(name, file=relative(path, self.root), line=line, exact=exact)


def relative(path: Path, root: Path) -> str:
    """``path`` as people name it: below the project, or as it is."""
    resolved = path.resolve()
    return resolved.relative_to(root.resolve()).as_posix() if resolved.is_relative_to(root.resolve()) else str(path)


def _member(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key, _ABSENT)
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    return _ABSENT


def _follow(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = _member(value, key)
    return value


def _named(spec: Any, path: Sequence[str]) -> tuple[str, ...]:
    """``path`` with the names of entries instead of their numbers in a list: ``common.models.sft.title``."""
    keys, value = [], spec
    for key in path:
        value = _member(value, key)
        name = value.get("name") if isinstance(value, Mapping) and key.isdigit() else None
        keys.append(name if isinstance(name, str) else key)
    return tuple(keys)


def _leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*keys, str(key)))
    elif not isinstance(value, list):
        yield keys, value


# Lines ----------------------------------------------------------------------------------------------------------------


@cache
def _composed(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _line(path: Path, keys: tuple[str, ...], grid: str) -> tuple[int, bool]:
    """The line (from 1) of a key, or of the last that is there above it, and whether it is the key itself; 0 for none."""
    tried = [keys, keys[2:]]  # a task's file begins below the benchmark
    if grid:
        section, _, key = grid.partition(".")
        tried.insert(0, (section, key, *keys[2:]))
    found = [(*_walked(_composed(path), each), each) for each in tried if each]
    depth, line, which = max(found, key=lambda each: each[0] if each[2] != keys[2:] or each[0] == len(keys[2:]) else 0)
    return line, depth == len(which)


def _walked(node: yaml.Node | None, keys: Sequence[str]) -> tuple[int, int]:
    """How many keys are there, and the line of the last of them."""
    line = 0
    for depth, key in enumerate(keys):
        if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((k, v) for k, v in pairs if isinstance(k, yaml.ScalarNode) and k.value == key), None)
        if found is None:
            # Of an anchor, where it is given, and not where it is named.
            return depth, node.start_mark.line + 1 if node is not None and depth and pairs else line
        line, node = found[0].start_mark.line + 1, found[1]
    return len(keys), line


def line_of(path: Path, beginning: str) -> int:
    """The line (from 1) of a text file that begins so, whatever its case; 0 for none. PrimumError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise PrimumError(f"{path}: cannot be read: restore it from the project") from None
    return next((n for n, line in enumerate(lines, 1) if line.lower().startswith(beginning.lower())), 0)
