"""Preference pairs that a model is asked for: on-policy ones, and those of safety demonstrations.

On-policy: a model's responses, their ranking, and the best against the worst as a pair. A judge that ranks is paid for: its
answers are kept, and rewards are read from them. Of demonstrations: a model's responses to their requests, a judge's scores, and
each demonstration against the response that was found harmful. To respond and to assess are jobs of the stages' own modules of
evaluation, a model or a judge each, so that several sets share what was answered and judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.dag.curation import PAIRS, plan_overlaps, rows_of
from primum.dag.engines import ENGINES, engine_spec
from primum.dag.judges import rubric
from primum.dag.judging import judge_common, judge_inputs
from primum.dag.scope import Scope
from primum.dag.stage import Output, Plan, Stage
from primum.dag.training import MODEL
from primum.experiment import Experiment
from primum.experiment.models import DPOModel
from primum.experiment.preferences import Ranker, SampledPreferences
from primum.experiment.types import Sampling

SAMPLES = "data/samples/{preferences}/{draw}.json"
RATED = "data/rated/{preferences}.json"
RANKED = "data/ranked/{preferences}.json"
RESPONSES = "data/responses/{model}/{dataset}.json"
ASSESSED = "data/assessed/{judge}/{model}/{dataset}.json"

_LOCAL = ("pyarrow", "jinja2", "accelerate", *ENGINES["transformers"])


def _sampled(experiment: Experiment, name: str) -> SampledPreferences:
    entry = experiment.preferences[name]
    assert isinstance(entry, SampledPreferences)  # noqa: S101 - of the names in Scope.sampled
    return entry


def _ranker(experiment: Experiment, name: str) -> Ranker:
    return experiment.rankers[_sampled(experiment, name).ranker]


def _rated(scope: Scope) -> list[str]:
    """The sets that a judge ranks."""
    return [name for name in scope.sampled() if _ranker(scope.experiment, name).kind == "judge"]


def draws(scope: Scope, name: str) -> list[str]:
    """The draws of a set, by number, each an artifact of its own: with more of them, the first stay what they are."""
    return [f"{draw:03d}" for draw in range(_sampled(scope.experiment, name).n)]


def _samples(scope: Scope, name: str) -> list[str]:
    return [scope.path(SAMPLES, preferences=name, draw=draw) for draw in draws(scope, name)]


def _sample(scope: Scope, name: str) -> Plan:
    entry = _sampled(scope.experiment, name)
    engine, libraries = engine_spec(scope, entry.start)
    common = {
        "engine": engine,
        "sampling": entry.sampling.model_dump(mode="json"),
        "take": entry.take,
        "seed": scope.experiment.seed,
    }
    drawn = zip(draws(scope, name), _samples(scope, name), strict=True)
    outputs = [Output(draw, path, {"draw": int(draw)}) for draw, path in drawn]
    inputs = {"model": [scope.path(MODEL, model=entry.start)], "prompts": rows_of(scope, list(entry.prompts))}
    return Plan(outputs, common, inputs, libraries, (entry.start, *entry.prompts))


def _rank(scope: Scope, name: str) -> Plan:
    ranker = _ranker(scope.experiment, name)
    runs = scope.experiment.engine_of(ranker.model)
    common: dict[str, Any] = {key: getattr(runs, key) for key in ("dtype", "batch_tokens", "max_length")}
    common |= {"label": ranker.label} if ranker.kind == "reward" else {}
    inputs = {"samples": _samples(scope, name), "ranker": [scope.path(MODEL, model=ranker.model)]}
    chosen = [ranker.model, *draws(scope, name)]
    model = scope.experiment.models[ranker.model]
    if ranker.kind == "implicit" and isinstance(model, DPOModel):
        reference = model.reference or model.start
        common["beta"] = model.beta
        inputs["reference"] = [scope.path(MODEL, model=reference)]
        chosen.append(reference)
    output = Output(name, scope.path(RANKED, preferences=name), {})
    return Plan([output], {"kind": ranker.kind, **common}, inputs, _LOCAL, chosen)


def _rate(scope: Scope, name: str) -> Plan:
    ranker = _ranker(scope.experiment, name)
    engine, libraries = engine_spec(scope, ranker.model)
    sampling = (ranker.sampling or Sampling(max_tokens=256)).model_dump(mode="json")
    asked = {"template": rubric(scope, ranker.template or ""), "sampling": sampling}
    common = {"engine": engine, "seed": scope.experiment.seed, **asked}
    inputs = {"samples": _samples(scope, name), "ranker": [scope.path(MODEL, model=ranker.model)]}
    output = Output(name, scope.path(RATED, preferences=name), {})
    return Plan([output], common, inputs, libraries, [ranker.model, *draws(scope, name)])


def _rewards(scope: Scope, name: str) -> Plan:
    common = {"best": _ranker(scope.experiment, name).best}
    inputs = {"samples": _samples(scope, name), "answers": [scope.path(RATED, preferences=name)]}
    return Plan([Output(name, scope.path(RANKED, preferences=name), {})], common, inputs, chosen=draws(scope, name))


def _pair(scope: Scope, name: str) -> Plan:
    output = Output(name, scope.path(PAIRS, preferences=name), {"seed": scope.experiment.seed})
    return Plan([output], inputs={"rows": [scope.path(RANKED, preferences=name)]})


def _overlap(scope: Scope, name: str) -> Plan:
    return plan_overlaps(scope, [("pairs", name)])


def _overlapping(scope: Scope) -> list[str]:
    later = scope.paired_later()
    return [name for kind, name in scope.overlapping() if kind == "pairs" and name in later]


def _respond(scope: Scope, model: str) -> Plan:
    e, datasets = scope.experiment, scope.responding()[model]
    engine, libraries = engine_spec(scope, model)
    outputs = [
        # As a prompt set of the evaluation: what is judged there is how the model answers.
        Output(
            name,
            scope.path(RESPONSES, model=model, dataset=name),
            {"system": "", "take": take},
            {"prompts": rows_of(scope, [name])},
        )
        for name, take in sorted(datasets.items())
    ]
    common = {"engine": engine, "sampling": e.sampling.model_dump(mode="json"), "seed": e.seed}
    return Plan(outputs, common, {"model": [scope.path(MODEL, model=model)]}, libraries, sorted(datasets))


def _assess(scope: Scope, name: str) -> Plan:
    judge, _, model = name.partition("/")
    common, libraries = judge_common(scope, judge)
    outputs = [
        Output(
            dataset,
            scope.path(ASSESSED, judge=judge, model=model, dataset=dataset),
            {},
            {"responses": [scope.path(RESPONSES, model=model, dataset=dataset)]},
        )
        for dataset in scope.assessing()[name]
    ]
    inputs, chosen = judge_inputs(scope, judge)
    return Plan(outputs, common, inputs, libraries, chosen)


def _contrast(scope: Scope, name: str) -> Plan:
    e, entry = scope.experiment, scope.demonstrated()[name]
    benign = list(entry.benign.datasets) if entry.benign else []
    tests = sorted({e.prompts[each].dataset for each in e.evaluate.prompts})
    spec = {
        "at_least": entry.at_least,
        "take": entry.take,
        "benign": entry.benign.take if entry.benign else None,
        "seed": e.seed,
    }
    answered = {"model": entry.start, "judge": entry.judge}
    inputs = {
        "demonstrations": rows_of(scope, list(entry.demonstrations)),
        "responses": [scope.path(RESPONSES, model=entry.start, dataset=each) for each in entry.answered],
        "answers": [scope.path(ASSESSED, **answered, dataset=each) for each in entry.answered],
        "benign": rows_of(scope, benign),
        "tests": rows_of(scope, tests),
    }
    chosen = (entry.start, entry.judge, *entry.read, *tests)
    return Plan([Output(name, scope.path(PAIRS, preferences=name), spec)], inputs=inputs, chosen=chosen)


def _drawn_from(experiment: Experiment, wildcards: Mapping[str, str]) -> str:
    return _sampled(experiment, wildcards["preferences"]).start


def _ranked_by(experiment: Experiment, wildcards: Mapping[str, str]) -> str:
    return _ranker(experiment, wildcards["preferences"]).model


STAGES = (
    Stage(
        name="sample",
        help="a model's own responses to prompts, several to each",
        module="primum.prefer.sample",
        target="sample",
        rule="sample_{preferences}",
        job="{preferences}",
        jobs=Scope.sampled,
        plan=_sample,
        model=_drawn_from,
        long=True,
        sensitive=True,
    ),
    Stage(
        name="rank",
        help="the rewards of sampled responses",
        module="primum.prefer.rank",
        target="rank",
        rule="rank_responses",
        job="{preferences}",
        jobs=lambda scope: [name for name in scope.sampled() if name not in _rated(scope)],
        plan=_rank,
        model=_ranked_by,
        several=True,
        long=True,
        sensitive=True,
    ),
    Stage(
        name="rate",
        help="a judge's answers about sampled responses",
        module="primum.prefer.rate",
        target="rank",
        rule="rate_responses",
        job="{preferences}",
        jobs=_rated,
        plan=_rate,
        model=_ranked_by,
        long=True,
        sensitive=True,
    ),
    Stage(
        name="rewards",
        help="the rewards in a judge's answers",
        module="primum.prefer.rewards",
        target="rank",
        rule="read_rewards",
        job="{preferences}",
        jobs=_rated,
        plan=_rewards,
        asks="curate",
        sensitive=True,
    ),
    Stage(
        name="pair",
        help="the best response to each prompt against the worst",
        module="primum.curate.pairs",
        target="rank",
        rule="pair_responses",
        job="{preferences}",
        jobs=Scope.sampled,
        plan=_pair,
        asks="curate",
        sensitive=True,
    ),
    Stage(
        name="respond",
        help="a model's responses to the requests of safety demonstrations",
        module="primum.generate.stage",
        target="sample",
        rule="respond_{model}",
        job="{model}",
        jobs=Scope.responding,
        plan=_respond,
        asks="generate",
        long=True,
        sensitive=True,
    ),
    Stage(
        name="assess",
        help="a judge's answers about these responses",
        module="primum.judge.stage",
        target="rank",
        rule="assess_{judge}_{model}",
        job="{judge}/{model}",
        jobs=Scope.assessing,
        plan=_assess,
        asks="judge",
        long=True,
        sensitive=True,
    ),
    Stage(
        name="contrast",
        help="each safety demonstration against the harmful response",
        module="primum.curate.contrast",
        target="rank",
        rule="contrast_responses",
        job="{preferences}",
        jobs=Scope.demonstrated,
        plan=_contrast,
        asks="curate",
        sensitive=True,
    ),
    Stage(
        name="pair-overlap",
        help="which benchmark items pairs of a model's responses hold a part of",
        module="primum.curate.contamination",
        target="rank",
        rule="find_pair_overlaps",
        job="{preferences}",
        jobs=_overlapping,
        plan=_overlap,
        asks="curate",
    ),
)
