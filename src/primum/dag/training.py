"""Models: fetched, or trained. Three DPO stages are three models in a chain, each with packed chunks or tokenised pairs.

What a training is about to learn from has an audit. Its limits are in its own spec alone: where only they change, it is made
again beside chunks and pairs that stay what they are, and nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from primum.dag.curation import MIXTURE, PAIRS
from primum.dag.scope import Scope
from primum.dag.sensitive import are_sensitive_pairs, is_sensitive_mixture
from primum.dag.stage import Output, Plan, Stage
from primum.errors import PrimumError
from primum.experiment.models import (
    DPOLimits,
    DPOModel,
    EndpointModel,
    HubModel,
    PretrainedModel,
    SFTLimits,
    SFTModel,
    TrainedModel,
)
from primum.experiment.types import Frozen
from primum.text.templates import template_text

PACKED = "data/packed/{model}.json"
REFERENCE = "data/reference/{model}.json"
AUDIT = "data/audits/{model}.json"
TOKENS = "data/tokens/{model}.json"
MODEL = "models/{model}/manifest.json"

_WEIGHTS = ("torch", "transformers", "tokenizers", "safetensors", "pyarrow")
_TRAIN = (*_WEIGHTS, "trl", "accelerate")


def _held_out(model: TrainedModel) -> dict[str, Any] | None:
    return None if model.held_out is None else _dump(model.held_out)


def _dump(value: Frozen) -> dict[str, Any]:
    dumped: dict[str, Any] = value.model_dump(mode="json", by_alias=True)
    return dumped


def _optimization(model: TrainedModel) -> dict[str, Any]:
    """The optimizer's settings for a spec; those that came later only where they are given, so that older results hold."""
    dumped, plain = _dump(model.optimization), {"drop_last": False, "warmup_steps": None}
    return {key: value for key, value in dumped.items() if key not in plain or value != plain[key]}


def _of_kind(*kinds: str) -> Callable[[Scope], list[str]]:
    """The models of these kinds that the tables need."""

    def models(scope: Scope) -> list[str]:
        return [name for name in scope.experiment.needed_models() if scope.experiment.kind_of(name) in kinds]

    return models


def _seed(scope: Scope, model: str) -> int:
    own = getattr(scope.experiment.models[model], "seed", None)
    return scope.experiment.seed if own is None else own


def _template(scope: Scope, model: HubModel | SFTModel) -> dict[str, Any]:
    """The text of the chat template that the entry names, and whether a system turn is folded."""
    text = None if model.template is None else template_text(model.template, scope.root)
    return {"template": text, "fold_system": model.fold_system}


