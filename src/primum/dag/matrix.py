"""Which models, data and pairs of both an experiment's artifacts are of."""

from __future__ import annotations

from dataclasses import dataclass

from primum.dag.stages import TRAINING
from primum.experiment.experiment import Experiment
from primum.experiment.models import DPOModel, PretrainedModel, SFTModel


@dataclass(frozen=True)
class Selection:
    """What ``experiment`` trains, generates, judges and scores."""

    experiment: Experiment

    def decontaminating(self, mixture: str) -> list[str]:
        """The datasets of the evaluated benchmarks that ``mixture`` is decontaminated against."""
        return self.knowledge() if self.experiment.mixtures[mixture].decontaminate else []

    def knowledge(self) -> list[str]:
        """The datasets of the evaluated benchmarks that ask questions, which held-out preference pairs do not."""
        benchmarks = (self.experiment.benchmarks[name] for name in self.experiment.evaluate.benchmarks)
        return list(dict.fromkeys(b.dataset for b in benchmarks if b.group == "benchmark"))

    def scored(self) -> list[tuple[str, str]]:
        """(model, benchmark) of every score artifact."""
        models = self.experiment.evaluate.models
        return [(model, benchmark) for model in models for benchmark in self.benchmarks_of(model)]

    def answers(self, model: str) -> bool:
        """Whether a model answers benchmarks by generation: one behind an endpoint gives no log-likelihoods."""
        return self.experiment.kind_of(model) == "endpoint"

    def benchmarks_of(self, model: str) -> list[str]:
        """The benchmarks that ``model`` is scored on: all, but no preference pairs where it answers by generation.

        Which of two responses a model prefers is a matter of log-likelihoods; it can give no right answer of its own.
        """
        groups = {name: self.experiment.benchmarks[name].group for name in self.experiment.evaluate.benchmarks}
        return [name for name, group in groups.items() if group == "benchmark" or not self.answers(model)]

    def overlaps(self, model: str) -> list[tuple[str, str]]:
        """(``mixtures`` or ``pairs``, name) of all data that ``model`` and its ancestors were trained on here.

        Empty where no benchmark asks questions that could be in it.
        """
        models = [self.experiment.models[name] for name in self.experiment.lineage(model)]
        data = [
            ("pairs" if isinstance(each, DPOModel) else "mixtures", each.data)
            for each in models
            if isinstance(each, PretrainedModel | SFTModel | DPOModel)
        ]
        return list(dict.fromkeys(data)) if self.knowledge() else []

    def overlapping(self) -> list[tuple[str, str]]:
        """All data whose overlap with the benchmarks a score needs."""
        scored = dict.fromkeys(model for model, _ in self.scored())
        return list(dict.fromkeys(each for model in scored for each in self.overlaps(model)))

    def generated(self) -> list[tuple[str, str]]:
        """(model, prompts) of every generation artifact."""
        return [(m, p) for m in self.experiment.evaluate.models for p in self.experiment.evaluate.prompts]

    def judged(self) -> list[tuple[str, str, str]]:
        """(judge, model, prompts) of every judgement artifact."""
        return [
            (judge, model, prompts)
            for judge in self.experiment.evaluate.judges
            for model in self.experiment.evaluate.models
            for prompts in self.experiment.judges[judge].prompts
        ]

    def trained(self) -> list[str]:
        """The models that are trained here, ancestors first."""
        return [m for m in self.experiment.needed_models() if self.experiment.kind_of(m) in TRAINING]

    def mixtures(self) -> list[str]:
        """The mixtures that training reads."""
        models = [self.experiment.models[name] for name in self.trained()]
        return list(dict.fromkeys(m.data for m in models if isinstance(m, PretrainedModel | SFTModel)))

    def agreements(self) -> list[str]:
        """The judges that are checked against graded pairs."""
        return [name for name in self.experiment.evaluate.judges if self.experiment.judges[name].graded]

    def from_scratch(self, model: str) -> bool:
        """Whether all that ``model`` was trained on is data of this experiment."""
        lineage = self.experiment.lineage(model)
        return all(self.experiment.kind_of(each) in TRAINING for each in lineage)
