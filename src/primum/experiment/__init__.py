"""The experiment file: one YAML file that declares everything by name, read into typed, frozen objects."""

from primum.experiment.experiment import STAGES, Experiment
from primum.experiment.load import load_experiment

__all__ = ["STAGES", "Experiment", "load_experiment"]
