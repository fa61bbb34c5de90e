"""Artifacts of a finished experiment are made again, elsewhere, and compared with what was claimed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from primum.artifact.graph import Graph, read_graph
from primum.dag.dag import STAGES
from primum.errors import PrimumError
from primum.reproduce.elsewhere import Circumstances, Wanted, Workshop, elsewhere, here, threads_of
from primum.reproduce.outcome import Outcome, remake
from primum.reproduce.plan import candidate_of, inputs_of, mirror_of, resources_of, shared_roles
from primum.reproduce.sample import Candidate, Sample, choose, expected
from primum.reproduce.screen import Screen

NOT_ASKED = "of stages that were not asked for"
_SPEC = {"stage", "code", "libraries", "common", "item"}


@dataclass(frozen=True)
class Audit:
    """All that a report says.

    ``left`` is what was not made again, as (name, stage) by reason. ``wrong`` says what is wrong with manifests.
    """

    graph: Graph
    sample: Sample
    outcomes: Sequence[Outcome]
    left: Mapping[str, Sequence[tuple[str, str]]]
    wrong: Sequence[str]
    budget: float | None
    seed: int
    started: float
    seconds: float
    here: Circumstances
    there: Circumstances
    threads: Sequence[int] = field(default_factory=tuple)

    @property
    def is_clean(self) -> bool:
        """Whether something was made again, and all of it is what was claimed."""
        return bool(self.outcomes) and not self.wrong and all(each.matched for each in self.outcomes)


def audit(
    results: Path,
    stages: Sequence[str],
    budget: float | None,
    most: int | None,
    seed: int,
    output: Path,
    screen: Screen,
) -> Audit:
    """Make a sample of the artifacts below ``results`` again, in the folder ``output``, which is new, and compare.

    ``budget`` is in seconds. What differs is kept in ``output/different``. Raises PrimumError where there is nothing to audit, or
    ``output`` is there.
    """
    for stage in stages:
        if stage not in STAGES:
            raise PrimumError(f"--stage {stage}: no such stage; there are: {', '.join(STAGES)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PrimumError(f"{output}: is there: give a new folder as --output")
    started, since = time.time(), time.monotonic()
    graph = read_graph(results)
    asked = [each for each in graph.artifacts if not stages or each.manifest.stage in stages]
    if not asked:
        raise PrimumError(f"{results}: has no artifact" + (f" of the stages {', '.join(stages)}" if stages else ""))
    mirror, shared = mirror_of(results), shared_roles(results)
    left: dict[str, list[tuple[str, str]]] = {}
    candidates, wanted = [], {}
    wrong = list(graph.unreadable.values())
    for artifact in asked:
        name = graph.name(artifact)
        if artifact.manifest.stage in STAGES and not artifact.manifest.spec.keys() >= _SPEC:
            wrong.append(f"{artifact.path}: its spec is none that a stage can be asked with")
            continue
        try:
            wanted[name] = Wanted(name, artifact, inputs_of(graph, artifact, mirror))
        except PrimumError as error:
            left.setdefault(str(error), []).append((name, artifact.manifest.stage))
            continue
        candidates.append(candidate_of(name, artifact, shared))
    sample = choose(candidates, budget, most, seed)
    screen.opening(results, asked, sample, seed)
    work = (output / "work").resolve()
    there = elsewhere(work, seed)
    try:
        made = _make(sample, wanted, Workshop(work, there, mirror, screen.tick), resources_of(results), budget, screen)
    finally:
        screen.end()
        shutil.rmtree(work, ignore_errors=True)
    others = [(graph.name(each), each.manifest.stage) for each in graph.artifacts if stages and each not in asked]
    for reason, given in (
        (NOT_ASKED, others),
        ("the budget was spent before", [(each.name, each.stage) for each in made.late]),
        ("not in the sample", [(each.name, each.stage) for each in sample.left]),
    ):
        left |= {reason: given} if given else {}
    return Audit(
        graph=graph,
        sample=sample,
        outcomes=sorted(made.outcomes, key=lambda each: each.name),
        left=left,
        wrong=wrong,
        budget=budget,
        seed=seed,
        started=started,
        seconds=time.monotonic() - since,
        here=here(),
        there=there,
        threads=sorted(made.threads),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """``late`` are those that the budget had no time for any more; ``threads`` the numbers that processes had."""

    outcomes: list[Outcome]
    late: list[Candidate]
    threads: set[int]


def _make(
    sample: Sample,
    wanted: Mapping[str, Wanted],
    workshop: Workshop,
    resources: Mapping[str, Any],
    budget: float | None,
    screen: Screen,
) -> _Made:
    """Make the groups of a sample, one after the other, as long as the next one is to end within the budget."""
    made = _Made([], [], set())
    since = time.monotonic()
    predicted = 0.0
    for group in sample.groups:
        spent = time.monotonic() - since
        # What takes longer here than it did will do so the next time as well.
        pace = max(1.0, spent / predicted) if predicted else 1.0
        always = not made.outcomes or any(each.adopted for each in group)
        if budget is not None and not always and spent + expected(group) * pace > budget:
            made.late.extend(group)
            continue
        screen.running(group, len(made.outcomes))
        made.threads.add(threads := threads_of(group[0].artifact, resources))
        found = remake([wanted[each.name] for each in group], workshop, threads)
        screen.done(found)
        made.outcomes.extend(found)
        predicted += expected(group)
    return made
