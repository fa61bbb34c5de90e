"""The steps as a tree of lines: what is met twice is unfolded once, and then referred to."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from primum.trace.steps import RawFile, Read, Step, Unfolded
from primum.trace.words import number, plural

# How each kind of line looks on a terminal: what rich calls a style.
STYLES = {"head": "bold", "soft": "dim", "bad": "red", "": ""}
# More files of one step than these are counted; --json and --html list all of them.
FILES = 40
_IN_TREE = 4
_NARROWEST = 30
# What is the same for most steps: said once, and of a step where it is another.
_FACTS = (
    *("host", "machine", "cpus", "gpus", "driver", "cuda", "container", "python", "user", "commit", "clean", "lock"),
    *("slurm_job", "failed", "command"),
)
_HEX = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,52}\b")


@dataclass(frozen=True, slots=True)
class Line:
    """``text`` after the ``guide`` that shows where in the tree it is, then a soft ``tail``. ``kind`` is a key of ``STYLES``."""

    guide: str
    text: str
    kind: str = ""
    tail: str = ""


def short(digest: str) -> str:
    """The beginning of a hash."""
    return digest[:12]


def told(value: Any) -> str:
    """A value of a manifest's ``run`` on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(told, value))}]"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {told(each)}" for key, each in value.items())
    return value if isinstance(value, str) and value.isprintable() else repr(value)


def _brief(value: Any) -> str:
    """As :func:`told`, but of hashes and commits the beginning."""
    return _HEX.sub(r"\1", told(value))


def common_facts(steps: Sequence[Step]) -> tuple[dict[str, str], dict[str, str]]:
    """What more than half of the steps were made with; and of each library the version that most of its steps used."""
    facts: dict[str, Counter[str]] = {}
    versions: dict[str, Counter[str]] = {}
    for step in steps:
        for key in _FACTS:
            if key in step.run:
                facts.setdefault(key, Counter())[_brief(step.run[key])] += 1
        for library, version in step.libraries.items():
            versions.setdefault(library, Counter())[str(version)] += 1
    most = {key: counter.most_common(1)[0] for key, counter in facts.items()}
    common = {key: value for key, (value, count) in most.items() if 2 * count > len(steps)}
    return common, {key: versions[key].most_common(1)[0][0] for key in sorted(versions)}


def cost(step: Step) -> str:
    """What a step took: seconds, and what was counted besides, such as tokens."""
    seconds = step.run.get("seconds")
    parts = [] if seconds is None else [f"{number(seconds)} s"]
    others = {key: value for key, value in dict(step.run.get("cost") or {}).items() if key != "seconds"}
    return ", ".join([*parts, *(f"{told(value)} {str(key).replace('_', ' ')}" for key, value in others.items())])


