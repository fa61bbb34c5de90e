"""Training on a GPU: primum's own stages, TRL's trainers at their defaults, and experiments on primum's trainer."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import shapes
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from primum.artifact.job import ALONE, Devices, Job
from primum.parallel.scorer import Scorer
from primum.progress import Progress
from primum.train import chunks, dpo, reference, sft

WARM = 3
# Dense bfloat16 FLOP/s of an H100 or H200 (SXM), by their datasheets.
PEAK = 989e12
OPTIMIZATION = {
    "batch": 1,
    "micro_batch": 1,
    "epochs": None,
    "checkpoint_steps": None,
    "learning_rate": 1e-5,
    "schedule": "cosine",
    "warmup_ratio": 0.03,
    "optimizer": "adamw",
    "betas": [0.9, 0.95],
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "dtype": "bfloat16",
}


class Clock(TrainerCallback):  # type: ignore[misc]
    """When each step ended, the device waited for; and how long the sequences in each row of each batch were."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.cpu: list[float] = []
        self.batches: list[list[list[int]]] = []

    def watch(self, trainer: Any) -> None:
        """Look on at a trainer, whoever's it is."""
        collate = trainer.data_collator

        def counted(examples: Any) -> Any:
            self.batches.append([_lengths(example) for example in examples])
            return collate(examples)

        trainer.data_collator = counted
        trainer.add_callback(self)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.cpu.append(time.process_time())

    def row(self, trainer: Any, mfu: bool = True) -> dict[str, Any]:
        """What the steps after the warm-up came to; the rate is of real tokens, padding left out."""
        accumulated = trainer.args.gradient_accumulation_steps
        seconds = [after - before for before, after in zip(self.ends[WARM - 1 :], self.ends[WARM:], strict=False)]
        timed = [row for batch in self.batches[WARM * accumulated : len(self.ends) * accumulated] for row in batch]
        lengths = [length for row in timed for length in row]
        total = sum(seconds)
        row = {
            "tokens_per_s": sum(lengths) / total,
            "tokens_per_cpu_s": sum(lengths) / (self.cpu[-1] - self.cpu[WARM - 1]),
            "sequences_per_s": len(lengths) / total,
            "step_s": statistics.median(seconds),
            "slowest_s": max(seconds),
            "tokens_per_step": sum(lengths) / len(seconds),
            "steps": len(seconds),
            "losses": [round(float(each["loss"]), 4) for each in trainer.state.log_history if "loss" in each][:12],
        }
        if mfu:
            core = trainer.accelerator.unwrap_model(trainer.model)
            row["mfu"] = shapes.flops(core, lengths) / total / PEAK
            # As it is often stated: as though a chunk were one sequence of its tokens.
            row["mfu_chunk"] = shapes.flops(core, [sum(each) for each in timed]) / total / PEAK
        return row


def _lengths(example: dict[str, Any]) -> list[int]:
    if "prompt_ids" in example:
        return [len(example["prompt_ids"]) + len(example[f"{side}_ids"]) for side in ("chosen", "rejected")]
    return list(example.get("seq_lengths") or [len(example["input_ids"])])


class Stand:
    """An artifact or item that is in memory: the stages read tables, and models by the functions patched here."""

    def __init__(self, table: pa.Table | None, spec: dict[str, Any], work: Path) -> None:
        self.name, self.spec, self.work, self._table = "benchmark", spec, work, table

    def one(self, _role: str) -> Stand:
        return self

    def table(self) -> Any:
        return self._table


def _run(
    stage: Any, module: Any, model: Any, item: Stand, more: list[Any], devices: Devices = ALONE
) -> tuple[Any, Clock]:
    """A stage's own ``run`` on a model that is not read from files, and whose result is not written: (trainer, clock)."""
    clock, seen, fit = Clock(), [], module.fit

    def watched(trainer: Any, *arguments: Any) -> None:
        clock.watch(trainer)
        seen.append(trainer)
        fit(trainer, *arguments)

    with ExitStack() as patches:
        for each in (
            patch.object(stage, "load_trainable", lambda _: model),
            patch.object(stage, "load_tokenizer", lambda _: shapes.tokenizer()),
            patch.object(stage, "save", lambda *_: item.work),
            patch.object(module, "fit", watched),
            *more,
        ):
            patches.enter_context(each)
        job = Job("benchmark", {}, [item], Progress("benchmark", silent=True), devices)  # type: ignore[list-item]
        list(stage.run(job))
    return seen[0], clock


def _variants(change: dict[str, Any]) -> list[Any]:
    """What an experiment patches: the settings of TRL's trainer, deterministic kernels."""
    start, arguments = sft.start, chunks.arguments

    def loose(*given: Any) -> None:
        start(*given)
        torch.use_deterministic_algorithms(False)

    patches = [patch.object(chunks, "arguments", lambda *a: arguments(*a) | change.get("settings", {}))]
    if not change.get("deterministic", True):
        patches.append(patch.object(sft, "start", loose))
    return patches


