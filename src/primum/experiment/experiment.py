"""The experiment as a whole, with every reference between its parts checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

from pydantic import Field, model_validator

from primum.experiment.benchmarks import Benchmark, BenchmarkGroup
from primum.experiment.datasets import Dataset
from primum.experiment.judges import check_judge, check_panel, check_rendered
from primum.experiment.models import DPOModel, EndpointModel, HubModel, Model, SFTModel
from primum.experiment.preferences import DemonstratedPreferences, Preferences, Ranker, SampledPreferences
from primum.experiment.references import references
from primum.experiment.types import (
    Budget,
    Count,
    Engine,
    Frozen,
    Judge,
    Mixture,
    Name,
    Number,
    Prompts,
    RelativePath,
    Resources,
    Sampling,
)

TARGETS = (
    *("fetch", "curate", "pretrain", "sft", "dpo", "sample", "rank"),
    *("generate", "judge", "score", "tables", "report"),
)
WITHOUT_ANSWERS = frozenset({"advbench", "hex_phi", "xstest"})  # the adapters whose requests have no safe answer
Stage = Annotated[str, Field(pattern=f"^({'|'.join(TARGETS)})$")]


class Evaluate(Frozen):
    """What the tables cover: every model answers every prompt set and every benchmark; judges name their prompt sets.

    ``margin`` is the largest difference of accuracies, as a share, that counts as no loss of skill: the margin of equivalence.
    """

    models: tuple[Name, ...] = Field(min_length=1)
    benchmarks: tuple[Name, ...] = ()
    prompts: tuple[Name, ...] = ()
    judges: tuple[Name, ...] = ()
    margin: Annotated[Number, Field(gt=0, lt=1)] = 0.02


class Override(Frozen):
    """Resources of one model's jobs, stage by stage."""

    resources: dict[Stage, Resources]


