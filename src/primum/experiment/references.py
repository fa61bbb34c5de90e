"""Which part of an experiment names which other part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from primum.experiment.models import DPOModel, PretrainedModel, SFTModel
from primum.experiment.preferences import DemonstratedPreferences, SampledPreferences

if TYPE_CHECKING:
    from primum.experiment.experiment import Experiment


def references(experiment: Experiment) -> Iterator[tuple[str, str, str]]:
    """(where, name, section) of every reference; catalog entries that this experiment does not use have none."""
    for name, model in experiment.models.items():
        where = f"models.{name}"
        if isinstance(model, PretrainedModel | SFTModel):
            yield f"{where}.data", model.data, "mixtures"
        if isinstance(model, SFTModel | DPOModel):
            yield f"{where}.from", model.start, "models"
        if isinstance(model, DPOModel):
            yield f"{where}.data", model.data, "preferences"
            yield f"{where}.reference", model.reference or model.start, "models"
    for name, mixture in experiment.mixtures.items():
        for key, source in mixture.sources.items():
            yield f"mixtures.{name}.sources.{key}.dataset", source.dataset, "datasets"
            if source.judge:
                yield f"mixtures.{name}.sources.{key}.judge", source.judge, "judges"
    for name, preferences in experiment.preferences.items():
        where = f"preferences.{name}"
        if isinstance(preferences, SampledPreferences):
            yield f"{where}.from", preferences.start, "models"
            yield from ((f"{where}.prompts", dataset, "datasets") for dataset in preferences.prompts)
            yield f"{where}.ranker", preferences.ranker, "rankers"
        elif isinstance(preferences, DemonstratedPreferences):
            yield f"{where}.from", preferences.start, "models"
            yield f"{where}.judge", preferences.judge, "judges"
            yield from ((where, dataset, "datasets") for dataset in preferences.read)
        else:
            yield from ((f"{where}.datasets", dataset, "datasets") for dataset in preferences.datasets)
    for name in experiment.used_rankers():
        yield f"rankers.{name}.model", experiment.rankers[name].model, "models"
    for name, group in experiment.groups.items():
        yield from ((f"groups.{name}.benchmarks", each, "benchmarks") for each in group.benchmarks)
    for name in set(experiment.evaluate.prompts) & set(experiment.prompts):
        yield f"prompts.{name}.dataset", experiment.prompts[name].dataset, "datasets"
        if wording := experiment.prompts[name].wording:
            yield f"prompts.{name}.wording", wording, "datasets"
    for name in set(experiment.evaluate.benchmarks) & set(experiment.benchmarks):
        yield f"benchmarks.{name}.dataset", experiment.benchmarks[name].dataset, "datasets"
        yield f"benchmarks.{name}.fewshot.dataset", experiment.benchmarks[name].datasets()[1], "datasets"
    for name in set(experiment.used_judges()) & set(experiment.judges):
        judge = experiment.judges[name]
        yield from ((f"judges.{name}.prompts", prompts, "prompts") for prompts in judge.prompts)
        yield from ((f"judges.{name}.members", member, "judges") for member in judge.members)
        if judge.model:
            yield f"judges.{name}.model", judge.model, "models"
        if judge.published:
            yield f"judges.{name}.published.dataset", judge.published.dataset, "datasets"
        if judge.graded:
            yield f"judges.{name}.graded", judge.graded, "datasets"
    for kind in ("models", "benchmarks", "prompts", "judges"):
        yield from ((f"evaluate.{kind}", name, kind) for name in getattr(experiment.evaluate, kind))
    yield from ((f"overrides.{name}", name, "models") for name in experiment.overrides)
