"""Evaluation: responses and benchmark scores; one job a model loads it once and makes one artifact a pair.

The stages that judge responses are in :mod:`primum.dag.judging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.dag import judging
from primum.dag.curation import OVERLAP, ROWS, rows_of
from primum.dag.engines import ENGINES, code_of, engine_spec, model_of
from primum.dag.judging import GENERATION
from primum.dag.scope import Scope
from primum.dag.sensitive import is_sensitive
from primum.dag.stage import Output, Plan, Stage
from primum.experiment.benchmarks import Benchmark
from primum.experiment.task_files import imported
from primum.experiment.types import Sampling

SCORE = "scores/{model}/{benchmark}.json"
QUESTIONS = "data/questions/{benchmark}.json"
ANSWER = "answers/{model}/{benchmark}.json"

# What tasks of lm-eval import that can change what they ask, and the package that it comes with.
_TASK_LIBRARIES = {"lm_eval": "lm-eval", "evaluate": "evaluate", "sklearn": "scikit-learn", "numpy": "numpy"}


def _generate(scope: Scope, model: str) -> Plan:
    e = scope.experiment
    engine, libraries = engine_spec(scope, model)
    outputs = []
    for name in e.evaluate.prompts:
        entry = e.prompts[name]
        spec: dict[str, Any] = {"system": entry.system, "take": entry.take}
        own = {"prompts": [scope.path(ROWS, dataset=entry.dataset)], "wording": code_of(scope, entry.wording)}
        if entry.wording is not None:
            spec["family"] = e.family_of(model)
        outputs.append(Output(name, scope.path(GENERATION, model=model, prompts=name), spec, own))
    common = {"engine": engine, "sampling": e.sampling.model_dump(mode="json"), "seed": e.seed}
    chosen = [e.prompts[name].dataset for name in e.evaluate.prompts]
    chosen += [wording for name in e.evaluate.prompts if (wording := e.prompts[name].wording)]
    return Plan(outputs, common, {"model": model_of(scope, model)}, libraries, chosen)


def _score(scope: Scope, model: str) -> Plan:
    engine, _ = engine_spec(scope, model)
    benchmarks = {name: scope.experiment.benchmarks[name] for name in scope.ranked(model)}
    libraries: tuple[str, ...] = ("pyarrow", "jinja2", *ENGINES["transformers"])
    if any(entry.process_docs for entry in benchmarks.values()):
        libraries += ("datasets",)
    libraries += tuple(name for name in _imported(benchmarks) if name not in libraries)
    outputs = []
    for name, entry in benchmarks.items():
        questions, examples = rows_of(scope, list(entry.datasets()))
        own = {"benchmarks": [questions], "fewshot": [examples]}
        outputs.append(Output(name, scope.path(SCORE, model=model, benchmark=name), entry.asked(), own))
    # Which overlaps are read follows from the lineage, and another one is another model.
    common = {"engine": engine, "seed": scope.experiment.seed, "from_scratch": scope.from_scratch(model)}
    inputs = {"model": model_of(scope, model), "overlaps": _overlaps(scope, model)}
    chosen = [dataset for entry in benchmarks.values() for dataset in entry.datasets()]
    return Plan(outputs, common, inputs, libraries, chosen)


def _imported(benchmarks: Mapping[str, Benchmark]) -> list[str]:
    """The libraries that tasks' own functions import, of those that the locks pin."""
    functions = [function for entry in benchmarks.values() for function in entry.functions().values()]
    packages = {package for function in functions for package in imported(function.source)}
    return [library for package, library in _TASK_LIBRARIES.items() if package in packages]


def _overlaps(scope: Scope, model: str) -> list[str]:
    return [scope.path(OVERLAP, kind=kind, data=data) for kind, data in scope.overlaps(model)]


# Answers in words -----------------------------------------------------------------------------------------------------
#
# Three stages, so that only another question, model or way of drawing asks a model again: what is asked is written first, and
# what was answered is read last.


# Of a text task's keys, those that make a question, and those that read an answer; the others say how it is drawn.
_ASKING = frozenset({"examples", "target_is_choice"})
_READING = frozenset({"until", "filters", "exact_match", "target_is_choice"})


def _questions(scope: Scope, _: str) -> Plan:
    outputs: list[Output] = []
    chosen: list[str] = []
    for name in asked_in_words(scope):
        entry = scope.experiment.benchmarks[name]
        rows, examples = rows_of(scope, list(entry.datasets()))
        own = {"benchmarks": [rows], "fewshot": [examples] if entry.fewshot.k and entry.generate_until else []}
        spec, sensitive = _asked(scope, entry, _ASKING), is_sensitive(scope, entry.datasets())
        outputs.append(Output(name, scope.path(QUESTIONS, benchmark=name), spec, own, sensitive))
        chosen += entry.datasets()
    return Plan(outputs, libraries=_worded_libraries(scope), chosen=chosen)


