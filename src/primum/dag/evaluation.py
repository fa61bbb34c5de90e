"""Evaluation: responses, judgements and benchmark scores. One job a model loads it once and makes one artifact a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.dag.curation import OVERLAP, ROWS, rows_of
from primum.dag.judges import judge_prompt, rubric
from primum.dag.scope import Scope
from primum.dag.stage import Output, Plan, Stage
from primum.dag.training import MODEL
from primum.experiment import Experiment
from primum.experiment.models import EndpointModel
from primum.experiment.types import Benchmark, Sampling

GENERATION = "generations/{model}/{prompts}.json"
JUDGEMENT = "judgements/{judge}/{model}/{prompts}.json"
AGREEMENT = "judgements/{judge}/agreement.json"
CRITERIA = "criteria/{judge}/{model}/{prompts}.json"
SCORE = "scores/{model}/{benchmark}.json"

ENGINES = {
    "transformers": ("torch", "transformers", "tokenizers", "safetensors"),
    "vllm": ("torch", "transformers", "tokenizers", "vllm"),
    "openai": ("openai",),
}


def engine_spec(scope: Scope, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The engine of a model for a spec, and the libraries that answering with it takes."""
    engine, entry = scope.experiment.engine_of(model), scope.experiment.models[model]
    dumped = engine.model_dump(mode="json", by_alias=True)
    libraries: tuple[str, ...] = ("pyarrow", "jinja2", *ENGINES[engine.kind])
    if isinstance(entry, EndpointModel) and entry.phi is not None:
        dumped["phi"] = entry.phi
        libraries += ("python-stdnum",) if entry.phi == "redact" else ()
    return dumped, libraries


def _model(scope: Scope, name: str | None) -> list[str]:
    return [scope.path(MODEL, model=name)] if name else []


def _generate(scope: Scope, model: str) -> Plan:
    e = scope.experiment
    engine, libraries = engine_spec(scope, model)
    outputs = []
    for name in e.evaluate.prompts:
        entry = e.prompts[name]
        outputs.append(
            Output(
                name,
                scope.path(GENERATION, model=model, prompts=name),
                {"system": entry.system, "take": entry.take},
                {"prompts": [scope.path(ROWS, dataset=entry.dataset)]},
            )
        )
    common = {"engine": engine, "sampling": e.sampling.model_dump(mode="json"), "seed": e.seed}
    chosen = [e.prompts[name].dataset for name in e.evaluate.prompts]
    return Plan(outputs, common, {"model": _model(scope, model)}, libraries, chosen)