def _snapshot(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    if isinstance(model, EndpointModel):
        item: dict[str, Any] = {"endpoint": model.endpoint, "base_url": model.base_url, "key_env": model.key_env}
    elif isinstance(model, HubModel):
        item = {"hub": model.hub, "revision": model.revision, **_template(scope, model)}
    else:
        raise PrimumError(f"models.{name}: is trained here, not fetched")
    return Plan([Output(name, scope.path(MODEL, model=name), item)])


def _pack(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    if not isinstance(model, SFTModel):
        raise PrimumError(f"models.{name}: only a model with 'train: sft' has packed data")
    spec = {
        "chunk_tokens": model.chunk_tokens,
        "train_on_inputs": model.train_on_inputs,
        "seed": _seed(scope, name),
        **_template(scope, model),
        **({} if model.packing else {"packing": False}),
    }
    inputs = {"mixture": [scope.path(MIXTURE, mixture=model.data)], "model": [scope.path(MODEL, model=model.start)]}
    outputs = [
        Output(
            f"{name}/chunks",
            scope.path(PACKED, model=name),
            {**spec, "output": "chunks"},
            sensitive=is_sensitive_mixture(scope, model.data),
        ),
        _audit(scope, name, spec, model.limits),
        Output(f"{name}/tokens", scope.path(TOKENS, model=name), {**spec, "output": "tokens"}),
    ]
    return Plan(outputs, inputs=inputs, chosen=(model.data, model.start))


def _audit(scope: Scope, name: str, spec: dict[str, Any], limits: SFTLimits | DPOLimits) -> Output:
    asked = {**spec, "output": "audit", "limits": _dump(limits)}
    return Output(f"{name}/audit", scope.path(AUDIT, model=name), asked)


def _pretrain(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    assert isinstance(model, PretrainedModel)  # noqa: S101 - the rule's wildcard constraint
    spec = {
        "architecture": _dump(model.architecture),
        "optimization": _optimization(model),
        "held_out": _held_out(model),
        "chunk_tokens": model.chunk_tokens,
        "threads": model.threads,
        "seed": _seed(scope, name),
    }
    inputs = {"mixture": [scope.path(MIXTURE, mixture=model.data)]}
    return Plan([Output(name, scope.path(MODEL, model=name), spec)], inputs=inputs, chosen=(model.data,))


def _sft(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    assert isinstance(model, SFTModel)  # noqa: S101
    spec = {
        "optimization": _optimization(model),
        "held_out": _held_out(model),
        "attention": model.attention,
        "attention_reset": model.attention_reset,
        "lora": None if model.lora is None else _dump(model.lora),
        **_template(scope, model),
        "threads": model.threads,
        "seed": _seed(scope, name),
    }
    inputs = {"model": [scope.path(MODEL, model=model.start)], "packed": [scope.path(PACKED, model=name)]}
    libraries = None if model.lora is None else (*_TRAIN, "peft")
    return Plan([Output(name, scope.path(MODEL, model=name), spec)], {}, inputs, libraries, (model.start,))


def _reference(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    assert isinstance(model, DPOModel)  # noqa: S101
    against = model.reference or model.start
    spec = {"max_length": model.max_length}
    inputs = {"model": [scope.path(MODEL, model=against)], "pairs": [scope.path(PAIRS, preferences=model.data)]}
    outputs = [
        _audit(scope, name, spec, model.limits),  # first, so that one that fails ends the job before a model is loaded
        Output(
            f"{name}/pairs",
            scope.path(REFERENCE, model=name),
            {**spec, "dtype": model.optimization.dtype, "output": "pairs"},
            sensitive=are_sensitive_pairs(scope, model.data),
        ),
    ]
    return Plan(outputs, inputs=inputs, chosen=(against, model.data))


def _dpo(scope: Scope, name: str) -> Plan:
    model = scope.experiment.models[name]
    assert isinstance(model, DPOModel)  # noqa: S101
    spec = {
        "optimization": _optimization(model),
        "held_out": _held_out(model),
        "beta": model.beta,
        **({"nll": model.nll} if model.nll else {}),
        "threads": model.threads,
        "seed": _seed(scope, name),
    }
    inputs = {"model": [scope.path(MODEL, model=model.start)], "pairs": [scope.path(REFERENCE, model=name)]}
    return Plan([Output(name, scope.path(MODEL, model=name), spec)], inputs=inputs, chosen=(model.start,))


STAGES = (
    Stage(
        name="snapshot",
        help="bring a published model here",
        module="primum.curate.snapshot",
        target="fetch",
        rule="fetch_model",
        job="{model}",
        jobs=_of_kind("hub", "endpoint"),
        plan=_snapshot,
        kind="folder",
        libraries=("huggingface-hub",),
    ),
    Stage(
        name="pack",
        help="render a mixture with a model's chat template and pack it into chunks, with an audit",
        module="primum.curate.pack",
        target="curate",
        rule="pack_chunks",
        job="{model}",
        jobs=_of_kind("sft"),
        plan=_pack,
        libraries=("transformers", "tokenizers", "pyarrow", "jinja2", "trl"),
    ),
    Stage(
        name="pretrain",
        help="train a tokenizer and a model",
        module="primum.train.pretrain",
        target="pretrain",
        rule="pretrain_model",
        job="{model}",
        jobs=_of_kind("pretrain"),
        plan=_pretrain,
        kind="folder",
        libraries=_TRAIN,
        trains=True,
        long=True,
    ),
    Stage(
        name="sft",
        help="supervised fine-tuning",
        module="primum.train.sft",
        target="sft",
        rule="sft_model",
        job="{model}",
        jobs=_of_kind("sft"),
        plan=_sft,
        kind="folder",
        libraries=_TRAIN,
        trains=True,
        long=True,
    ),
    Stage(
        name="reference",
        help="reference log-probabilities of pairs, with an audit",
        module="primum.train.reference",
        target="dpo",
        rule="reference_logprobs",
        job="{model}",
        jobs=_of_kind("dpo"),
        plan=_reference,
        libraries=_TRAIN,
        several=True,
        long=True,
    ),
    Stage(
        name="dpo",
        help="direct preference optimization",
        module="primum.train.dpo",
        target="dpo",
        rule="dpo_model",
        job="{model}",
        jobs=_of_kind("dpo"),
        plan=_dpo,
        kind="folder",
        libraries=_TRAIN,
        trains=True,
        long=True,
    ),
)
