"""Stage snapshot: a published model at its pinned revision, or the address of one behind an endpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from primum.artifact.job import Item, Job, Result
from primum.errors import PrimumError
from primum.experiment.types import UNKNOWN_REVISION
from primum.text.templates import folded

# safetensors only: no pickled weights, and no code.
_MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
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
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if "endpoint" in item.spec:
            (folder / "endpoint.json").write_text(json.dumps(dict(item.spec), sort_keys=True) + "\n", encoding="utf-8")
        else:
            hub_snapshot(f"models.{item.name}", item.spec["hub"], item.spec["revision"], folder, "model", _MODEL_FILES)
            if not any(folder.glob("*.safetensors")):
                raise PrimumError(
                    f"models.{item.name}: {item.spec['hub']} has no safetensors: choose a revision that has"
                )
            _set_template(item, folder)
        yield Result(item, folder=folder)


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


def hub_snapshot(where: str, hub: str, revision: str, folder: Path, kind: str, patterns: Sequence[str]) -> None:
    """Download the files of ``hub`` at ``revision`` that match ``patterns`` into ``folder``.

    Raises PrimumError naming the entry ``where`` when the revision is unknown or the hub cannot be reached.
    """
    if revision == UNKNOWN_REVISION:
        raise PrimumError(f"{where}: the revision of {hub} is unknown: put the 40-digit commit to use into its entry")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(
            hub, revision=revision, repo_type=kind, local_dir=folder, allow_patterns=list(patterns), max_workers=4
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise PrimumError(f"{where}: {hub}@{revision[:12]} cannot be fetched ({type(error).__name__})") from None
    shutil.rmtree(folder / ".cache", ignore_errors=True)
