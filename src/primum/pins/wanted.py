"""What an experiment reads from outside: repositories, files with addresses, files of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from primum.curate import fetch, snapshot
from primum.dag.dag import STAGES, Dag
from primum.experiment import Experiment
from primum.experiment.load import read_experiment, validate
from primum.experiment.models import HubModel
from primum.hub.source import Source

# How each stage that brings things here reads its own specs.
_REPOSITORIES: Mapping[str, Callable[[str, Mapping[str, Any]], list[Source]]] = {
    "fetch": fetch.repositories,
    "snapshot": snapshot.repositories,
}


@dataclass(frozen=True, slots=True)
class File:
    """A file outside of repositories that ``where`` reads: from ``url``, or one of the project (None).

    ``sha256`` is None for a file that belongs into the project and is not there.
    """

    where: str
    path: str
    url: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that an experiment reads from outside, in the order in which its jobs are listed."""

    sources: tuple[Source, ...]
    files: tuple[File, ...]


def wanted(experiment: Experiment, root: Path) -> Wanted:
    """What the jobs of the target ``fetch`` will read, taken from their specs."""
    dag = Dag(experiment, root, "results")
    sources, files = [], []
    for stage in STAGES.values():
        if stage.target != "fetch":
            continue
        for name in stage.jobs(dag):
            for output in dag.job(stage.name, name).plan.outputs:
                sources += _REPOSITORIES[stage.name](output.name, output.spec)
                files += _files(output.name, output.spec)
    return Wanted(tuple(sources), tuple(files))


def _files(name: str, spec: Mapping[str, Any]) -> list[File]:
    found = fetch.single_files(spec) if "files" in spec else []
    return [File(f"datasets.{name}", each["path"], each["url"], each["sha256"]) for each in found]


def written(name: str, root: Path) -> tuple[Source, ...]:
    """What the experiment ``name`` reads of repositories, their revisions as its files give them, without the lock."""
    return wanted(validate(read_experiment(name, root, locked=False)), root).sources


def catalogued(root: Path) -> tuple[Source, ...]:
    """Every repository that a shipped experiment or its catalogs name, used or not; revisions as the files give them."""
    found: dict[Source, None] = {}
    for path in sorted((root / "config" / "experiments").glob("*.yaml")):
        found.update(dict.fromkeys(_entries(validate(read_experiment(path.stem, root, locked=False)))))
    return tuple(found)


def _entries(experiment: Experiment) -> Iterator[Source]:
    for name, dataset in experiment.datasets.items():
        yield from fetch.repositories(name, dataset.model_dump(mode="json"))
    for name, model in experiment.models.items():
        if isinstance(model, HubModel):
            yield from snapshot.repositories(name, model.model_dump(mode="json"))