def primum_sft(shape: shapes.Shape, steps: int, change: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """``primum.train.sft.run`` on packed chunks; ``change`` names what an experiment does otherwise, if anything."""
    shape = replace(shape, vocabulary=change.get("vocabulary", shape.vocabulary))
    if change.get("liger"):
        from liger_kernel.transformers import apply_liger_kernel_to_llama

        apply_liger_kernel_to_llama(cross_entropy=False, fused_linear_cross_entropy=False)
    model = shapes.llama(shape)
    if change.get("compile"):
        for layer in model.model.layers:
            layer.compile()
    batch, micro = change.get("batch", 1), change.get("micro_batch", 1)
    optimization = OPTIMIZATION | {"batch": batch, "micro_batch": micro, "steps": WARM + steps}
    optimization["dtype"] = change.get("dtype", "bfloat16")
    with tempfile.TemporaryDirectory() as work:
        spec = {
            "threads": 1,
            "seed": 0,
            "lora": None,
            "attention_reset": True,
            "held_out": None,
            "optimization": optimization,
        }
        spec |= {"template": None, "fold_system": False}
        spec["attention"] = change.get("attention", "varlen")
        devices = Devices(activation_checkpointing=change.get("checkpointing", False))
        table = shapes.packed(shape, (WARM + steps) * batch, change.get("whole", False))
        trainer, clock = _run(sft, chunks, model, Stand(table, spec, Path(work)), _variants(change), devices)
    yield clock.row(trainer)


def _defaults(work: str, steps: int) -> dict[str, Any]:
    """What is not TRL's default: how long to train, and nothing written."""
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no", "use_cpu": shapes.DEVICE == "cpu"}
    return quiet | {"output_dir": work, "max_steps": WARM + steps}


def trl_sft(shape: shapes.Shape, steps: int, change: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """TRL's SFTTrainer on the same rows, one sample a row; its ``max_length`` is the chunk's, so that none is cut."""
    shape = replace(shape, vocabulary=change.get("vocabulary", shape.vocabulary))
    chunks_a_step = max(1, change.get("settings", {}).get("per_device_train_batch_size", 1))
    rows = shapes.samples(shape, shape.chunk * (WARM + steps) * chunks_a_step)
    columns = {name: [getattr(row, name).tolist() for row in rows] for name in ("input_ids", "labels")}
    with tempfile.TemporaryDirectory() as work:
        settings = _defaults(work, steps) | {"max_length": shape.chunk} | change.get("settings", {})
        trainer = SFTTrainer(
            model=shapes.llama(shape),
            args=SFTConfig(**settings),
            train_dataset=Dataset.from_dict(columns),
            processing_class=shapes.tokenizer(),
        )
        clock = Clock()
        clock.watch(trainer)
        trainer.train()
    yield clock.row(trainer) | {"batch": trainer.args.per_device_train_batch_size}


def primum_dpo(shape: shapes.Shape, steps: int, change: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The reference pass of stage ``reference`` in bfloat16, then ``primum.train.dpo.run``; eight pairs a step."""
    records = shapes.pairs(shape, 8 * (WARM + steps))
    model = shapes.llama(shape, torch.bfloat16).eval()
    pad = shapes.tokenizer().pad_token_id
    took = 0.0
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as work:
            reference.add_logprobs(
                Scorer(model, False), records, pad, "reference", Progress("benchmark", silent=True), Path(work)
            )
        took = time.perf_counter() - began
    del model
    yield {"part": "reference pass", "pairs_per_s": len(records) / took}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    optimization = OPTIMIZATION | {"batch": 8, "micro_batch": 8, "steps": WARM + steps}
    optimization["dtype"] = change.get("dtype", "bfloat16")
    arguments = dpo.arguments
    changed = patch.object(dpo, "arguments", lambda *a: arguments(*a) | change.get("settings", {}))
    with tempfile.TemporaryDirectory() as work:
        spec = {"threads": 1, "seed": 0, "beta": 0.1, "held_out": None, "optimization": optimization}
        item = Stand(pa.Table.from_pylist(records, schema=reference.REFERENCE), spec, Path(work))
        trainer, clock = _run(dpo, dpo, shapes.llama(shape), item, [changed])
    row = clock.row(trainer, mfu=False)
    yield row | {"part": "training", "pairs_per_s": row["sequences_per_s"] / 2}


class _Tokenized(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on pairs that are token ids already."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset


def trl_dpo(shape: shapes.Shape, steps: int, change: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """TRL's DPOTrainer at its defaults, with the reference model beside the trained one."""
    records = [{key: row[key] for key in row if key != "id"} for row in shapes.pairs(shape, 8 * (WARM + steps))]
    tokenizer = shapes.tokenizer()
    with tempfile.TemporaryDirectory() as work:
        trainer = _Tokenized(
            model=shapes.llama(shape),
            ref_model=shapes.llama(shape),
            args=DPOConfig(**_defaults(work, steps) | change.get("settings", {})),
            train_dataset=Dataset.from_list(records),
            processing_class=tokenizer,
            data_collator=DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id),
        )
        clock = Clock()
        clock.watch(trainer)
        trainer.train()
    row = clock.row(trainer, mfu=False)
    yield row | {"part": "training", "pairs_per_s": row["sequences_per_s"] / 2}
