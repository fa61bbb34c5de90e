"""All jobs of an experiment: what each reads and makes, and its spec, one canonical JSON string, its rule's only param.

A spec holds the job's slice of the experiment, the digest of the code it runs and the versions (from the lock) of the
libraries that can change its result: nothing else decides what a job makes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digests
from primum.dag import aggregation, curation, evaluation, preferences, training
from primum.dag.scope import Scope
from primum.dag.stage import Plan, Stage
from primum.dag.versions import locked_versions
from primum.errors import PrimumError

STAGES: dict[str, Stage] = {
    stage.name: stage for group in (curation, training, preferences, evaluation, aggregation) for stage in group.STAGES
}
TARGETS = tuple(dict.fromkeys(stage.target for stage in STAGES.values()))
# The stages that train a model.
TRAINING = tuple(name for name, stage in STAGES.items() if stage.trains)
SEVERAL = tuple(name for name, stage in STAGES.items() if stage.trains or stage.several)  # processes, if asked for


@dataclass(frozen=True, eq=False)
class Job:
    """One job, its name in the form of ``stage.job``. ``model`` is the one whose overrides hold for it, if there is one."""

    stage: Stage
    name: str
    plan: Plan
    spec: str
    model: str | None

    @property
    def paths(self) -> list[str]:
        """The manifests that it makes."""
        return [output.path for output in self.plan.outputs]


@dataclass(frozen=True)
class Dag(Scope):
    """The jobs of what an experiment covers."""

    @cached_property
    def _jobs(self) -> dict[tuple[str, str], Job]:
        return {}

    def job(self, stage: str, name: str) -> Job:
        """One job, planned once and kept. PrimumError for a stage that there is not."""
        if stage not in STAGES:
            raise PrimumError(f"{stage!r}: no such stage; there are: {', '.join(STAGES)}")
        if (stage, name) not in self._jobs:
            kind = STAGES[stage]
            plan, model = kind.plan(self, name), kind.model(self.experiment, kind.wildcards(name))
            if kind.sensitive:
                plan = replace(plan, outputs=[replace(output, sensitive=True) for output in plan.outputs])
            self._jobs[stage, name] = Job(kind, name, plan, self._spec(kind, plan), model)
        return self._jobs[stage, name]

    def spec(self, stage: str, name: str) -> str:
        return self.job(stage, name).spec

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Every job of the experiment, each behind those that it reads from."""
        jobs = [self.job(name, each) for name, stage in STAGES.items() for each in stage.jobs(self)]
        maker = {path: index for index, job in enumerate(jobs) for path in job.paths}
        before = {i: sorted({maker[path] for path in job.plan.read if path in maker}) for i, job in enumerate(jobs)}
        return tuple(jobs[index] for index in TopologicalSorter(before).static_order())

    @property
    def targets(self) -> list[str]:
        """The targets that the experiment has jobs of, in the order of the stages."""
        there = {job.stage.target for job in self.jobs}
        return [target for target in TARGETS if target in there]

    @cached_property
    def _codes(self) -> dict[str, str]:
        """The code digest of every stage's module, taken once: a run plans all its jobs from the same code."""
        digests = code_digests((stage.module for stage in STAGES.values()), Path(__file__).parents[2])
        return {name: digests[stage.module] for name, stage in STAGES.items()}

    @cached_property
    def _versions(self) -> dict[str, str]:
        return locked_versions(self.root / "envs")

    def _spec(self, stage: Stage, plan: Plan) -> str:
        libraries = stage.libraries if plan.libraries is None else plan.libraries
        missing = [name for name in libraries if name not in self._versions]
        if missing:
            raise PrimumError(f"envs/: no lock pins {missing[0]}: run make lock")
        return canonical_json(
            {
                "stage": stage.name,
                "code": self._codes[stage.name],
                "libraries": {name: self._versions[name] for name in libraries},
                "common": plan.common,
                "items": [[output.name, output.spec] for output in plan.outputs],
                "reads": list(plan.chosen),
            }
        )


def parquet(manifest: str) -> str:
    """The Parquet file beside a table's manifest."""
    return manifest.removesuffix(".json") + ".parquet"
