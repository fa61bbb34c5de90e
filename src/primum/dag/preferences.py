"""On-policy preference pairs: a model's responses, their ranking, and the best against the worst as a pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from primum.dag.curation import PAIRS, plan_overlaps, rows_of
from primum.dag.engines import ENGINES, engine_spec
from primum.dag.judges import rubric
from primum.dag.scope import Scope
from primum.dag.stage import Output, Plan, Stage
from primum.dag.training import MODEL
from primum.experiment import Experiment
from primum.experiment.models import DPOModel
from primum.experiment.preferences import Ranker, SampledPreferences
from primum.experiment.types import Sampling

SAMPLES = "data/samples/{preferences}/{draw}.json"
RANKED = "data/ranked/{preferences}.json"

_LOCAL = ("pyarrow", "jinja2", "accelerate", *ENGINES["transformers"])


def _sampled(experiment: Experiment, name: str) -> SampledPreferences:
    entry = experiment.preferences[name]
    assert isinstance(entry, SampledPreferences)  # noqa: S101 - of the names in Scope.sampled
    return entry


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
    outputs = [
        Output(draw, path, {"draw": int(draw)})
        for draw, path in zip(draws(scope, name), _samples(scope, name), strict=True)
    ]
    inputs = {
        "model": [scope.path(MODEL, model=entry.start)],
        "prompts": rows_of(scope, list(entry.prompts)),
    }
    return Plan(outputs, common, inputs, libraries, (entry.start, *entry.prompts))


def _rank(scope: Scope, name: str) -> Plan:
    entry = _sampled(scope.experiment, name)
    ranker = scope.experiment.rankers[entry.ranker]
    common, libraries = _ranker(scope, ranker)
    inputs = {"samples": _samples(scope, name), "ranker": [scope.path(MODEL, model=ranker.model)]}
    chosen = [ranker.model, *draws(scope, name)]
    model = scope.experiment.models[ranker.model]
    if ranker.kind == "implicit" and isinstance(model, DPOModel):
        reference = model.reference or model.start
        common["beta"] = model.beta
        inputs["reference"] = [scope.path(MODEL, model=reference)]
        chosen.append(reference)
    output = Output(name, scope.path(RANKED, preferences=name), {})
    return Plan([output], {"kind": ranker.kind, **common}, inputs, libraries, chosen)


def _ranker(scope: Scope, ranker: Ranker) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a ranking depends on, but for the models."""
    if ranker.template is not None:
        engine, libraries = engine_spec(scope, ranker.model)
        sampling = (ranker.sampling or Sampling(max_tokens=256)).model_dump(mode="json")
        asked = {"template": rubric(scope, ranker.template), "sampling": sampling, "best": ranker.best}
        return {"engine": engine, "seed": scope.experiment.seed, **asked}, libraries
    runs = scope.experiment.engine_of(ranker.model)
    local = {key: getattr(runs, key) for key in ("dtype", "batch_tokens", "max_length")}
    return {**local, **({"label": ranker.label} if ranker.kind == "reward" else {})}, _LOCAL


def _pair(scope: Scope, name: str) -> Plan:
    output = Output(name, scope.path(PAIRS, preferences=name), {"seed": scope.experiment.seed})
    return Plan([output], inputs={"rows": [scope.path(RANKED, preferences=name)]})


def _overlap(scope: Scope, name: str) -> Plan:
    return plan_overlaps(scope, [("pairs", name)])


def _overlapping(scope: Scope) -> list[str]:
    sampled = scope.sampled()
    return [name for kind, name in scope.overlapping() if kind == "pairs" and name in sampled]


def _drawn_from(experiment: Experiment, wildcards: Mapping[str, str]) -> str:
    return _sampled(experiment, wildcards["preferences"]).start


def _ranked_by(experiment: Experiment, wildcards: Mapping[str, str]) -> str:
    return experiment.rankers[_sampled(experiment, wildcards["preferences"]).ranker].model


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
        jobs=Scope.sampled,
        plan=_rank,
        model=_ranked_by,
        several=True,
        long=True,
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
        name="pair-overlap",
        help="which benchmark items on-policy pairs hold a part of",
        module="primum.curate.contamination",
        target="rank",
        rule="find_pair_overlaps",
        job="{preferences}",
        jobs=_overlapping,
        plan=_overlap,
        asks="curate",
    ),
)
