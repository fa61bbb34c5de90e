"""Judging: what judges are asked, which is paid for and kept as it was answered, and the verdicts that are read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.dag.curation import rows_of
from primum.dag.engines import code_of, engine_spec, model_of
from primum.dag.judges import canaries, judge_prompt, rubric
from primum.dag.scope import Scope
from primum.dag.stage import Output, Plan, Stage
from primum.experiment import Experiment

GENERATION = "generations/{model}/{prompts}.json"
JUDGEMENT = "judgements/{judge}/{model}/{prompts}.json"
GRADED = "judgements/{judge}/graded.json"
CANARY = "judgements/{judge}/canary.json"
VERDICT = "verdicts/{judge}/{model}/{prompts}.json"
AGREEMENT = "verdicts/{judge}/graded.json"
FOLLOWED = "verdicts/{judge}/canary.json"
CRITERIA = "criteria/{judge}/{model}/{prompts}.json"


def judge_inputs(scope: Scope, name: str) -> tuple[dict[str, list[str]], list[str]]:
    """What all that a judge is asked of reads, by role, and the names of it."""
    judge = scope.experiment.judges[name]
    code = judge.published.dataset if judge.published else None
    inputs = {"judge": model_of(scope, judge.model), "published": code_of(scope, code)}
    return inputs, [judge.model or "", *([code] if code else [])]


def judge_common(scope: Scope, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What all answers of a judge depend on, but for its inputs, and the libraries that asking it takes."""
    judge = scope.experiment.judges[name]
    engine, libraries = engine_spec(scope, judge.model or "")
    sampling = judge.sampling.model_dump(mode="json")
    seed = scope.experiment.seed if judge.seed is None else judge.seed
    common = {"kind": judge.kind, "engine": engine, "sampling": sampling, "seed": seed}
    if judge.published is not None:
        return {**common, "published": judge.published.policy}, libraries
    if judge.kind == "criteria" and judge.template is not None:
        return {**common, "template": rubric(scope, judge.template)}, libraries
    return {**common, **judge_prompt(scope, name)}, libraries


def _judge(scope: Scope, name: str) -> Plan:
    judge, _, model = name.partition("/")
    entry = scope.experiment.judges[judge]
    common, libraries = judge_common(scope, judge)
    outputs = [
        Output(
            prompts,
            scope.path(JUDGEMENT, judge=judge, model=model, prompts=prompts),
            {},
            {"responses": [scope.path(GENERATION, model=model, prompts=prompts)]},
        )
        for prompts in entry.prompts
    ]
    inputs, chosen = judge_inputs(scope, judge)
    return Plan(outputs, common, inputs, libraries, chosen)


def _grade(scope: Scope, name: str) -> Plan:
    # One job for all models: a local judge is loaded once, and an endpoint's limits hold for all that it is asked.
    entry = scope.experiment.judges[name]
    common, libraries = judge_common(scope, name)
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
    return Plan(outputs, common, {"judge": model_of(scope, entry.model)}, libraries, chosen)


def _asked_model(experiment: Experiment, wildcards: Mapping[str, str]) -> str | None:
    return experiment.judges[wildcards["judge"]].model


def _graded_rows(scope: Scope, judge: str) -> list[str]:
    graded = scope.experiment.judges[judge].graded
    return rows_of(scope, [graded] if graded else [])


def _agreement(scope: Scope, name: str) -> Plan:
    entry = scope.experiment.judges[name]
    common, libraries = judge_common(scope, name)
    shown = [{key: each[key] for key in ("id", "request", "response")} for each in canaries(scope)]
    outputs = [Output("canary", scope.path(CANARY, judge=name), {"canary": shown})] if entry.kind == "rubric" else []
    if entry.graded:
        outputs.append(Output("graded", scope.path(GRADED, judge=name), {}, {"graded": _graded_rows(scope, name)}))
    inputs, chosen = judge_inputs(scope, name)
    return Plan(outputs, common, inputs, libraries, [*chosen, entry.graded or ""])


def _verdicts(scope: Scope, _: str) -> Plan:
    outputs = []
    # In another order they are the same.
    for judge, model, prompts in sorted(scope.judged()):
        names = {"judge": judge, "model": model, "prompts": prompts}
        kind = scope.experiment.judges[judge].kind
        own = {"responses": [scope.path(GENERATION, model=model, prompts=prompts)]}
        own |= {"answers": [scope.path(JUDGEMENT, **names)]} if kind != "refusal" else {}
        outputs.append(Output("/".join(names.values()), scope.path(VERDICT, **names), {"kind": kind}, own))
    for judge in sorted(scope.rubric_judges()):
        own = {"answers": [scope.path(CANARY, judge=judge)]}
        spec = {"kind": "rubric", "canary": canaries(scope)}
        outputs.append(Output(f"{judge}/canary", scope.path(FOLLOWED, judge=judge), spec, own))
    for judge in sorted(scope.agreements()):
        own = {"answers": [scope.path(GRADED, judge=judge)], "graded": _graded_rows(scope, judge)}
        spec = {"kind": scope.experiment.judges[judge].kind}
        outputs.append(Output(f"{judge}/graded", scope.path(AGREEMENT, judge=judge), spec, own))
    chosen = [scope.experiment.judges[judge].graded or "" for judge in sorted(scope.agreements())]
    return Plan(outputs, chosen=chosen)


STAGES = (
    Stage(
        name="judge",
        help="a judge's answers about responses",
        module="primum.judge.stage",
        target="judge",
        rule="judge_{judge}",
        job="{judge}/{model}",
        jobs=lambda scope: [f"{judge}/{m}" for judge in scope.scorers() for m in scope.experiment.evaluate.models],
        plan=_judge,
        long=True,
        sensitive=True,
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
        sensitive=True,
    ),
    Stage(
        name="agreement",
        help="a judge's answers about graded pairs and canaries",
        module="primum.judge.stage",
        target="judge",
        rule="agreement_{judge}",
        job="{judge}",
        jobs=Scope.tested,
        plan=_agreement,
        model=_asked_model,
        sensitive=True,
    ),
    Stage(
        name="verdicts",
        help="harm scores in judges' answers, and refusals",
        module="primum.judge.verdicts",
        target="judge",
        rule="read_verdicts",
        job="verdicts",
        jobs=lambda scope: ["verdicts"] if scope.judged() else [],
        plan=_verdicts,
        asks="curate",
        sensitive=True,
    ),
)
