"""What an experiment covers: which models, which data, which pairs of both, and where their artifacts lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from primum.experiment.experiment import Experiment
from primum.experiment.models import DPOModel, PretrainedModel, SFTModel
from primum.experiment.preferences import DemonstratedPreferences, SampledPreferences

_TRAINED = ("pretrain", "sft", "dpo")


def manifest_path(results: str, template: str, **names: str) -> str:
    """Where the artifact of a template (``curation.ROWS``) lies in an experiment's folder.

    A name may be a Snakemake wildcard such as ``{model}``.
    """
    return f"{results}/{template.format(**names)}"


@dataclass(frozen=True)
class Scope:
    """What ``experiment`` trains, generates, judges and scores, for the project at ``root``, in the folder ``results``."""

    experiment: Experiment
    root: Path
    results: str

    def path(self, template: str, **names: str) -> str:
        """A manifest's path (see :func:`manifest_path`)."""
        return manifest_path(self.results, template, **names)

    # Data -----------------------------------------------------------------------------------------------------------

    def training_datasets(self) -> list[str]:
        """The datasets that training reads: mixtures' sources and preference pairs, in the order they are needed in."""
        e = self.experiment
        needed = [source.dataset for name in self.mixtures() for source in e.mixtures[name].sources.values()]
        for name in self.preferences():
            pairs = e.preferences[name]
            if isinstance(pairs, DemonstratedPreferences):
                needed += pairs.read
            else:
                needed += pairs.prompts if isinstance(pairs, SampledPreferences) else pairs.datasets
        return list(dict.fromkeys(needed))

    def benchmark_datasets(self) -> list[str]:
        """The datasets of the benchmarks' questions and examples, but for those that training reads."""
        benchmarks = map(self.experiment.benchmarks.__getitem__, self.experiment.evaluate.benchmarks)
        needed = dict.fromkeys(dataset for benchmark in benchmarks for dataset in benchmark.datasets())
        trained_on = set(self.training_datasets())
        return [name for name in needed if name not in trained_on]

    def safety_datasets(self) -> list[str]:
        """The datasets of the requests and of the judges' graded pairs, but for those that are read for others."""
        e = self.experiment
        needed = [e.prompts[name].dataset for name in e.evaluate.prompts]
        needed += [graded for name in e.evaluate.judges if (graded := e.judges[name].graded)]
        others = {*self.training_datasets(), *self.benchmark_datasets()}
        return [name for name in dict.fromkeys(needed) if name not in others]

    def datasets(self) -> list[str]:
        """Every dataset that the tables need."""
        return [*self.training_datasets(), *self.benchmark_datasets(), *self.safety_datasets()]

    def code(self) -> list[str]:
        """The datasets of published code that models and judges are asked by: fetched, and not read as rows."""
        e = self.experiment
        needed = [e.prompts[name].wording for name in e.evaluate.prompts]
        needed += [each.dataset for name in e.evaluate.judges if (each := e.judges[name].published)]
        return list(dict.fromkeys(name for name in needed if name))

    def fetched(self) -> list[str]:
        """Every dataset whose files are needed."""
        return [*self.datasets(), *self.code()]

    def preferences(self) -> list[str]:
        """The preference sets that training reads."""
        models = [self.experiment.models[name] for name in self.trained()]
        return list(dict.fromkeys(model.data for model in models if isinstance(model, DPOModel)))

    def sampled(self) -> dict[str, SampledPreferences]:
        """The preference sets that are drawn from a model here, by name."""
        sets = {name: self.experiment.preferences[name] for name in self.preferences()}
        return {name: entry for name, entry in sets.items() if isinstance(entry, SampledPreferences)}

    def demonstrated(self) -> dict[str, DemonstratedPreferences]:
        """The preference sets of safety demonstrations and a model's own answers, by name."""
        sets = self.experiment.demonstrated()
        return {name: sets[name] for name in self.preferences() if name in sets}

    def paired_later(self) -> list[str]:
        """The preference sets that a model must be asked for."""
        return [*self.sampled(), *self.demonstrated()]

    def responding(self) -> dict[str, dict[str, int | None]]:
        """How many requests of which datasets a model answers for pairs, by model; None is all."""
        found: dict[str, dict[str, int | None]] = {}
        for entry in self.demonstrated().values():
            of_model = found.setdefault(entry.start, {})
            for dataset in entry.answered:
                # A sample of several datasets has no other rows of one than a sample of that one, which holds the smaller ones.
                wanted = (None if entry.asked else entry.take, of_model.get(dataset, 0))
                of_model[dataset] = None if None in wanted else max(each or 0 for each in wanted)
        return found

    def assessing(self) -> dict[str, list[str]]:
        """The datasets, the answers to whose requests a judge scores for pairs, by ``judge/model``."""
        found: dict[str, list[str]] = {}
        for entry in self.demonstrated().values():
            found.setdefault(f"{entry.judge}/{entry.start}", []).extend(entry.answered)
        return {job: sorted(set(datasets)) for job, datasets in found.items()}

    def decontaminating(self, mixture: str) -> list[str]:
        """The datasets of the evaluated benchmarks that ``mixture`` is decontaminated against."""
        return self.knowledge() if self.experiment.mixtures[mixture].decontaminate else []

    def knowledge(self) -> list[str]:
        """The datasets of the benchmarks in :meth:`answerable`."""
        return list(dict.fromkeys(self.experiment.benchmarks[name].dataset for name in self.answerable()))

    def scored(self) -> list[tuple[str, str]]:
        """(model, benchmark) of every score artifact."""
        models = self.experiment.evaluate.models
        return [(model, benchmark) for model in models for benchmark in self.benchmarks_of(model)]

    def answers(self, model: str) -> bool:
        """Whether a model answers all benchmarks by generation: one behind an endpoint gives no log-likelihoods."""
        return self.experiment.kind_of(model) == "endpoint"

    def in_words(self, model: str) -> list[str]:
        """The benchmarks that ``model`` answers by generation."""
        names = self.benchmarks_of(model)
        return [name for name in names if self.answers(model) or self.experiment.benchmarks[name].in_words]

    def ranked(self, model: str) -> list[str]:
        """The benchmarks that ``model`` answers by its log-likelihoods."""
        return [name for name in self.benchmarks_of(model) if name not in self.in_words(model)]

    def worded(self) -> list[tuple[str, str]]:
        """(model, benchmark) of every answer that is given in words."""
        return [(model, name) for model in self.experiment.evaluate.models for name in self.in_words(model)]

    def benchmarks_of(self, model: str) -> list[str]:
        """The benchmarks that ``model`` is scored on: all, or those that words can answer where it has nothing else.

        Which of two responses a model prefers is a matter of log-likelihoods; it can give no right answer of its own.
        """
        if not self.answers(model):
            return list(self.experiment.evaluate.benchmarks)
        # A task's own function is given log-likelihoods.
        return [name for name in self.answerable() if self.experiment.benchmarks[name].process_results is None]

    def answerable(self) -> list[str]:
        """The evaluated benchmarks that ask questions, which held-out preference pairs do not."""
        names = self.experiment.evaluate.benchmarks
        return [name for name in names if self.experiment.benchmarks[name].group == "benchmark"]

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

    def rubric_judges(self) -> list[str]:
        """The judges that are asked for the harm of a response."""
        return [name for name in self.experiment.evaluate.judges if self.experiment.judges[name].kind == "rubric"]

    def scorers(self) -> list[str]:
        """The judges that are asked about a response as a whole: for its harm, or whether it declines."""
        asked = ("rubric", "refusal-classes")
        return [name for name in self.experiment.evaluate.judges if self.experiment.judges[name].kind in asked]

    def tested(self) -> list[str]:
        """Those of them that are asked about graded pairs or canaries: no class of refusal is a canary's planted score."""
        return [name for name in self.scorers() if name in (*self.rubric_judges(), *self.agreements())]

    def judged(self) -> list[tuple[str, str, str]]:
        """(judge, model, prompts) of all harm scores and refusals."""
        judges = self.experiment.evaluate.judges
        return self._verdicts([n for n in judges if self.experiment.judges[n].kind not in ("criteria", "panel")])

    def graders(self) -> list[str]:
        """The judges that are asked about each criterion of a response."""
        return [name for name in self.experiment.evaluate.judges if self.experiment.judges[name].kind == "criteria"]

    def graded(self) -> list[tuple[str, str, str]]:
        """(judge, model, prompts) of all answers about criteria."""
        return self._verdicts(self.graders())

    def _verdicts(self, judges: list[str]) -> list[tuple[str, str, str]]:
        return [
            (judge, model, prompts)
            for judge in judges
            for model in self.experiment.evaluate.models
            for prompts in self.experiment.judges[judge].prompts
        ]

    def trained(self) -> list[str]:
        """The models that are trained here, ancestors first."""
        return [m for m in self.experiment.needed_models() if self.experiment.kind_of(m) in _TRAINED]

    def audited(self) -> list[str]:
        """The trained models whose data has an audit: those that learn from conversations or pairs, ancestors first."""
        return [m for m in self.trained() if isinstance(self.experiment.models[m], SFTModel | DPOModel)]

    def mixtures(self) -> list[str]:
        """The mixtures that training reads."""
        models = [self.experiment.models[name] for name in self.trained()]
        return list(dict.fromkeys(m.data for m in models if isinstance(m, PretrainedModel | SFTModel)))

    def packed(self) -> list[tuple[str, str]]:
        """(mixture, model) of each model that learns from conversations, ancestors first."""
        models = [(self.experiment.models[name], name) for name in self.trained()]
        return [(model.data, name) for model, name in models if isinstance(model, SFTModel)]

    def agreements(self) -> list[str]:
        """The judges that are asked about graded pairs."""
        return [name for name, _ in self.labelled() if self.experiment.judges[name].model]

    def labelled(self) -> list[tuple[str, str]]:
        """(judge, dataset) of every judge that is checked on a labelled set of its own: a panel is on its members'."""
        judges = [(name, self.experiment.judges[name].graded) for name in self.experiment.evaluate.judges]
        return [(name, graded) for name, graded in judges if graded]

    def from_scratch(self, model: str) -> bool:
        """Whether all that ``model`` was trained on is data of this experiment."""
        lineage = self.experiment.lineage(model)
        return all(self.experiment.kind_of(each) in _TRAINED for each in lineage)