class Experiment(Frozen):
    """One experiment file. ``catalogs`` are files of shared entries under config/catalog/, without their suffix."""

    name: Name
    title: str = ""
    description: str = ""
    disclaimer: str = ""
    seed: Count = 0
    catalogs: tuple[RelativePath, ...] = ()
    datasets: dict[Name, Dataset] = {}
    mixtures: dict[Name, Mixture] = {}
    preferences: dict[Name, Preferences] = {}
    rankers: dict[Name, Ranker] = {}
    models: dict[Name, Model] = {}
    prompts: dict[Name, Prompts] = {}
    benchmarks: dict[Name, Benchmark] = {}
    groups: dict[Name, BenchmarkGroup] = {}
    judges: dict[Name, Judge] = {}
    evaluate: Evaluate
    engine: Engine = Engine()
    sampling: Sampling = Sampling()
    resources: dict[Stage, Resources] = {}
    overrides: dict[Name, Override] = {}
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _references_resolve(self) -> Experiment:
        for where, name, kind in references(self):
            known: Mapping[str, object] = getattr(self, kind)
            if name not in known:
                raise ValueError(f"{where}: no {kind[:-1]} {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
            if kind == "datasets":
                self._check_adapter(where, name)
        for name in self.models:
            self.needed_for(name)
            for parent in self.parents(name):
                if isinstance(self.models[parent], EndpointModel):
                    raise ValueError(f"models.{name}: cannot be trained from {parent!r}, a model behind an endpoint")
        for name in self.needed_models():
            if isinstance(self.models[name], EndpointModel) and self.engine_of(name).kind != "openai":
                raise ValueError(f"models.{name}: an endpoint model needs engine kind 'openai'")
        for name in self.used_rankers():
            self._check_ranker(name)
        for name in self.groups:
            self._check_group(name)
        for name, pairs in self.demonstrated().items():
            self._check_demonstrated(name, pairs)
        for name, judge in self.judges.items():
            if name in self.evaluate.judges and (unknown := set(judge.prompts) - set(self.evaluate.prompts)):
                raise ValueError(f"judges.{name}.prompts: {sorted(unknown)[0]!r} is not among evaluate.prompts")
            if name in self.evaluate.judges:
                check_judge(name, judge, self.datasets, self.prompts)
                check_panel(name, self.judges, self.evaluate.judges)
        for name, mixture in self.mixtures.items():
            for key, source in mixture.sources.items():
                check_rendered(f"mixtures.{name}.sources.{key}", source, self.datasets, self.judges)
        for name in self.evaluate.prompts:
            if self.prompts[name].wording is not None:
                self._check_families(name)
        self._check_parts()
        return self

    def _check_parts(self) -> None:
        kinds: dict[str, tuple[str, str]] = {}
        for name in self.evaluate.prompts:
            entry = self.prompts[name]
            first, kind = kinds.setdefault(entry.part_of, (name, entry.kind))
            if entry.part_of and entry.kind != kind:
                raise ValueError(
                    f"prompts.{name}.part_of: {entry.part_of!r} would mix {entry.kind} requests with the {kind} ones of "
                    f"{first!r}: name two wholes"
                )

    def _check_group(self, name: str) -> None:
        if name in self.benchmarks or name == "average":
            raise ValueError(f"groups.{name}: is the name of another column of the tables: rename it")
        members = self.groups[name].benchmarks
        for member in members:
            entry = self.benchmarks[member]
            if members.count(member) > 1 or entry.part_of or entry.group == "preference":
                raise ValueError(
                    f"groups.{name}.benchmarks: {member!r} is there twice, has a part_of, or asks no questions: take it out"
                )

    def evaluated_groups(self) -> dict[str, BenchmarkGroup]:
        """The groups of which every benchmark is evaluated: a mean over fewer would not compare."""
        evaluated = set(self.evaluate.benchmarks)
        return {name: group for name, group in self.groups.items() if evaluated.issuperset(group.benchmarks)}

    def _check_families(self, prompts: str) -> None:
        for model in self.evaluate.models:
            if not self.family_of(model):
                raise ValueError(
                    f"prompts.{prompts}.wording: the model {model!r} has no 'family' to be asked as: give it one"
                )

    def _check_adapter(self, where: str, dataset: str) -> None:
        code = where.endswith((".wording", ".published.dataset"))
        if code and self.datasets[dataset].adapter:
            raise ValueError(f"{where}: {dataset!r} has an adapter, so it is no published code: name that")
        if not code and not self.datasets[dataset].adapter:
            raise ValueError(f"{where}: {dataset!r} has no 'adapter' that reads rows of it: give it one")

    def _check_ranker(self, name: str) -> None:
        ranker = self.rankers[name]
        kind = self.kind_of(ranker.model)
        if ranker.kind == "implicit" and kind != "dpo":
            raise ValueError(f"rankers.{name}.model: {ranker.model!r} is no DPO model of this experiment")
        if ranker.kind in ("pairrm", "reward") and kind != "hub":
            raise ValueError(
                f"rankers.{name}.model: {ranker.model!r} is no fetched model, as {ranker.kind!r} needs one"
            )

    def _check_demonstrated(self, name: str, pairs: DemonstratedPreferences) -> None:
        kind = self.judges[pairs.judge].kind
        if kind != "rubric":
            raise ValueError(f"preferences.{name}.judge: {pairs.judge!r} is of kind {kind!r}: a 'rubric' gives scores")
        if without := [each for each in pairs.demonstrations if self.datasets[each].adapter in WITHOUT_ANSWERS]:
            raise ValueError(f"preferences.{name}.demonstrations: {without[0]!r} has requests without an answer")
        tests = {self.prompts[each].dataset: each for each in self.evaluate.prompts}
        if tested := [each for each in pairs.read if each in tests]:
            raise ValueError(
                f"preferences.{name}: {tested[0]!r} is what evaluate.prompts {tests[tested[0]]!r} asks: "
                "a model would be trained on its test"
            )

    def demonstrated(self) -> dict[str, DemonstratedPreferences]:
        """The preference sets of safety demonstrations, by name."""
        return {name: each for name, each in self.preferences.items() if isinstance(each, DemonstratedPreferences)}

    def used_judges(self) -> tuple[str, ...]:
        """The judges that judge responses, also for pairs, and those whose prompt a mixture's graded rows are rendered with."""
        rendering = [source.judge for mixture in self.mixtures.values() for source in mixture.sources.values()]
        pairing = [pairs.judge for pairs in self.demonstrated().values()]
        return tuple(dict.fromkeys([*self.evaluate.judges, *pairing, *(name for name in rendering if name)]))

    def used_rankers(self) -> tuple[str, ...]:
        """The rankers of on-policy pairs, those of them that there are."""
        sampled = [entry for entry in self.preferences.values() if isinstance(entry, SampledPreferences)]
        return tuple(dict.fromkeys(entry.ranker for entry in sampled if entry.ranker in self.rankers))

    def parents(self, name: str) -> tuple[str, ...]:
        """The models that ``name`` is trained from and against."""
        model = self.models[name]
        if isinstance(model, DPOModel):
            return tuple(dict.fromkeys((model.start, model.reference or model.start)))
        return (model.start,) if isinstance(model, SFTModel) else ()

    def teachers(self, name: str) -> tuple[str, ...]:
        """The models that gave, or ranked, or judged, the responses that ``name`` learns from."""
        model = self.models[name]
        pairs = self.preferences.get(model.data) if isinstance(model, DPOModel) else None
        if isinstance(pairs, DemonstratedPreferences):
            return tuple(each for each in dict.fromkeys((pairs.start, self.judges[pairs.judge].model)) if each)
        if not isinstance(pairs, SampledPreferences):
            return ()
        return tuple(dict.fromkeys((pairs.start, self.rankers[pairs.ranker].model)))

    def lineage(self, name: str) -> tuple[str, ...]:
        """``name`` and all models whose weights it descends from, ancestors first."""
        return self._before(name, self.parents)

    def needed_for(self, name: str) -> tuple[str, ...]:
        """``name`` and all models that must be there before it, teachers too, in an order in which they can be made.

        ValueError naming the cycle if there is one.
        """
        return self._before(name, lambda each: (*self.parents(each), *self.teachers(each)))

    def _before(self, name: str, of: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
        done: dict[str, None] = {}

        def visit(node: str, path: tuple[str, ...]) -> None:
            if node in path:
                raise ValueError(f"models.{node}: lineage cycle: {' -> '.join([*path[path.index(node) :], node])}")
            if node not in done and node in self.models:
                for parent in of(node):
                    visit(parent, (*path, node))
                done[node] = None

        visit(name, ())
        return tuple(done)

    def needed_models(self) -> tuple[str, ...]:
        """Every model that the tables need, ancestors first: the evaluated ones, the judges, and what these need."""
        judges = [self.judges[name].model for name in self.evaluate.judges]
        roots = [*self.evaluate.models, *(model for model in judges if model)]
        return tuple(dict.fromkeys(each for root in roots for each in self.needed_for(root)))

    def family_of(self, model: str) -> str:
        """The family whose published wording ``model`` is asked in: its own, or that of what it is trained from."""
        return next((f for name in reversed(self.lineage(model)) if (f := self.models[name].family)), "")

    def engine_of(self, model: str) -> Engine:
        return self.models[model].engine or self.engine

    def kind_of(self, model: str) -> str:
        """``hub``, ``endpoint``, ``pretrain``, ``sft`` or ``dpo``."""
        entry = self.models[model]
        if isinstance(entry, HubModel):
            return "hub"
        return "endpoint" if isinstance(entry, EndpointModel) else entry.train

    def resources_of(self, stage: str, model: str | None = None) -> Resources:
        """What a job of ``stage`` asks for, ``model``'s override first."""
        override = self.overrides.get(model or "")
        if override and stage in override.resources:
            return override.resources[stage]
        return self.resources.get(stage, Resources())
