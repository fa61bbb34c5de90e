"""Stage snapshot: a published model at its pinned revision, or the address of one behind an endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.hub.bring import bring
from primum.hub.source import Source
from primum.text.templates import folded

# safetensors only: no pickled weights, and no code. `model` is what transformers reads; some repositories have the same weights
# for other programs beside it, as `consolidated`, which would double the size.
_MODEL_FILES = (
    "model*.safetensors",
    "*.json",
    *("tokenizer.model", "spm.model", "spiece.model", "sentencepiece.bpe.model"),
    "*.txt",
    "*.jinja",
    "LICENSE*",
)


def run(job: Job) -> Iterator[Result]:
    """One folder artifact a model: safetensors and tokenizer; for an endpoint ``endpoint.json``, without the key."""
    for item in job.items:
        folder = item.work / "model"
        folder.mkdir(parents=True, exist_ok=True)  # with the whole files that an attempt which failed has left
        sources = repositories(item.name, item.spec)
        if not sources:
            (folder / "endpoint.json").write_text(json.dumps(dict(item.spec), sort_keys=True) + "\n", encoding="utf-8")
        for source in sources:
            bring(source, folder, item.name, job.progress)
            _set_template(item, folder)
        yield Result(item, folder=folder)


def repositories(name: str, spec: Mapping[str, Any]) -> list[Source]:
    """The repository of the model ``name``, by its spec; none if it is behind an endpoint."""
    if "endpoint" in spec:
        return []
    return [Source(f"models.{name}", "model", spec["hub"], spec["revision"], _MODEL_FILES)]


def _set_template(item: Item, folder: Path) -> None:
    """Put the chat template that the experiment asks for where transformers looks first."""
    template = item.spec["template"]
    if item.spec["fold_system"]:
        template = template or _own_template(folder)
        if template is None:
            raise PrimumError(f"models.{item.name}: {item.spec['hub']} has no chat template to fold a system turn in")
        template = folded(template)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def _own_template(folder: Path) -> str | None:
    """The chat template among the files of a tokenizer, where it has one; of several the one named ``default``."""
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = json.loads(settings.read_text(encoding="utf-8")).get("chat_template") if settings.is_file() else None
    if isinstance(found, list):
        found = {each["name"]: each["template"] for each in found}.get("default")
    return found