def _answer(scope: Scope, model: str) -> Plan:
    engine, libraries = engine_spec(scope, model)
    outputs = [
        Output(
            name,
            scope.path(ANSWER, model=model, benchmark=name),
            _drawn(scope, scope.experiment.benchmarks[name]),
            {"questions": [scope.path(QUESTIONS, benchmark=name)]},
        )
        for name in scope.in_words(model)
    ]
    common = {"engine": engine, "seed": scope.experiment.seed}
    return Plan(outputs, common, {"model": model_of(scope, model)}, libraries)


def _parse(scope: Scope, _: str) -> Plan:
    outputs, chosen = [], []
    for model, name in scope.worded():
        entry = scope.experiment.benchmarks[name]
        own = {
            "answers": [scope.path(ANSWER, model=model, benchmark=name)],
            "benchmarks": rows_of(scope, [entry.dataset]),
            "overlaps": _overlaps(scope, model),
        }
        spec = {**_asked(scope, entry, _READING), "from_scratch": scope.from_scratch(model)}
        spec |= {"cluster": entry.asked()["cluster"]} if entry.cluster else {}
        outputs.append(Output(f"{model}/{name}", scope.path(SCORE, model=model, benchmark=name), spec, own))
        chosen.append(entry.dataset)
    return Plan(outputs, libraries=_worded_libraries(scope), chosen=chosen)


def asked_in_words(scope: Scope) -> list[str]:
    """The benchmarks that some model answers in words."""
    return list(dict.fromkeys(name for _, name in scope.worded()))


def _worded_libraries(scope: Scope) -> tuple[str, ...]:
    entries = {name: scope.experiment.benchmarks[name] for name in asked_in_words(scope)}
    own = [*(["datasets"] if any(entry.process_docs for entry in entries.values()) else []), *_imported(entries)]
    return ("pyarrow", "jinja2", *dict.fromkeys(own))


def _asked(scope: Scope, benchmark: Benchmark, keys: frozenset[str]) -> dict[str, Any]:
    """What a question in words, or reading its answer, depends on: of multiple-choice rows no template.

    Of all other tasks it is the whole, of a text task's own keys these.
    """
    raw = scope.experiment.datasets[benchmark.dataset].adapter == "documents"
    if benchmark.generate_until is None and not raw:
        return {"version": benchmark.version, "group": benchmark.group}
    # Which items were drawn together is read with the answers, and changes no question.
    asked = {key: value for key, value in benchmark.asked().items() if key != "cluster"}
    if benchmark.generate_until is not None:
        asked["generate_until"] = {key: asked["generate_until"][key] for key in keys}
    return asked


def _drawn(scope: Scope, benchmark: Benchmark) -> dict[str, Any]:
    """How answers are drawn. Greedy where a task says nothing, whatever responses are: no accuracy should hang on a seed."""
    task, most = benchmark.generate_until, scope.experiment.sampling.max_tokens
    if task is None:
        return {"sampling": Sampling(max_tokens=most).model_dump(mode="json"), "repeats": 1}
    sampling = Sampling(temperature=task.temperature, top_p=task.top_p, max_tokens=task.max_gen_toks or most)
    return {"sampling": sampling.model_dump(mode="json"), "repeats": task.repeats}


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
        sensitive=True,
    ),
    *judging.STAGES,
    Stage(
        name="score",
        help="log-likelihood scores of benchmarks",
        module="primum.score.stage",
        target="score",
        rule="score_benchmarks",
        job="{model}",
        jobs=lambda scope: [model for model in scope.experiment.evaluate.models if scope.ranked(model)],
        plan=_score,
        long=True,
    ),
    Stage(
        name="questions",
        help="what benchmarks ask that are answered in words",
        module="primum.score.questions",
        target="score",
        rule="write_questions",
        job="questions",
        jobs=lambda scope: ["questions"] if scope.worded() else [],
        plan=_questions,
        asks="curate",
    ),
    Stage(
        name="answer",
        help="a model's answers in words to benchmarks",
        module="primum.score.answers",
        target="score",
        rule="answer_{model}",
        job="{model}",
        jobs=lambda scope: [model for model in scope.experiment.evaluate.models if scope.in_words(model)],
        plan=_answer,
        long=True,
        sensitive=True,
    ),
    Stage(
        name="parse",
        help="what answers in words say, and whether they are right",
        module="primum.score.parse",
        target="score",
        rule="parse_answers",
        job="answers",
        jobs=lambda scope: ["answers"] if scope.worded() else [],
        plan=_parse,
        asks="curate",
        sensitive=True,
    ),
)
