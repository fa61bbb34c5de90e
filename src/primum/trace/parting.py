"""Where two results folders part: the first artifacts, by name and in the order of the DAG, that came out otherwise, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from primum.artifact.graph import Graph
from primum.artifact.manifest import Artifact, Manifest
from primum.artifact.results import experiment_of
from primum.trace.causes import Cause, Causes, made
from primum.trace.settings import Settings


@dataclass(slots=True)
class Part:
    """One cause: the artifacts that part for it themselves (``own``), and those that differ behind them."""

    cause: Cause
    own: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Parting:
    """``equal`` and ``differing`` are names that both have, ``otherwise`` those of equal content that were made otherwise.

    ``only`` are the names that one of the two has, ``parts`` the causes, the earliest first.
    """

    equal: Sequence[str]
    differing: Sequence[str]
    otherwise: Mapping[str, tuple[Cause, ...]]
    only: tuple[Sequence[str], Sequence[str]]
    parts: Sequence[Part]

    @property
    def same(self) -> bool:
        """Whether both have the same artifacts of the same content."""
        return not self.differing and not any(self.only)


def parting(one: Graph, other: Graph, root: Path) -> Parting:
    """Compare two results folders by their manifests. Data is not read."""
    graphs = (one, other)
    named = [{graph.name(each): each for each in graph.artifacts} for graph in graphs]
    both = [name for name in named[0] if name in named[1]]
    order = _order(one)
    both.sort(key=lambda name: (order(named[0][name]), name))
    names = {each.manifest.content: name for found in named for name, each in reversed(found.items())}

    def find(key: str, content: str) -> tuple[str, Manifest | None]:
        return names.get(content, ""), None  # what it was made of is compared itself

    settings = Settings(experiment_of(other.results), root)
    causes = Causes(root, lambda: settings, find, today=False)
    equal, otherwise, groups = [], {}, dict[Cause, Part]()
    roots: dict[str, dict[Cause, None]] = {}
    for name in both:
        was, has = (found[name].manifest for found in named)
        if was.content == has.content:
            equal.append(name)
            if was.key != has.key and (found := _own(was, has, name, causes)):
                otherwise[name] = found
            continue
        own = _own(was, has, name, causes)
        # What it reads of what came out otherwise; other reasons are its own.
        read = _differing_inputs(one, named[0][name], roots) | _differing_inputs(other, named[1][name], roots)
        behind = {cause for each in sorted(read) for cause in roots[each]}
        if not own and not read:
            own = (_unexplained(was, has, name, causes),)
        for cause in own:
            groups.setdefault(cause, Part(cause)).own.append(name)
        for cause in behind - set(own):
            groups[cause].behind.append(name)
        roots[name] = dict.fromkeys([*own, *behind])
    only = tuple([name for name in mine if name not in others] for mine, others in (named, reversed(named)))
    return Parting(equal, list(roots), otherwise, (only[0], only[1]), list(groups.values()))


def _order(graph: Graph) -> Callable[[Artifact], int]:
    """How many artifacts lie before one, on the longest way."""
    under_way: set[Path] = set()

    @cache
    def depth(path: Path) -> int:
        if path in under_way:  # a manifest that was edited may say that it was made of itself
            return 0
        under_way.add(path)
        below = [each.artifact for each in graph.inputs(by_path[path]) if each.artifact is not None]
        found = 1 + max((depth(each.path) for each in below), default=0)
        under_way.remove(path)
        return found

    by_path = {each.path: each for each in graph.artifacts}
    return lambda artifact: depth(artifact.path)


def _own(was: Manifest, has: Manifest, name: str, causes: Causes) -> tuple[Cause, ...]:
    """What differs in its own spec, or that nothing does and it came out otherwise."""
    found = causes.between(name, made(was, causes.find), made(has, causes.find))
    return tuple(each for each in found if each.kind != "input")


def _unexplained(was: Manifest, has: Manifest, name: str, causes: Causes) -> Cause:
    """It reads something else that has no counterpart here: another artifact, or one that is gone."""
    found = causes.between(name, made(was, causes.find), made(has, causes.find))
    return found[0] if found else Cause("other", name, "was made of what is not here")


def _differing_inputs(graph: Graph, artifact: Artifact, differing: Mapping[str, object]) -> set[str]:
    inputs = (each.artifact for each in graph.inputs(artifact))
    return {name for each in inputs if each is not None and (name := graph.name(each)) in differing}
