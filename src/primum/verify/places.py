"""What should lie where: which job makes the artifact at a path, and at which paths its inputs lie.

The spec of a score names no model, so that two models' scores of one benchmark have equal specs: only their places tell them
apart. A run writes down what it asks of each job (``requests/``). Where that is gone the project's experiment says it, if it
still is the one that was run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from primum.artifact.invocation import request_paths
from primum.artifact.job import item_spec
from primum.artifact.request import Request, load_request
from primum.artifact.results import EXPERIMENT
from primum.dag.dag import STAGES
from primum.dag.scope import Scope
from primum.errors import PrimumError
from primum.experiment.load import load_experiment
from primum.reading import regular
from primum.verify.finding import RUN, Finding, Seen, Unchecked


@dataclass(frozen=True, slots=True)
class Place:
    """The artifact ``name`` of a ``stage``: ``inputs`` are paths of manifests in the results folder, by role.

    ``job`` is the spec of the whole job and ``spec`` that of the artifact; "" and None where no request tells them.
    """

    stage: str
    name: str
    inputs: Mapping[str, Sequence[str]]
    sensitive: bool
    job: str = ""
    spec: Mapping[str, Any] | None = None


def places_of(results: Path, root: Path | None) -> tuple[dict[str, Place], list[Seen]]:
    """Place by the path of its manifest in ``results``, and what is to be said of how they were found."""
    requests, seen = [], list[Seen]()
    places: dict[str, Place] = {}
    # The newest last: where rules had other names, two may ask for one artifact.
    for path in sorted(request_paths(results), key=lambda path: (path.stat().st_mtime, path)):
        try:
            requests.append((path, load_request(path)))
        except PrimumError as error:
            wrong, _, remedy = str(error).removeprefix(f"{path}: ").rpartition(": ")
            seen.append(Finding(path, wrong, remedy))
    if requests:
        before = _folder([request for _, request in requests], results)
        for path, request in requests:
            try:
                places.update(_asked(request, before))
            except (ValueError, LookupError, TypeError):
                seen.append(Finding(path, "is no request of a job", RUN))
        return places, seen
    try:
        return dict(_planned(results, root)), seen
    except PrimumError as error:
        return {}, [*seen, Unchecked("folders: which artifact lies where", str(error))]


def _folder(requests: Sequence[Request], results: Path) -> PurePath:
    """What the results folder was called when the requests were written: it may have been moved since."""
    votes: Counter[PurePath] = Counter()
    for request in requests:
        for output in request.outputs:
            parts = output.path.parts
            there = (i for i in range(1, len(parts)) if results.joinpath(*parts[i:]).exists())
            if (first := next(there, None)) is not None:
                votes[PurePath(*parts[:first])] += 1
    return votes.most_common(1)[0][0] if votes else PurePath(results)


def _inside(path: Path | str, folder: PurePath) -> str:
    pure = PurePath(path)
    return (pure.relative_to(folder) if pure.is_relative_to(folder) else pure).as_posix()


def _asked(request: Request, before: PurePath) -> Iterator[tuple[str, Place]]:
    spec = json.loads(request.spec)
    for (name, item), output in zip(spec["items"], request.outputs, strict=False):
        if not output.path.is_relative_to(before):
            continue  # of a run that lay elsewhere
        inputs = {role: paths for role, paths in {**request.inputs, **output.inputs}.items() if paths}
        yield (
            _inside(output.path, before),
            Place(
                spec["stage"],
                name,
                {role: [_inside(path, before) for path in paths] for role, paths in inputs.items()},
                output.sensitive,
                request.spec,
                item_spec(spec, item),
            ),
        )


def _planned(results: Path, root: Path | None) -> Iterator[tuple[str, Place]]:
    """The places by the project's experiment. PrimumError where it is not at hand, or not the one that was run."""
    if root is None:
        raise PrimumError("neither its requests nor the project is at hand")
    try:
        text = regular(results / EXPERIMENT).read_text(encoding="utf-8")
        experiment = load_experiment(str(json.loads(text)["name"]), root)
    except (OSError, ValueError, KeyError, TypeError):
        raise PrimumError("neither its requests nor its experiment.json is at hand") from None
    if experiment.model_dump_json(indent=1, by_alias=True) + "\n" != text:
        raise PrimumError("its requests are gone, and the project's experiment is not the one that was run")
    scope = Scope(experiment, root, "")
    for stage in STAGES.values():
        for job in stage.jobs(scope):
            plan = stage.plan(scope, job)
            for output in plan.outputs:
                inputs = {
                    role: [path.removeprefix("/") for path in paths] for role, paths in plan.inputs_of(output).items()
                }
                sensitive = output.sensitive or stage.sensitive
                yield output.path.removeprefix("/"), Place(stage.name, output.name, inputs, sensitive)
