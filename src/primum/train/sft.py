"""Stage sft: supervised fine-tuning of a model on packed chunks, of all weights or of low-rank adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from primum.artifact.job import Job, Result
from primum.errors import PrimumError
from primum.text.tokenizer import load_tokenizer
from primum.train import attention
from primum.train.chunks import train_on_chunks
from primum.train.common import check_dtype, start
from primum.train.loading import load_trainable
from primum.train.saving import save


def run(job: Job) -> Iterator[Result]:
    """One model folder: safetensors, tokenizer, history.parquet. LoRA adapters are merged into the weights."""
    for item in job.items:
        start(item.spec["threads"], item.spec["seed"])
        check_dtype(item.name, item.spec["optimization"]["dtype"])
        source = item.one("model")
        model = load_trainable(source)
        tokenizer = load_tokenizer(source, item.spec["template"], item.spec["fold_system"])
        attention.use(model, item.spec["attention"])
        if item.spec["lora"] is not None:
            model = _with_adapters(model, item.spec["lora"])
        chunks = item.one("packed").table()
        reset = item.spec["attention_reset"]
        log = train_on_chunks(
            model, tokenizer, chunks, item.spec, item.name, item.work, job.progress, reset, job.devices
        )
        if item.spec["lora"] is not None:
            model = model.merge_and_unload()
        folder = save(model, tokenizer, log, item.work / "model", item.spec["optimization"]["dtype"])
        yield Result(item, folder=folder, counts={"parameters": model.num_parameters(), "steps": log[-1]["step"]})


def _with_adapters(model: Any, lora: Mapping[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=list(lora["modules"]),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, settings)
    except ValueError:
        raise PrimumError(
            f"lora.modules: the model has none of {', '.join(lora['modules'])}: name its linear layers"
        ) from None