def made(step: Step, facts: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """With which code and libraries, when and at what cost; and of machine and versions what is not as with most steps."""
    own = {key: _brief(step.run[key]) for key in _FACTS if key in step.run}
    other = [f"{key} {own.get(key, 'not known')}" for key in _FACTS if own.get(key, "") != facts.get(key, "")]
    used = [key if versions[key] == version else f"{key} {version}" for key, version in step.libraries.items()]
    parts = [
        f"code {short(step.code)}" if step.code else "",
        *used,
        str(step.run.get("finished", "")),
        cost(step),
        *other,
    ]
    return ", ".join(part for part in parts if part)


def parameters(step: Step) -> str:
    """The settings and counts that the sentence leaves out; what belongs together in brackets."""
    groups: dict[str, list[str]] = {}
    for path, value in step.settings.items():
        group, dot, name = path.partition(".")
        groups.setdefault(group if dot else "", []).append(f"{name if dot else path} {value}")
    parts = groups.pop("", []) + [f"{group} ({', '.join(own)})" for group, own in groups.items()]
    counts = [f"{key} {told(value)}" for key, value in step.counts.items()]
    settled = [f"with {', '.join(parts)}"] if parts else []
    return "; ".join([*settled, *([f"counts {', '.join(counts)}"] if counts else [])])


def adoptions(step: Step) -> list[str]:
    """Who kept this after a change of code or versions, when and why."""
    return [
        f"adopted by {told(note.get('by'))} at {told(note.get('at'))}: {told(note.get('why'))}"
        for note in step.adopted
        if isinstance(note, Mapping)
    ]


def from_where(file: RawFile) -> str:
    """The address, revision and licence of a raw file, where they are known."""
    at = f" at {file.revision}" if file.revision else ""
    return ", ".join([*([f"{file.source}{at}"] if file.source else []), *([file.licence] if file.licence else [])])


def lost(read: Read) -> str:
    """What is known of an input that is gone."""
    key = f", key {short(read.key)}" if read.key else ""
    return f"missing, here and in the store: content {short(read.content)}{key}"


def grouped(reads: Sequence[Read], seen: Collection[str]) -> Iterator[list[Read]]:
    """Reads one by one, but those of one role together that are ``seen`` by then, while the steps are unfolded."""
    waiting: list[Read] = []
    for read in reads:
        if waiting and (read.role, read.why, read.step in seen) != (waiting[0].role, waiting[0].why, True):
            yield waiting
            waiting = []
        if read.step in seen:
            waiting.append(read)
        else:
            yield [read]
    if waiting:
        yield waiting


class Tree:
    """The lines of what was unfolded, for so many characters a line."""

    def __init__(self, unfolded: Unfolded, width: int = 0) -> None:
        self._unfolded = unfolded
        self._width = width or shutil.get_terminal_size((100, 24)).columns
        self._facts, self._versions = common_facts(list(unfolded.steps.values()))
        plain = not (sys.stdout.encoding or "").lower().startswith("utf")
        self._last, self._other, self._through = ("` ", "|-", "| ") if plain else ("└ ", "├ ", "│ ")
        self._seen: set[str] = set()

    def wrapped(self, guide: str, text: str, kind: str = "", first: str | None = None) -> Iterator[Line]:
        """``text`` in lines that fit, the first of them with the guide ``first``."""
        room = max(self._width - len(guide) - 1, _NARROWEST)
        lines = textwrap.wrap(text, room, subsequent_indent="  ", break_on_hyphens=False) or [""]
        for index, line in enumerate(lines):
            yield Line(first if first is not None and not index else guide, line, kind)

    def common(self) -> Iterator[Line]:
        """What holds for most steps."""
        steps = len(self._unfolded.steps)
        seconds = sum(float(step.run.get("seconds") or 0) for step in self._unfolded.steps.values())
        yield Line(
            "",
            f"{plural(steps, 'step')}, {number(round(seconds, 1))} s in all. Where a step says nothing else:",
            "soft",
        )
        if self._facts:
            yield from self.wrapped(
                "  ", "made with " + ", ".join(f"{key} {v}" for key, v in self._facts.items()), "soft"
            )
        if self._versions:
            versions = ", ".join(f"{key} {version}" for key, version in self._versions.items())
            yield from self.wrapped("  ", f"libraries {versions}", "soft")

    def lines(self) -> Iterator[Line]:
        """The tree."""
        yield from self._step("", self._unfolded.root, "", "")

    def _reads(self, reads: Sequence[Read], guide: str) -> Iterator[Line]:
        done = 0
        # One after another: what the first of them unfold is known when the next are told.
        for group in grouped(reads, self._seen):
            done += len(group)
            first, below = (self._last, "  ") if done == len(reads) else (self._other, self._through)
            yield from self._group(group, guide + first, guide + below)

    def _group(self, group: Sequence[Read], first: str, below: str) -> Iterator[Line]:
        read = group[0]
        role = read.role + (f" ({read.why})" if read.why else "")
        if not read.step:
            yield from self.wrapped(below, f"{role}: {lost(read)}", "bad", first)
        elif read.step in self._seen:
            names = ", ".join(dict.fromkeys(each.step for each in group))
            yield from self.wrapped(below, f"{role}: see above: {names}", "soft", first)
        else:
            yield from self._step(role, read, first, below)

    def _step(self, role: str, read: Read, first: str, below: str) -> Iterator[Line]:
        step = self._unfolded.steps[read.step]
        self._seen.add(read.step)
        title = f"{role}: {step.name}" if role else step.name
        yield Line(first, title, "head", f"  {short(step.content)}")
        inside = below + (self._through if step.inputs else "  ")
        if read.state == "store":
            yield from self.wrapped(inside, "missing here; the store has it, and says:", "bad")
        facts, settled = made(step, self._facts, self._versions), parameters(step)
        if not settled and len(inside) + len(step.did) + len(facts) + 2 < self._width:
            yield Line(inside, step.did, "", f"  {facts}")
        else:
            yield from self.wrapped(inside, step.did)
            if settled:
                yield from self.wrapped(inside, settled, "soft")
            yield from self.wrapped(inside, facts, "soft")
        for note in adoptions(step):
            yield from self.wrapped(inside, note, "head")
        for file in step.files[:_IN_TREE]:
            yield from self.wrapped(inside, f"{file.path}, sha256 {short(file.sha256)}" + _comma(from_where(file)))
        if len(step.files) > _IN_TREE:
            yield Line(inside, f"and {plural(len(step.files) - _IN_TREE, 'more file')}")
        if step.deeper:
            yield Line(inside, "what it was made of is deeper than --depth", "soft")
        yield from self._reads(step.inputs, below)

    def files(self) -> Iterator[Line]:
        """All raw files in the form that sha256sum reads, but for steps that have very many."""
        for step in self._unfolded.steps.values():
            if len(step.files) > FILES:
                yield Line("", f"# {step.name}: {plural(len(step.files), 'file')}, which --json lists", "soft")
                continue
            for file in step.files:
                yield Line("", f"{file.sha256}  {step.name}/{file.path}")


def _comma(text: str) -> str:
    return f", {text}" if text else ""
