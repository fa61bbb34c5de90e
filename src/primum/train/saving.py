"""The trained model as a published one comes: safetensors of at most 5 GB, tokenizer, configuration, and its history."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers.core_model_loading import revert_weight_conversion

from primum.parallel.processes import rank
from primum.train.history import history
from primum.train.sharding import full

_LARGEST = "5GB"  # as Hugging Face's own
_WEIGHTS = "model{suffix}.safetensors"


def save(model: Any, tokenizer: Any, log: list[dict[str, Any]], folder: Path, dtype: str) -> Path:
    """Write the model in ``dtype``, with its tokenizer and history.parquet; nothing in them names a path or a time.

    Of several processes the first writes, and all must call this: a weight is gathered when it is its turn, so that besides
    their shares they hold one file's worth at most.
    """
    first = rank() == 0
    if first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    _save_weights(model, folder, getattr(torch, dtype))
    if not first:
        return folder
    model.config.dtype = dtype
    # FSDP makes a class of its own of the model's.
    model.config.architectures = [type(model).__name__.removeprefix("FSDP")]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8"))
        content = {key: value for key, value in content.items() if key not in ("_name_or_path", "name_or_path")}
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    pq.write_table(history(log), folder / "history.parquet", write_page_checksum=True)
    return folder


def _save_weights(model: Any, folder: Path, dtype: torch.dtype) -> None:
    tied = set(model.all_tied_weights_keys)
    state = {name: value for name, value in model.state_dict().items() if name not in tied}
    planned = {name: _empty(value, dtype) for name, value in state.items()}
    if set(revert_weight_conversion(model, dict(planned))) != set(planned):
        # transformers keeps such a model under other names than its files have (the experts of a mixture in one tensor):
        # all of it is needed to tell them apart again.
        whole = {name: value for name in state if (value := _whole(state[name], dtype)) is not None}
        state = revert_weight_conversion(model, whole) if rank() == 0 else {}
        planned = {name: _empty(value, dtype) for name, value in state.items()}
    plan = split_torch_state_dict_into_shards(planned, filename_pattern=_WEIGHTS, max_shard_size=_LARGEST)
    for file, names in plan.filename_to_tensors.items():
        held = {name: value for name in names if (value := _whole(state[name], dtype)) is not None}
        if rank() == 0:
            save_file(held, folder / file, metadata={"format": "pt"})
    if plan.is_sharded and rank() == 0:
        metadata = {"total_parameters": model.num_parameters(), **plan.metadata}
        index = {"metadata": metadata, "weight_map": plan.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _empty(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(value.shape, dtype=dtype if value.is_floating_point() else value.dtype, device="meta")


def _whole(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """On the first process a copy to be saved; on the others nothing, once they have given their share."""
    gathered = full(value.detach())
    if rank():
        return None
    return gathered.to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous()
