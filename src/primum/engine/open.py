"""Opening the engine that an experiment names, for a model artifact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from primum.artifact.job import Item
from primum.artifact.manifest import Artifact
from primum.engine.protocol import Engine
from primum.errors import PrimumError
from primum.progress import Progress

ENDPOINT = "endpoint.json"


def open_engine(
    settings: Mapping[str, Any], model: Artifact, progress: Progress, journal: Path | None = None
) -> Engine:
    """The engine of ``settings`` (an ``Engine`` of the experiment, dumped) for a model's folder artifact.

    ``journal`` is a folder where an endpoint's finished answers are kept, so that a rerun pays only for the missing
    ones; local engines need none. With ``batch`` in the settings it is asked in batches, which need the folder. ``progress`` is
    told of identifiers in what an endpoint is asked. PrimumError when the engine does not fit the model or the model cannot be
    loaded.
    """
    kind = settings["kind"]
    remote = ENDPOINT in model.manifest.files
    if remote != (kind == "openai"):
        needed = "'openai'" if remote else "'transformers' or 'vllm'"
        raise PrimumError(f"{model.name}: engine kind {kind!r} cannot run this model: set its engine to {needed}")
    if kind == "openai":
        from primum.engine.openai_engine import OpenAIEngine, read_endpoint

        endpoint, phi = read_endpoint(model.file(ENDPOINT)), settings.get("phi")
        from primum.engine.batch_parts import is_under_way

        if settings.get("batch"):
            from primum.engine.batch import BatchEngine

            if journal is None:
                raise PrimumError(f"{model.name}: 'batch' needs a folder for what is under way")
            return BatchEngine(endpoint, settings["concurrency"], journal, progress, phi=phi)
        if journal is not None and is_under_way(journal):
            raise PrimumError(
                f"{model.name}: has batches under way, which are paid for: fetch them with 'batch: true', or delete {journal}/"
                "batch-* to ask anew"
            )
        return OpenAIEngine(endpoint, settings["concurrency"], journal, progress, phi=phi)
    model.verify()
    _refuse_custom_code(model.data)
    if kind == "vllm":
        from primum.engine.vllm_engine import VLLMEngine

        return VLLMEngine(model.data, settings["dtype"], settings["max_length"], settings["tensor_parallel"])
    from primum.engine.transformers_engine import TransformersEngine

    return TransformersEngine(model.data, settings["dtype"], settings["max_length"], settings["batch_tokens"])


def with_engines(
    settings: Mapping[str, Any], model: Artifact, items: Sequence[Item], progress: Progress
) -> Iterator[tuple[Item, Engine]]:
    """Each item with an engine: a local one is opened once, an endpoint's anew, its journal in the item's folder."""
    engine = None
    for item in items:
        if engine is None or settings["kind"] == "openai":
            engine = open_engine(settings, model, progress, item.work)
        yield item, engine


def _refuse_custom_code(folder: Path) -> None:
    """Code that comes with a model is never run; the libraries would stop and ask for leave to run it."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        known = isinstance(config, dict) and isinstance(config.get("model_type"), str)
    except (OSError, ValueError):
        known = False
    if not known:
        raise PrimumError(f"{path}: is not a model's configuration: fetch or train the model again")
    if "auto_map" in config:
        from transformers import CONFIG_MAPPING

        if config["model_type"] not in CONFIG_MAPPING:
            raise PrimumError(f"{path}: the model needs code of its own, which is never run: use a model that does not")
