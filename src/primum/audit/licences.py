"""The licences of what an experiment trains on."""

from __future__ import annotations

from collections.abc import Iterator

from primum.dag.scope import Scope
from primum.experiment import Experiment
from primum.experiment.models import HubModel


def trained_on(experiment: Experiment, scope: Scope) -> Iterator[tuple[str, str]]:
    """(entry, licence) of each dataset that is trained on, and of each published model that something is trained from or by."""
    for name in scope.training_datasets():
        yield f"datasets.{name}", experiment.datasets[name].license
    trained = [name for name in experiment.needed_models() if experiment.kind_of(name) not in ("hub", "endpoint")]
    for name in dict.fromkeys(each for model in trained for each in experiment.needed_for(model)):
        entry = experiment.models[name]
        if isinstance(entry, HubModel):
            yield f"models.{name}", entry.license
