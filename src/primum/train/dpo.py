"""Stage dpo: direct preference optimization (Rafailov et al. 2023) with precomputed reference log-probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.compute as pc
import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from primum.artifact.job import Job, Result
from primum.text.tokenizer import load_tokenizer
from primum.train import held_out
from primum.train.common import arguments, check_dtype, fit, start
from primum.train.loading import load_trainable
from primum.train.order import InOrder
from primum.train.saving import save
from primum.train.sharding import set_precision

_COLUMNS = ["prompt_ids", "chosen_ids", "rejected_ids", "ref_chosen_logps", "ref_rejected_logps"]


class _PrecomputedDPOTrainer(InOrder, DPOTrainer):  # type: ignore[misc]
    """Takes the pairs and their reference log-probabilities as they are; TRL's own would compute both again."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Of each held-out pair ``held_out.REWARDS``, (pairs, 5), and labels that say nothing, (pairs, 1)."""
        inputs = self._prepare_inputs(inputs)
        ids, learned = inputs["input_ids"], inputs["completion_mask"]
        labels = ids.masked_fill(learned == 0, -100)
        with torch.no_grad(), self.compute_loss_context_manager():
            asked = {"attention_mask": inputs["attention_mask"], "labels": labels, "use_cache": False}
            found = model(input_ids=ids, **asked, fused_lm_head=True)
        chosen, rejected = found.log_probs.sum(1).chunk(2)
        rewards = [
            self.beta * (chosen - inputs["ref_chosen_logps"]),
            self.beta * (rejected - inputs["ref_rejected_logps"]),
        ]
        margins = rewards[0] - rewards[1]
        values = [-torch.nn.functional.logsigmoid(margins), *rewards, (margins > 0).float(), margins]
        return None, torch.stack(values, 1), torch.zeros(len(margins), 1, device=margins.device)


@contextmanager
def _no_reference_model() -> Iterator[None]:
    """Let TRL neither load the reference again nor hash all weights.

    It does the first where models are shared, whole and in every process, although what it is for was computed already.
    """
    saved = dpo_trainer.create_model_from_path, dpo_trainer.hash_module
    dpo_trainer.create_model_from_path, dpo_trainer.hash_module = (lambda *_, **__: None), (lambda _: "")
    try:
        yield
    finally:
        dpo_trainer.create_model_from_path, dpo_trainer.hash_module = saved


def _losses(nll: float) -> dict[str, list[Any]]:
    """TRL's names of the losses and their weights: beside DPO's own the mean negative log-likelihood of a chosen token."""
    return {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, nll]} if nll else {}


def run(job: Job) -> Iterator[Result]:
    """One model folder: safetensors, tokenizer, history.parquet with reward accuracies and margins."""
    for item in job.items:
        start(item.spec["threads"], item.spec["seed"])
        check_dtype(item.name, item.spec["optimization"]["dtype"])
        source = item.one("model")
        model, tokenizer = load_trainable(source), load_tokenizer(source)
        model.config._name_or_path = ""  # nowhere to load it from again, whatever TRL has in mind
        table = item.one("pairs").table().select(_COLUMNS)
        optimization = item.spec["optimization"]
        table, kept_back = held_out.hold_out(table, item.spec["held_out"], item.spec["seed"], item.name)
        settings = arguments(item.spec, table.num_rows, item.work, job.devices)
        losses = _losses(item.spec.get("nll", 0.0))
        config = DPOConfig(**settings, **losses, beta=item.spec["beta"], precompute_ref_log_probs=True, max_length=None)
        set_precision(config, optimization["dtype"])
        with _no_reference_model():
            trainer = _PrecomputedDPOTrainer(
                model=model,
                args=config,
                train_dataset=held_out.data(table),
                eval_dataset=held_out.data(kept_back),
                compute_metrics=held_out.mean_rewards,
                processing_class=tokenizer,
                data_collator=DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id),
            )
        # A prompt is in both of a pair's sequences.
        columns = ("prompt_ids", "prompt_ids", "chosen_ids", "rejected_ids")
        tokens = sum(pc.sum(pc.list_value_length(table.column(name))).as_py() for name in columns) / table.num_rows
        fit(trainer, item.name, item.work, job.progress, tokens * optimization["batch"])
        log = trainer.state.log_history
        folder = save(trainer.model, tokenizer, log, item.work / "model", optimization["dtype"])
        yield Result(item, folder=folder, counts={"pairs": table.num_rows, "steps": log[-1]["step"]})