def _judge_common(scope: Scope, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    judge = scope.experiment.judges[name]
    if judge.model is None:
        return {"kind": judge.kind}, ("pyarrow",)
    engine, libraries = engine_spec(scope, judge.model)
    sampling = judge.sampling.model_dump(mode="json")
    common = {"kind": judge.kind, "engine": engine, "sampling": sampling, "seed": scope.experiment.seed}
    if judge.kind == "criteria" and judge.template is not None:
        return {**common, "template": rubric(scope, judge.template)}, libraries
    return {**common, **judge_prompt(scope, name)}, libraries


def _judge(scope: Scope, name: str) -> Plan:
    judge, _, model = name.partition("/")
    entry = scope.experiment.judges[judge]
    common, libraries = _judge_common(scope, judge)
    outputs = [
        Output(
            prompts,
            scope.path(JUDGEMENT, judge=judge, model=model, prompts=prompts),
            {},
            {"responses": [scope.path(GENERATION, model=model, prompts=prompts)]},
        )
        for prompts in entry.prompts
    ]
    return Plan(outputs, common, {"judge": _model(scope, entry.model)}, libraries, [entry.model or ""])


def _grade(scope: Scope, name: str) -> Plan:
    # One job for all models: a local judge is loaded once, and an endpoint's limits hold for all that it is asked.
    entry = scope.experiment.judges[name]
    common, libraries = _judge_common(scope, name)
    datasets = {prompts: scope.experiment.prompts[prompts].dataset for prompts in entry.prompts}
    outputs = [
        Output(
            f"{model}/{prompts}",
            scope.path(CRITERIA, judge=name, model=model, prompts=prompts),
            {},
            {
                "responses": [scope.path(GENERATION, model=model, prompts=prompts)],
                "prompts": rows_of(scope, [datasets[prompts]]),
            },
        )
        # In another order they are the same.
        for model in sorted(scope.experiment.evaluate.models)
        for prompts in sorted(entry.prompts)
    ]
    chosen = [entry.model or "", *sorted(set(datasets.values()))]
    return Plan(outputs, common, {"judge": _model(scope, entry.model)}, libraries, chosen)


def _asked_model(experiment: Experiment, wildcards: Mapping[str, str]) -> str | None:
    return experiment.judges[wildcards["judge"]].model


def _agreement(scope: Scope, name: str) -> Plan:
    entry = scope.experiment.judges[name]
    common, libraries = _judge_common(scope, name)
    inputs = {"judge": _model(scope, entry.model), "graded": rows_of(scope, [entry.graded] if entry.graded else [])}
    chosen = (entry.model or "", entry.graded or "")
    output = Output(name, scope.path(AGREEMENT, judge=name), {})
    return Plan([output], common, inputs, (*libraries, "scipy"), chosen)


def _benchmarks(scope: Scope, model: str) -> dict[str, Benchmark]:
    return {name: scope.experiment.benchmarks[name] for name in scope.benchmarks_of(model)}


def _score(scope: Scope, model: str) -> Plan:
    engine, _ = engine_spec(scope, model)
    benchmarks = _benchmarks(scope, model)
    libraries: tuple[str, ...] = ("pyarrow", "jinja2", *ENGINES["transformers"])
    if any(entry.process_docs for entry in benchmarks.values()):
        libraries += ("datasets",)
    outputs = []
    for name, entry in benchmarks.items():
        questions, examples = rows_of(scope, list(entry.datasets()))
        own = {"benchmarks": [questions], "fewshot": [examples]}
        outputs.append(Output(name, scope.path(SCORE, model=model, benchmark=name), entry.asked(), own))
    # Which overlaps are read follows from the lineage, and another one is another model.
    common = {"engine": engine, "seed": scope.experiment.seed, "from_scratch": scope.from_scratch(model)}
    overlaps = [scope.path(OVERLAP, kind=kind, data=data) for kind, data in scope.overlaps(model)]
    inputs = {"model": _model(scope, model), "overlaps": overlaps}
    chosen = [dataset for entry in benchmarks.values() for dataset in entry.datasets()]
    return Plan(outputs, common, inputs, libraries, chosen)


def _answer(scope: Scope, model: str) -> Plan:
    engine, libraries = engine_spec(scope, model)
    benchmarks = _benchmarks(scope, model)
    # Greedy, whatever responses are drawn with: an accuracy should not depend on a seed.
    sampling = Sampling(max_tokens=scope.experiment.sampling.max_tokens).model_dump(mode="json")
    outputs = [
        Output(
            name,
            scope.path(SCORE, model=model, benchmark=name),
            _answered(scope, entry),
            {"benchmarks": rows_of(scope, [entry.dataset])},
        )
        for name, entry in benchmarks.items()
    ]
    common = {"engine": engine, "sampling": sampling, "seed": scope.experiment.seed}
    chosen = [entry.dataset for entry in benchmarks.values()]
    return Plan(outputs, common, {"model": _model(scope, model)}, libraries, chosen)


def _answered(scope: Scope, benchmark: Benchmark) -> dict[str, Any]:
    """What an answer depends on: of multiple-choice rows no template, of raw documents all of the task."""
    raw = scope.experiment.datasets[benchmark.dataset].adapter == "documents"
    return benchmark.asked() if raw else {"version": benchmark.version}


def _scored(answers: bool) -> Any:
    """The models that are scored by log-likelihood, or that answer in words."""

    def models(scope: Scope) -> list[str]:
        found = dict.fromkeys(model for model, _ in scope.scored())
        return [model for model in found if scope.answers(model) == answers]

    return models


STAGES = (
    Stage(
        name="generate",
        help="a model's responses to prompt sets",
        module="primum.generate.stage",
        target="generate",
        rule="generate_responses",
        job="{model}",
        jobs=lambda scope: scope.experiment.evaluate.models if scope.experiment.evaluate.prompts else (),
        plan=_generate,
        long=True,
    ),
    Stage(
        name="judge",
        help="harm scores or refusals of responses",
        module="primum.judge.stage",
        target="judge",
        rule="judge_{judge}",
        job="{judge}/{model}",
        jobs=lambda scope: dict.fromkeys(f"{judge}/{model}" for judge, model, _ in scope.judged()),
        plan=_judge,
        long=True,
    ),
    Stage(
        name="grade",
        help="a judge's answers about each criterion of responses",
        module="primum.judge.criteria",
        target="judge",
        rule="grade_{judge}",
        job="{judge}",
        jobs=Scope.graders,
        plan=_grade,
        model=_asked_model,
        long=True,
    ),
    Stage(
        name="agreement",
        help="a judge's agreement with graded pairs",
        module="primum.judge.agreement",
        target="judge",
        rule="judge_agreement",
        job="{judge}",
        jobs=Scope.agreements,
        plan=_agreement,
    ),
    Stage(
        name="score",
        help="log-likelihood scores of benchmarks",
        module="primum.score.stage",
        target="score",
        rule="score_benchmarks",
        job="{model}",
        jobs=_scored(answers=False),
        plan=_score,
        long=True,
    ),
    Stage(
        name="answer",
        help="benchmark scores of a model that answers by generation",
        module="primum.score.answers",
        target="score",
        rule="answer_benchmarks",
        job="{model}",
        jobs=_scored(answers=True),
        plan=_answer,
    ),
)
