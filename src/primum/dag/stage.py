"""What a stage is: one declaration of which jobs there are, what each reads and makes, and what decides the result.

The stages themselves are in :mod:`primum.dag.curation`, ``training``, ``evaluation`` and ``aggregation``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from primum.dag.scope import Scope
from primum.experiment import Experiment
from primum.experiment.types import Resources

Paths = Sequence[str]

_TABLE = ("pyarrow",)


@dataclass(frozen=True, slots=True)
class Output:
    """One artifact of a job: its manifest's ``path``, its slice of the spec, and what it reads alone, by role.

    ``sensitive`` says that it holds requests for harm, or what is made of them (:mod:`primum.dag.sensitive`). It is in no spec.
    """

    name: str
    path: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Paths] = field(default_factory=dict)
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One job: its ``outputs``, the ``common`` part of their specs, and the manifests that all of them read, by role.

    ``libraries`` are those of the stage where nothing is said. ``chosen`` names what the experiment lets the job read:
    another choice is another spec. It is no part of an artifact's key, which has the content instead.
    """

    outputs: Sequence[Output]
    common: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Paths] = field(default_factory=dict)
    libraries: tuple[str, ...] | None = None
    chosen: Sequence[str] = ()

    def reads(self, role: str) -> list[str]:
        """All manifests of a role, each once."""
        own = [path for output in self.outputs for path in output.inputs.get(role, ())]
        return list(dict.fromkeys([*self.inputs.get(role, ()), *own]))

    def inputs_of(self, output: Output) -> dict[str, Paths]:
        """What one output reads, the shared and its own, by role; roles without any are left out."""
        return {role: paths for role, paths in {**self.inputs, **output.inputs}.items() if paths}

    @property
    def roles(self) -> list[str]:
        """The roles that something is read in."""
        return list(dict.fromkeys(role for output in self.outputs for role in self.inputs_of(output)))

    @property
    def read(self) -> set[str]:
        """Every manifest that the job reads."""
        return {path for role in self.roles for path in self.reads(role)}


def _named(_: Experiment, wildcards: Mapping[str, str]) -> str | None:
    return wildcards.get("model")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """``module`` does the work (its function ``run``), and is named, not imported: what the store has loads nothing.

    ``target`` is the name that people use (``snakemake sft``, ``refresh=sft``), and the key of ``resources`` where ``asks``
    names no other. ``job`` is the form of a job's name, in the wildcards of its ``rule``; ``jobs`` lists the names, ``plan``
    tells about one of them, and ``model`` which model's overrides hold for it.
    ``libraries`` (pinned in envs/) can change the result. Stages that ``train``, and others that are ``several``, may run as
    several processes, on several nodes. ``long`` jobs are waited for when a killed run left them in a cluster's queue.
    All that a ``sensitive`` stage makes is; of others each :class:`Output` says so.
    """

    name: str
    help: str
    module: str
    target: str
    rule: str
    job: str
    jobs: Callable[[Scope], Iterable[str]]
    plan: Callable[[Scope, str], Plan]
    kind: Literal["table", "folder"] = "table"
    libraries: tuple[str, ...] = _TABLE
    model: Callable[[Experiment, Mapping[str, str]], str | None] = _named
    asks: str = ""
    trains: bool = False
    several: bool = False
    long: bool = False
    sensitive: bool = False

    def wildcards(self, job: str) -> dict[str, str]:
        """The values of the wildcards in a job's name: ``judge`` and ``model`` of ``harm/sft``."""
        return dict(zip(self.names, job.split("/", len(self.names) - 1), strict=True)) if self.names else {}

    @property
    def names(self) -> list[str]:
        """The wildcards in a job's name."""
        return [part.strip("{}") for part in self.job.split("/") if part.startswith("{")]

    def own(self, wildcards: Mapping[str, str]) -> list[str]:
        """The values of a job's wildcards that are not in the name of its rule."""
        return [value for name, value in wildcards.items() if f"{{{name}}}" not in self.rule]

    def resources(self, experiment: Experiment, model: str | None) -> Resources:
        """What a job that runs ``model`` asks the scheduler for."""
        return experiment.resources_of(self.asks or self.target, model)
