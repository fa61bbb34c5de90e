"""What every job of an experiment is asked to do: its spec, one canonical JSON string, the rule's only param.

The Snakefile asks for a spec by stage and name. A spec holds the job's slice of the experiment, the digest of the code it
runs and the versions (from the lock) of the libraries that can change its result: nothing else decides what a job makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from primum.artifact.canonical import canonical_json
from primum.artifact.code import code_digest
from primum.artifact.folder import file_sha256
from primum.dag.locks import locked_versions
from primum.dag.matrix import Selection
from primum.dag.metadata import described
from primum.dag.stages import STAGES
from primum.errors import PrimumError
from primum.experiment.models import DPOModel, EndpointModel, HubModel, PretrainedModel, SFTModel
from primum.experiment.types import Benchmark, Engine, Frozen, Mixture, Sampling

TABLES = ("benchmarks", "preferences", "comparisons", "safety", "judges", "training", "curation")
_ENGINE_LIBRARIES = {
    "transformers": ("torch", "transformers", "tokenizers", "safetensors"),
    "vllm": ("torch", "transformers", "tokenizers", "vllm"),
    "openai": ("openai",),
}


def _dump(value: Frozen) -> dict[str, Any]:
    dumped: dict[str, Any] = value.model_dump(mode="json", by_alias=True)
    return dumped


@dataclass(frozen=True)
class Plan(Selection):
    """The specs of ``experiment``, for the project at ``root``."""

    root: Path

    @cached_property
    def _specs(self) -> dict[tuple[str, str], str]:
        return {}

    @cached_property
    def _codes(self) -> dict[str, str]:
        """The code digest of every stage's module, taken once: a run plans all its jobs from the same code."""
        return {name: code_digest(stage.module, Path(__file__).parents[2]) for name, stage in STAGES.items()}

    @cached_property
    def _versions(self) -> dict[str, str]:
        return locked_versions(self.root / "envs")

    def _libraries(self, names: tuple[str, ...]) -> dict[str, str]:
        missing = [name for name in names if name not in self._versions]
        if missing:
            raise PrimumError(f"envs/: no lock pins {missing[0]}: run make lock")
        return {name: self._versions[name] for name in names}

    def _spec(
        self,
        stage: str,
        common: Mapping[str, Any],
        items: Mapping[str, Any],
        libraries: tuple[str, ...] | None = None,
        reads: Sequence[str] = (),
    ) -> str:
        """``reads`` names the artifacts that the experiment lets the job choose from: another choice is another job.

        It is no part of an artifact's key, which has their content instead.
        """
        entry = STAGES[stage]
        return canonical_json(
            {
                "stage": stage,
                "code": self._codes[stage],
                "libraries": self._libraries(entry.libraries if libraries is None else libraries),
                "common": common,
                "items": list(items.items()),
                "reads": list(reads),
            }
        )

    def spec(self, stage: str, name: str = "") -> str:
        """The spec of the job ``name`` of ``stage``; ``judge/model`` for the stage judge. Built once and kept."""
        if (stage, name) not in self._specs:
            builder = getattr(self, f"_{stage}", None)
            if builder is None:
                raise PrimumError(f"{stage!r}: no such stage; there are: {', '.join(STAGES)}")
            self._specs[stage, name] = builder(name)
        return self._specs[stage, name]

    # Curation -----------------------------------------------------------------------------------------------------

    def _fetch(self, name: str) -> str:
        dataset = self.experiment.datasets[name]
        files = [_dump(file) for file in dataset.files]
        for file in files:
            # Shipped files are pinned by what they hold now, so that an edit is a change of the spec. One that is not
            # there has no checksum, and is refused when it is about to be fetched.
            path = self.root / file["path"]
            if file["url"] is None and file["sha256"] is None and dataset.hub is None and path.is_file():
                file["sha256"] = file_sha256(path)
        return self._spec("fetch", {}, {name: {"files": files, "hub": dataset.hub, "revision": dataset.revision}})

    def _snapshot(self, name: str) -> str:
        model = self.experiment.models[name]
        if isinstance(model, EndpointModel):
            item = {"endpoint": model.endpoint, "base_url": model.base_url, "key_env": model.key_env}
        elif isinstance(model, HubModel):
            item = {"hub": model.hub, "revision": model.revision}
        else:
            raise PrimumError(f"models.{name}: is trained here, not fetched")
        return self._spec("snapshot", {}, {name: item})

    def _read(self, name: str) -> str:
        dataset = self.experiment.datasets[name]
        common = {"dataset": name, "adapter": dataset.adapter, "options": dataset.options}
        return self._spec("read", common, {"rows": {"output": "rows"}, "drops": {"output": "drops"}})

    def _mix(self, name: str) -> str:
        mixture = self.experiment.mixtures[name]
        common = {
            **_dump(mixture),
            "mixture": name,
            "seed": self.experiment.seed,
            "order": list(mixture.sources),
            "judges": {judge: self._judge_prompt(judge) for judge in self._rendering_judges(name)},
            "benchmarks": self.decontaminating(name),
        }
        return self._spec("mix", common, {"rows": {"output": "rows"}, "ledger": {"output": "ledger"}})

    def _rendering_judges(self, mixture: str) -> list[str]:
        sources = self.experiment.mixtures[mixture].sources.values()
        return sorted({source.judge for source in sources if source.judge})

    def _overlap(self, name: str) -> str:
        kind, _, data = name.partition("/")
        mixture = self.experiment.mixtures[data] if kind == "mixtures" else None
        # Preference pairs have no rule of their own, and are looked through by that of mixtures.
        ngram = mixture.ngram if mixture else Mixture.model_fields["ngram"].default
        return self._spec("overlap", {"benchmarks": self.knowledge()}, {data: {"ngram": ngram}})

    def _pairs(self, name: str) -> str:
        datasets = self.experiment.preferences[name].datasets
        return self._spec("pairs", {}, {name: {"seed": self.experiment.seed}}, reads=datasets)

    def _pack(self, name: str) -> str:
        model = self.experiment.models[name]
        if not isinstance(model, SFTModel):
            raise PrimumError(f"models.{name}: only a model with 'train: sft' has packed data")
        item = {"chunk_tokens": model.chunk_tokens, "train_on_inputs": model.train_on_inputs, "seed": self._seed(name)}
        return self._spec("pack", {}, {name: item}, reads=(model.data, model.start))

    # Training -----------------------------------------------------------------------------------------------------

    def _seed(self, model: str) -> int:
        own = getattr(self.experiment.models[model], "seed", None)
        return self.experiment.seed if own is None else own

    def _pretrain(self, name: str) -> str:
        model = self.experiment.models[name]
        assert isinstance(model, PretrainedModel)  # noqa: S101 - the rule's wildcard constraint
        item = {
            "architecture": _dump(model.architecture),
            "optimization": _dump(model.optimization),
            "chunk_tokens": model.chunk_tokens,
            "threads": model.threads,
            "seed": self._seed(name),
        }
        return self._spec("pretrain", {}, {name: item}, reads=(model.data,))

    def _sft(self, name: str) -> str:
        model = self.experiment.models[name]
        assert isinstance(model, SFTModel)  # noqa: S101
        item = {
            "optimization": _dump(model.optimization),
            "attention_reset": model.attention_reset,
            "lora": None if model.lora is None else _dump(model.lora),
            "threads": model.threads,
            "seed": self._seed(name),
        }
        libraries = None if model.lora is None else (*STAGES["sft"].libraries, "peft")
        return self._spec("sft", {}, {name: item}, libraries, reads=(model.start,))

    def _reference(self, name: str) -> str:
        model = self.experiment.models[name]
        assert isinstance(model, DPOModel)  # noqa: S101
        item = {"max_length": model.max_length, "dtype": model.optimization.dtype}
        return self._spec("reference", {}, {name: item}, reads=(model.reference or model.start, model.data))

    def _dpo(self, name: str) -> str:
        model = self.experiment.models[name]
        assert isinstance(model, DPOModel)  # noqa: S101
        item = {
            "optimization": _dump(model.optimization),
            "beta": model.beta,
            "threads": model.threads,
            "seed": self._seed(name),
        }
        return self._spec("dpo", {}, {name: item}, reads=(model.start,))

    # Evaluation ---------------------------------------------------------------------------------------------------

    def _engine(self, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        engine: Engine = self.experiment.engine_of(model)
        return _dump(engine), ("pyarrow", "jinja2", *_ENGINE_LIBRARIES[engine.kind])

    def _generate(self, model: str) -> str:
        engine, libraries = self._engine(model)
        common = {"engine": engine, "sampling": _dump(self.experiment.sampling), "seed": self.experiment.seed}
        prompts = {name: self.experiment.prompts[name] for name in self.experiment.evaluate.prompts}
        items = {name: {"system": p.system, "take": p.take} for name, p in prompts.items()}
        return self._spec("generate", common, items, libraries, reads=[p.dataset for p in prompts.values()])

    def _judge_prompt(self, name: str) -> dict[str, Any]:
        judge = self.experiment.judges[name]
        if judge.template is None:
            raise PrimumError(f"judges.{name}: is not a rubric judge, so graded rows cannot be rendered for it")
        policies: dict[str, str] = {"default": ""}
        if judge.policies is not None:
            from primum.experiment.load import read_yaml

            policies = {str(key): str(value) for key, value in read_yaml(self.root / judge.policies).items()}
        return {"template": self._text(judge.template), "policies": policies}

    def _text(self, path: str) -> str:
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except OSError:
            raise PrimumError(f"{path}: no such file in the project") from None

    def _judge_common(self, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        judge = self.experiment.judges[name]
        if judge.model is None:
            return {"kind": judge.kind}, ("pyarrow",)
        engine, libraries = self._engine(judge.model)
        sampling = _dump(judge.sampling)
        common = {"kind": judge.kind, "engine": engine, "sampling": sampling, "seed": self.experiment.seed}
        return {**common, **self._judge_prompt(name)}, libraries

    def _judge(self, name: str) -> str:
        judge = self.experiment.judges[name.partition("/")[0]]
        common, libraries = self._judge_common(name.partition("/")[0])
        return self._spec(
            "judge", common, {prompts: {} for prompts in judge.prompts}, libraries, reads=[judge.model or ""]
        )

    def _agreement(self, name: str) -> str:
        judge = self.experiment.judges[name]
        common, libraries = self._judge_common(name)
        reads = (judge.model or "", judge.graded or "")
        return self._spec("agreement", common, {name: {}}, (*libraries, "scipy"), reads=reads)

    def _score(self, model: str) -> str:
        engine, _ = self._engine(model)
        benchmarks = {name: self.experiment.benchmarks[name] for name in self.benchmarks_of(model)}
        items = {name: entry.asked() for name, entry in benchmarks.items()}
        libraries = ("pyarrow", "jinja2", *_ENGINE_LIBRARIES["transformers"])
        if any(entry.process_docs for entry in benchmarks.values()):
            libraries += ("datasets",)
        # Which overlaps are read follows from the lineage, and another one is another model.
        common = {"engine": engine, "seed": self.experiment.seed, "from_scratch": self.from_scratch(model)}
        reads = [dataset for entry in benchmarks.values() for dataset in entry.datasets()]
        return self._spec("score", common, items, libraries, reads=reads)

    def _answer(self, model: str) -> str:
        engine, libraries = self._engine(model)
        names = self.benchmarks_of(model)
        # Greedy, whatever responses are drawn with: an accuracy should not depend on a seed.
        sampling = _dump(Sampling(max_tokens=self.experiment.sampling.max_tokens))
        common = {"engine": engine, "sampling": sampling, "seed": self.experiment.seed}
        items = {name: self._answered(self.experiment.benchmarks[name]) for name in names}
        reads = [self.experiment.benchmarks[name].dataset for name in names]
        return self._spec("answer", common, items, libraries, reads=reads)

    def _answered(self, benchmark: Benchmark) -> dict[str, Any]:
        """What an item of the stage answer depends on: of multiple-choice rows no template, of raw documents all of the task."""
        raw = self.experiment.datasets[benchmark.dataset].adapter == "documents"
        return benchmark.asked() if raw else {"version": benchmark.version}

    # Aggregation --------------------------------------------------------------------------------------------------

    def _tables(self, _: str) -> str:
        common = {
            **described(self.experiment),
            "scores": self.scored(),
            "judgements": self.judged(),
            "generations": self.generated(),
            "mixtures": self.mixtures(),
            "trained": self.trained(),
            "agreements": self.agreements(),
        }
        return self._spec("tables", common, {table: {"table": table} for table in TABLES})

    def _report(self, _: str) -> str:
        experiment = self.experiment
        common = {
            **described(self.experiment),
            "experiment": experiment.name,
            "title": experiment.title,
            "description": experiment.description,
            "disclaimer": experiment.disclaimer,
            "tables": list(TABLES),
        }
        return self._spec("report", common, {"report": {}})
