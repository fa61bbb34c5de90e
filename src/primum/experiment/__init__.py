"""The experiment file: one YAML file that declares everything by name, read into typed, frozen objects."""

from primum.experiment.experiment import TARGETS, Experiment
from primum.experiment.load import load_experiment

__all__ = ["TARGETS", "Experiment", "load_experiment"]
