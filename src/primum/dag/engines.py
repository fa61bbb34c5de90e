"""What runs a model, for the specs of all stages that ask one."""

from __future__ import annotations

from typing import Any

from primum.dag.curation import RAW
from primum.dag.scope import Scope
from primum.dag.stage import Plan
from primum.dag.training import MODEL
from primum.experiment.models import EndpointModel

ENGINES = {
    "transformers": ("torch", "transformers", "tokenizers", "safetensors"),
    "vllm": ("torch", "transformers", "tokenizers", "vllm"),
    "openai": ("openai",),
}


def engine_spec(scope: Scope, model: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The engine of a model for a spec, and the libraries that answering with it takes."""
    engine, entry = scope.experiment.engine_of(model), scope.experiment.models[model]
    # Answers in a batch are what they would be at once, and not paid for again.
    dumped = engine.model_dump(mode="json", by_alias=True, exclude={"batch"})
    libraries: tuple[str, ...] = ("pyarrow", "jinja2", *ENGINES[engine.kind])
    if isinstance(entry, EndpointModel) and entry.phi is not None:
        dumped["phi"] = entry.phi
        libraries += ("python-stdnum",) if entry.phi == "redact" else ()
    return dumped, libraries


def asked_in_batches(scope: Scope, plan: Plan) -> bool:
    """Whether the model that a job asks is asked in batches."""
    if "engine" not in plan.common:
        return False
    read = {path for role in ("model", "judge", "ranker") for path in plan.reads(role)}
    return any(
        scope.experiment.engine_of(name).batch and scope.path(MODEL, model=name) in read
        for name in scope.experiment.models
    )


def model_of(scope: Scope, name: str | None) -> list[str]:
    """The manifest of the model that is asked, as a list; nothing where none is."""
    return [scope.path(MODEL, model=name)] if name else []


def code_of(scope: Scope, dataset: str | None) -> list[str]:
    """The manifest of published code in whose words something is asked, as a list; nothing where there is none."""
    return [scope.path(RAW, dataset=dataset)] if dataset else []
