"""What the tables and the report need to know of an experiment's parts: names, titles and kinds, in its order."""

from __future__ import annotations

from typing import Any

from primum.dag.relations import related
from primum.experiment import Experiment


def experiment_metadata(experiment: Experiment) -> dict[str, Any]:
    """The models that are made and the benchmarks, prompts and judges of the evaluation, each a list of mappings."""
    models = [
        {
            "name": name,
            "title": experiment.models[name].title,
            "size_class": experiment.models[name].size_class,
            "kind": experiment.kind_of(name),
            "start": next(iter(experiment.parents(name)), None),
            "data": getattr(experiment.models[name], "data", None),
            "evaluated": name in experiment.evaluate.models,
            "axes": dict(experiment.models[name].axes),
        }
        for name in experiment.needed_models()
    ]
    benchmarks = [
        {"name": name, **{key: getattr(entry, key) for key in ("title", "group", "macro", "normalize", "part_of")}}
        for name, entry in ((n, experiment.benchmarks[n]) for n in experiment.evaluate.benchmarks)
    ]
    groups = [
        {"name": name, **{key: getattr(entry, key) for key in ("title", "benchmarks", "weight_by_size")}}
        for name, entry in experiment.evaluated_groups().items()
    ]
    return {
        "models": models,
        "benchmarks": benchmarks,
        **({"groups": groups} if groups else {}),
        "prompts": [
            {"name": n, "kind": experiment.prompts[n].kind, "part_of": experiment.prompts[n].part_of}
            for n in experiment.evaluate.prompts
        ],
        "judges": [_judge(experiment, name) for name in experiment.evaluate.judges],
    }


def _judge(experiment: Experiment, name: str) -> dict[str, Any]:
    """``gate`` is what alpha must lie above: without one a judge that is checked must still be better than chance."""
    entry = experiment.judges[name]
    return {
        "name": name,
        "kind": entry.kind,
        "gate": entry.gate.alpha if entry.gate else 0.0,
        "at_random": all(experiment.judges[each].graded_at_random for each in entry.members or (name,)),
        "members": list(entry.members),
        "quorum": entry.quorum,
        "prompts": list(entry.prompts),
        "related": related(experiment, name),
    }
