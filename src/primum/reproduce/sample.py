"""Which artifacts are made again: some of each stage, what tells much for little time first, within a budget.

The strata are the stages. What was adopted comes first, whatever it takes, since a word alone stands for it. Then one artifact of
each stage, the cheapest stage first; then a second of each, and so on. Within a stage the order is drawn by a seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from primum.artifact.manifest import Artifact

# Seconds that a process takes before it does anything: without torch, and with it (2 cores).
_START, _START_MODEL = 1.5, 6.0


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """An artifact that can be made again: its ``name`` below the results, and what it took when it was made, in seconds.

    Those of one ``group`` are made in one process. ``model`` says that it loads or trains a model.
    """

    artifact: Artifact
    name: str
    group: str
    seconds: float
    model: bool

    @property
    def stage(self) -> str:
        return self.artifact.manifest.stage

    @property
    def adopted(self) -> bool:
        return bool(self.artifact.manifest.run.get("adopted"))


@dataclass(frozen=True, slots=True)
class Sample:
    """``groups`` of candidates, each to be made in one process, in the order to make them; what was ``left`` out; ``seconds``."""

    groups: Sequence[Sequence[Candidate]]
    left: Sequence[Candidate]
    seconds: float

    @property
    def chosen(self) -> list[Candidate]:
        return [each for group in self.groups for each in group]


def expected(group: Sequence[Candidate]) -> float:
    """The seconds that a process takes to make these, by what they took before."""
    return (_START_MODEL if group[0].model else _START) + sum(each.seconds for each in group)


def choose(candidates: Sequence[Candidate], budget: float | None, most: int | None, seed: int) -> Sample:
    """At most ``most`` of ``candidates``, as many as fit ``budget`` seconds (None: no bound), in the module's order."""
    draw = random.Random(seed)
    groups: dict[str, list[Candidate]] = {}
    spent = 0.0

    def price(each: Candidate) -> float:
        return each.seconds if each.group in groups else expected([each])

    def take(each: Candidate) -> bool:
        nonlocal spent
        number = sum(map(len, groups.values()))
        if each.adopted:
            pass
        elif (most is not None and number >= most) or (budget is not None and spent + price(each) > budget):
            return False
        spent += price(each)
        groups.setdefault(each.group, []).append(each)
        return True

    strata: dict[str, list[Candidate]] = {}
    for each in sorted(candidates, key=lambda each: each.name):
        strata.setdefault(each.stage, []).append(each)
    for stratum in strata.values():
        draw.shuffle(stratum)
    for each in [each for stratum in strata.values() for each in stratum if each.adopted]:
        take(each)
    taken = {id(each) for group in groups.values() for each in group}
    waiting = [[each for each in stratum if id(each) not in taken] for stratum in strata.values()]
    first = True
    while any(waiting):
        for stratum in sorted(filter(None, waiting), key=lambda stratum: price(stratum[0])):
            if not take(stratum.pop(0)) and first and stratum:
                # One of each stage: the one that was drawn takes too long, perhaps the one that takes least does not.
                least = min(stratum, key=price)
                stratum.remove(least)
                take(least)
        first = False
    kept = {id(each) for group in groups.values() for each in group}
    return Sample(list(groups.values()), [each for each in candidates if id(each) not in kept], spent)
