"""What two makings of an artifact differ in: settings, files, code, libraries, and what they read, down to the first cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from primum.artifact.manifest import Manifest
from primum.audit.differences import NOT_THERE, Change, changes, versions
from primum.trace.history import Commit, author_of_file, author_of_line
from primum.trace.modules import Code
from primum.trace.settings import Setting, Settings, line_of

Kind = Literal["setting", "file", "code", "library", "input", "content", "missing", "damaged", "other"]
_COVERED = ("models", "benchmarks", "prompts", "judges")
_LOCKS = ("envs/cpu.lock", "envs/gpu.lock", "envs/dev.lock")


@dataclass(frozen=True, slots=True)
class Cause:
    """One difference: ``name`` says of what, ``change`` in which way, ``place`` where it stands, as ``file:line``.

    ``commit`` made it, and ``more`` others after it. ``because`` are the differences that made an ``input`` another one.
    """

    kind: Kind
    name: str
    change: str
    place: str = ""
    commit: Commit | None = None
    more: int = 0
    because: tuple[Cause, ...] = ()

    @property
    def words(self) -> str:
        """``models.sft.optimization.epochs: 3.5 -> 2``, ``torch: 2.12.0 -> 2.13.0``, ``data/demo/medqa.jsonl: changed``."""
        return ": ".join(filter(None, (self.name, self.change)))

    @property
    def roots(self) -> list[Cause]:
        """The differences that it comes from; itself where nothing is known behind it."""
        return list(dict.fromkeys(root for each in self.because for root in each.roots)) or [self]

    def as_json(self) -> dict[str, Any]:
        """Its fields, those without a value left out."""
        known = {"kind": self.kind, "name": self.name, "change": self.change, "place": self.place, "more": self.more}
        commit = self.commit.as_json() if self.commit else None
        because = [each.as_json() for each in self.because]
        return {key: value for key, value in {**known, "commit": commit, "because": because}.items() if value}


@dataclass(frozen=True, slots=True)
class Read:
    """What an artifact was made of: the ``role`` and content, and, where they are known, its name and its manifest."""

    role: str
    content: str
    name: str = ""
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """One making of an artifact, done or planned: its spec, the digests of its modules, the commit, what it read."""

    spec: Mapping[str, Any]
    modules: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    content: str = ""
    reads: Sequence[Read] | None = None


def made(manifest: Manifest, find: Callable[[str, str], tuple[str, Manifest | None]]) -> Making:
    """The making that a manifest records; ``find(key, content)`` tells name and manifest of what it read."""
    keys = manifest.run.get("input_keys") or {}
    reads = []
    for role, contents in manifest.inputs.items():
        of_role = keys.get(role) or [""] * len(contents)
        for content, key in zip(contents, of_role, strict=False):
            reads.append(Read(role, content, *find(key or "", content)))
    run = manifest.run
    return Making(manifest.spec, run.get("modules") or {}, run.get("commit") or "", manifest.content, reads)


class Causes:
    """Finds the differences between makings in the project at ``root``.

    ``settings`` opens the experiment in which keys are looked for, and is called when one is. ``find(key, content)`` tells the
    name and the manifest of an artifact that was read. ``today`` says that the newer making is of the files and locks here.
    """

    def __init__(
        self,
        root: Path,
        settings: Callable[[], Settings],
        find: Callable[[str, str], tuple[str, Manifest | None]],
        today: bool = True,
    ) -> None:
        self.root, self._open, self.find, self.today = root, settings, find, today
        self.code = Code(root)
        self._known: dict[tuple[str, str, str], tuple[Cause, ...]] = {}

    @cached_property
    def settings(self) -> Settings:
        return self._open()

    def between(self, name: str, old: Making, new: Making) -> tuple[Cause, ...]:
        """What differs in the artifact ``name``: its own spec first, then what it reads. Empty where nothing does."""
        own = tuple(self._own(name, old, new))
        read = () if old.reads is None or new.reads is None else tuple(self._read(old.reads, new.reads, not own))
        if not own and not read and old.content and new.content and old.content != new.content:
            return (Cause("content", name, "same question, other content: not deterministic, or edited"),)
        return own + read

    def _own(self, name: str, old: Making, new: Making) -> Iterator[Cause]:
        before, now = old.spec.get("stage"), new.spec.get("stage")
        if before != now:  # a model that was trained, and is fetched now: all else follows
            yield Cause("setting", name, f"made by the stage {before} -> {now}")
            return
        yield from self._settings(name, old.spec, new.spec)
        if old.spec.get("code") != new.spec.get("code"):
            found = self.code.changes(old.modules, new.modules, old.commit)
            for each in found:
                place = f"{each.file}:{each.line}" if each.line else each.file
                yield Cause("code", each.module, each.change, place, each.commit, each.more)
            if not found:
                yield Cause("code", f"the code of {new.spec['stage']}", "changed")
        for library, versions_ in versions(old.spec, new.spec).items():
            yield self._library(library, versions_)

    def _settings(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Cause]:
        """Those that the experiment or a file gives; what only follows from them, such as an order, where there is none."""
        follows = []
        given = False
        for change in changes(old, new):
            cause, found = self._setting(name, change, new)
            # The licence of a dataset that was not read before follows from its being read.
            if found and (change.path[1:2] != ("licences",) or change.old != NOT_THERE):
                given = True
                yield cause
            else:
                follows.append(cause)
        if follows and not given:
            covered = list(self._covered(old, new))
            yield from covered or follows[:1]

    def _covered(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Cause]:
        """What the tables and the report cover, and did not, or cover no more."""
        for key in _COVERED:
            before, now = (_evaluated(side["common"].get(key) or ()) for side in (old, new))
            changed = [*(f"without {name}" for name in before if name not in now)]
            changed += [f"with {name}" for name in now if name not in before]
            if changed:
                setting = self.settings.key("evaluate", key)
                yield self._placed(setting, ", ".join(changed))

    def _setting(self, name: str, change: Change, spec: Mapping[str, Any]) -> tuple[Cause, bool]:
        """The cause, and whether the experiment or a file gives it."""
        setting = self.settings.find(str(spec["stage"]), name, change.path, spec)
        if setting.is_file:
            commit = author_of_file(self.root, setting.name) if self.today else None
            return Cause("file", setting.name, "its content changed", "", commit), True
        return self._placed(setting, change.words), setting.found

    def _placed(self, setting: Setting, change: str) -> Cause:
        place = f"{setting.file}:{setting.line}" if setting.line else setting.file
        commit = author_of_line(self.root, setting.file, setting.line) if setting.exact and self.today else None
        return Cause("setting", setting.name, change, place, commit)

    def _library(self, library: str, change: str) -> Cause:
        version = change.rpartition(" -> ")[2]
        for lock in _LOCKS if self.today else ():
            line = line_of(self.root / lock, f"{library}=={version}") if (self.root / lock).is_file() else 0
            if line:
                return Cause("library", library, change, f"{lock}:{line}", author_of_line(self.root, lock, line))
        return Cause("library", library, change)

    def _read(self, old: Sequence[Read], new: Sequence[Read], alone: bool) -> Iterator[Cause]:
        """Inputs of other content, and, where that ``alone`` differs, those that came or went."""
        for role in dict.fromkeys(each.role for each in (*old, *new)):
            before, now = ([each for each in reads if each.role == role] for reads in (old, new))
            if len(before) == len(now):
                for was, has in zip(before, now, strict=True):
                    if was.content != has.content:
                        yield self._input(was, has)
                continue
            if not alone:
                continue  # as the spec says
            there, then = {each.content for each in now}, {each.content for each in before}
            for has in (each for each in now if each.content not in then):
                yield Cause("input", has.name or role, "is read now, and was not")
            for was in (each for each in before if each.content not in there):
                yield Cause("input", was.name or role, "is read no more")

    def _input(self, was: Read, has: Read) -> Cause:
        name = has.name or was.name or has.role
        if was.manifest is None or has.manifest is None:
            return Cause("input", name, "has other content")
        known = (name, was.manifest.key, has.manifest.key)
        if known not in self._known:
            self._known[known] = self.between(name, made(was.manifest, self.find), made(has.manifest, self.find))
        return Cause("input", name, "has other content", because=self._known[known])


def _evaluated(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names in a list of the tables' spec; a model that only others start from is in none."""
    return [str(each["name"]) for each in entries if each.get("evaluated", True)]
